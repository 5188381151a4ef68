"""What the tests of the plugin share: the built plugin, an engine of their own, an exact model."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plugin_bridge.engine.client import ask_status
from realtime.errors import StemsteerError
from realtime.spec import METADATA_KEY, ModelSpec, Tier
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "plugin_bridge" / "plugin" / "cpp"
WORK = ROOT / ".work"
DPF = Path("/usr/share/dpf")
DEBIAN_PACKAGES = ROOT / "build" / "debian-packages.txt"
REQUIRED = "STEMSTEER_HOST_TESTS"  # set to "required": what is missing is a failure
LATENCY = 1024
SANITIZERS = "address,undefined"
SANITIZED = (f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all")

COMPILERS = "/usr/lib/ccache"
"""Where Debian's ccache has its compilers: the plugin is built of the same files several times."""
if os.path.isdir(COMPILERS):
    os.environ["PATH"] = f"{COMPILERS}:{os.environ['PATH']}"
    os.environ |= {
        "CCACHE_DIR": str(WORK / "ccache"),
        "CCACHE_TEMPDIR": str(WORK / "ccache" / "tmp"),  # else in a sandbox of a test
        "CCACHE_NOHASHDIR": "1",
    }


def need(*programs: str) -> None:
    """Skip the test, loudly, if a command or a file is missing; fail where hosts are required."""
    packages = debian_packages()
    unlisted = [p for p in programs if p not in packages]
    assert not unlisted, f"{', '.join(unlisted)}: not in {DEBIAN_PACKAGES.relative_to(ROOT)}"
    missing = [p for p in programs if not (shutil.which(p) or any(Path("/").glob(p.lstrip("/"))))]
    if missing:
        wanted = " ".join(sorted({packages[p] for p in missing}))
        absent(f"{', '.join(missing)} missing; run: sudo apt-get install {wanted}")


def debian_packages() -> dict[str, str]:
    """Return the Debian package of every command and file that the tests need."""
    lines = [line.split(maxsplit=2) for line in DEBIAN_PACKAGES.read_text().splitlines()]
    return {words[0]: words[1] for words in lines if words and words[0] != "#"}


def absent(what: str) -> NoReturn:
    """Skip the test, loudly, for what is absent; fail where hosts are required."""
    message = f"HOST TEST NOT RUN: {what}"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(message)
    warnings.warn(message, stacklevel=2)
    pytest.skip(message)


def built_plugin() -> Path:
    """The folder of the plugins in every format; built once for the same sources."""
    folder = WORK / f"plugin-{_digest_of_sources()}"
    make_plugin(folder)
    return folder


def sanitized_plugin(name: str = "StemsteerSplit", sanitizers: str = SANITIZERS) -> Path:
    """The folder of a plugin as CLAP and VST3 under sanitizers, for programs with the same."""
    folder = WORK / f"{name}-{sanitizers}-{_digest_of_sources()}"
    make_plugin(folder, f"native-{name}", f"SANITIZE={sanitizers}")
    return folder


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for file in sorted(p for p in CPP.rglob("*") if p.is_file()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def binary(folder: Path, kind: str, name: str = "Stemsteer") -> Path:
    """The library of a plugin in the folder of bundles."""
    place = {
        "clap": f"{name}.clap",
        "vst3": f"{name}.vst3/Contents/{os.uname().machine}-linux/{name}.so",
        "lv2": f"{name}.lv2/{name}_dsp.so",
    }
    return folder / place[kind]


def make_plugin(folder: Path, *options: str) -> None:
    """Run the plugin's Makefile into a folder, unless it has been run to its end."""
    need("g++", "make", str(DPF))
    with alone(folder.name):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            command = ["make", "-C", str(CPP), "-j2", f"OUT={folder}", *options]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
            (folder / "complete").touch()


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep other processes of the tests from making the same thing meanwhile."""
    WORK.mkdir(exist_ok=True)
    with (WORK / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compiled(name: str, *sources: Path, flags: tuple[str, ...] = ()) -> Path:
    """A program of tests/plugin/cpp; built once for the same sources and flags."""
    need("g++", str(DPF))
    files = [ROOT / "tests" / "plugin" / "cpp" / f"{name}.cpp", *sources]
    digest = hashlib.sha256(" ".join(flags).encode())
    for file in [*files, *sorted(CPP.glob("*.h")), *sorted(files[0].parent.glob("*.h"))]:
        digest.update(file.read_bytes())
    program = WORK / f"{name}-{digest.hexdigest()[:12]}"
    with alone(program.name):
        if not program.exists():
            part = program.with_suffix(".part")
            command = ["g++", "-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *flags]
            command += [f"-I{CPP}", f"-I{DPF / 'distrho' / 'src'}", "-o", str(part)]
            done = subprocess.run(
                [*command, *files, "-ldl", "-lpthread"], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            part.rename(program)
    return program


def identity_model(path: Path) -> Path:
    """Write a model whose masks are one: the target is the mixture, exactly."""
    spec = ModelSpec(
        name="identity",
        tiers={"direct": Tier(1024, 256, 128), "live": Tier(1024, 512, 256)},
        conditions={"direction": 2},
        mask_axes="mixture",
    )
    frames_of_both = [  # the sizes of the masks come from the inputs, their value is one
        helper.make_node("Gather", ["spectrum", "zero"], ["left"], axis=1),
        helper.make_node("Gather", ["left", "zero"], ["real"], axis=2),
        helper.make_node("Unsqueeze", ["real", "axes12"], ["wide"]),  # (frames, 1, 1, bins)
        helper.make_node("Gather", ["direction", "zero"], ["azimuth"], axis=2),
        helper.make_node("Unsqueeze", ["azimuth", "axes23"], ["tall"]),  # (frames, targets, 1, 1)
        helper.make_node("Add", ["wide", "tall"], ["any"]),
        helper.make_node("Sub", ["any", "any"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["masks"]),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [], [0]),
        helper.make_tensor("axes12", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("axes23", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        frames_of_both,
        "identity",
        [
            value("spectrum", TensorProto.FLOAT, ["frames", 2, "bins", 2]),
            value("direction", TensorProto.FLOAT, ["frames", "targets", 2]),
        ],
        [value("masks", TensorProto.FLOAT, ["frames", "targets", 1, "bins"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class EngineSandbox:
    """A user's folders of their own, and an engine in them that can be started and killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir="/tmp"))  # sockets: short paths
        for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            (self.folder / name).mkdir(mode=0o700)
            monkeypatch.setenv(name, str(self.folder / name))
        monkeypatch.delenv("STEMSTEER_SOCKET", raising=False)
        self.runtime = self.folder / "XDG_RUNTIME_DIR" / "stemsteer"
        self.plugin_log = self.folder / "XDG_STATE_HOME" / "stemsteer" / "plugin.log"
        self.engine_log = self.folder / "XDG_STATE_HOME" / "stemsteer" / "engine.log"
        self.identity = identity_model(self.folder / "identity.onnx")
        self.engine: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile("a+b")  # noqa: SIM115  (what engines say there)

    def start(self, model: str | Path = "panorama", *options: str) -> int:
        """Start an engine; returns its pid when it answers."""
        command = [sys.executable, "-m", "plugin_bridge.cli", "serve", "--model", str(model)]
        self.engine = subprocess.Popen([*command, *options], cwd=ROOT, stderr=self._errors)
        until(self.is_ready, "the engine has a process ready")
        return self.engine.pid

    def is_ready(self) -> bool:
        """Return whether it has a process ready. Fails if it has ended by itself."""
        assert self.engine is not None
        assert self.engine.poll() is None, self.said()
        return bool((self.status() or {}).get("reserve"))

    def said(self) -> str:
        """Return what engines have said on their streams of errors."""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def osc_port(self) -> int:
        """Return the port on which the engine listens for OSC, which it may have chosen itself."""
        lines = [line for line in self.said().splitlines() if line.startswith("listening for OSC")]
        return int(lines[-1].rsplit(" ", 1)[1])

    def status(self) -> dict | None:
        """What the engine says of itself, however busy the machine; None if none is there."""
        with contextlib.suppress(StemsteerError):
            return ask_status(60.0)
        return None

    def instances(self) -> list[dict]:
        status = self.status()
        return status["instances"] if status else []

    def busiest(self) -> dict:
        """The instance that has processed most."""
        return max(self.instances(), key=lambda instance: instance["hops"])

    def workers(self) -> list[int]:
        """The pids of the audio processes of instances that are ready."""
        return [i["worker"] for i in self.instances() if "tier" in i]

    def send(self, number: signal.Signals) -> None:
        assert self.engine is not None
        self.engine.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the engine; returns its exit status."""
        if self.engine is None:
            return 0
        self.send(number)
        code = self.engine.wait(60)
        self.engine = None
        return code

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        print(self.said(), end="", file=sys.stderr)
        self._errors.close()
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def sandboxed_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineSandbox]:
    """A `EngineSandbox` that is cleared at the end."""
    own = EngineSandbox(monkeypatch)
    try:
        yield own
    finally:
        gc.collect()  # plugins that are left would greet the next engine
        own.close()


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def noise(samples: int, *, seed: int = 0, scale: float = 0.1) -> np.ndarray:
    """Stereo noise (2, samples)."""
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((2, samples))).astype(np.float32)


def panned(samples: int, azimuths_deg: list[float], *, seed: int = 0) -> np.ndarray:
    """Bands of noise, each hard at its own direction: (directions, 2, samples)."""
    rng = np.random.default_rng(seed)
    images = []
    for azimuth_deg in azimuths_deg:
        theta = np.radians(azimuth_deg + 45)
        source = 0.1 * rng.standard_normal(samples)
        images.append([np.cos(theta) * source, np.sin(theta) * source])
    return np.array(images, np.float32)


def level_db(sound: np.ndarray, against: np.ndarray) -> float:
    """Level of a signal relative to another, dB."""
    return float(10 * np.log10((sound**2).sum() / (against**2).sum() + 1e-30))


if __name__ == "__main__":  # before the tests, which then find it; what is missing they say
    with contextlib.suppress(pytest.skip.Exception, pytest.fail.Exception):
        built_plugin()
        sanitized_plugin()
        sanitized_plugin("Stemsteer", "thread")
