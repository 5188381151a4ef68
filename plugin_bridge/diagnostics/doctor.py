"""Check the machine: what is installed, what is missing, what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from plugin_bridge.launch import is_frozen

NEEDED = (
    "numpy",
    "onnxruntime",
    "pedalboard",
    "soundfile",
    "typer",
    "rich",
    "defusedxml",
    "matplotlib",
    "python-osc",
    "mido",
)
_TRAIN = "torch onnx av pyyaml pyfluidsynth fast_bss_eval museval praat-parselmouth scipy"
_DEV = "adm-osc pytest pytest-xdist hypothesis ruff mypy norbert playwright axe-playwright-python"
EXTRAS = {
    "live": ("sound cards and MIDI", "sounddevice python-rtmidi"),
    "panel": ("the panel in a browser", "starlette uvicorn websockets"),
    "models": ("adding models", "onnx"),
    "pictures": ("pictures of instruments", "onnx pillow"),
    "cluster": ("catalogues", "distributed cryptography"),
    "discovery": ("--announce", "zeroconf"),
    "train": ("training models", _TRAIN),
    "freeze": ("making the application without Python", "pyinstaller"),
    "host": ("the tests with JACK", "JACK-Client"),
    "validate": ("the tests of the plugin in a second host", "dawdreamer"),
    "dev": ("all other tests", _DEV),
}
"""Of each extra of the project what it is for, and its packages."""
CONTRIBUTORS = ("train", "freeze", "host", "validate", "dev")
"""Extras that only those need who work on Stemsteer: users are not told that they are missing."""
OWN_IMPORTS = ("load_model", "Separator")


@dataclass(frozen=True)
class Check:
    """One check. `remedy` is empty when all is well; what is `needed` must be well."""

    name: str
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def well(self) -> bool:
        return not self.remedy


def examine() -> list[Check]:
    """Run every check; none of them raises."""
    return [
        _python(),
        *map(_package, NEEDED),
        _own_package(),
        _models(),
        _formats(),
        *_extras(),
        _shared_memory(),
        *_plugin(),
        _machine(),
    ]


def _plugin() -> Iterator[Check]:
    """Check the plugin in DAWs and its engine; nothing else needs them."""
    from plugin_bridge.plugin.install import state
    from realtime.errors import StemsteerError, one_line

    try:
        for name, found, remedy in state():
            yield Check(name, found, remedy, needed=False)
    except (OSError, StemsteerError) as error:
        remedy = "plugin and engine need folders that you may write to: see `ls -ld` of that one"
        yield Check("your folders", one_line(error), remedy, needed=False)


def _python() -> Check:
    found = f"{platform.python_version()} in {sys.prefix}"
    return Check("python", found, "" if sys.version_info >= (3, 10) else "install Python >= 3.10")


def _package(name: str) -> Check:
    version = _version(name)
    return Check(name, version or "missing", "" if version else f"run: pip install {name}")


def _version(package: str) -> str:
    """Return the version of an installed package, empty if it is not here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _own_package() -> Check:
    """Check that `import realtime` finds this package, not the unrelated one of that name."""
    import realtime

    folder = os.path.dirname(realtime.__file__ or "?")
    if all(hasattr(realtime, name) for name in OWN_IMPORTS):
        return Check("realtime", folder)
    return Check(
        "realtime",
        f"another package, in {folder}",
        "install Stemsteer into an environment of its own",
    )


def _formats() -> Check:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Check("audio formats", str(error), "run: pip install --force-reinstall soundfile")
    formats = sorted(set(soundfile.available_formats()) & {"WAV", "FLAC", "AIFF", "OGG", "MP3"})
    found = f"{', '.join(formats)} by libsndfile {soundfile.__libsndfile_version__}"
    return Check("audio formats", found, "" if "MP3" in formats else "MP3 needs libsndfile >= 1.1")


def _models() -> Check:
    from plugin_bridge.model_choice import PREFERRED
    from plugin_bridge.model_library import found_models

    found = found_models()
    usable = sorted(one.path.stem for one in found if one.spec)
    broken = sorted(one.path.stem for one in found if not one.spec)
    shown = ", ".join(usable) or "none"
    if broken:
        return Check("models", shown, f"broken: {', '.join(broken)}; see `stemsteer models`")
    if not usable:
        return Check("models", shown, "get the files of models_onnx/weights, or clone again")
    missing = sorted(name for name in PREFERRED if not any(u.startswith(name) for u in usable))
    remedy = f"without {', '.join(missing)}; see models_onnx" if missing else ""
    return Check("models", shown, remedy, needed=False)


def _extras() -> Iterator[Check]:
    """Check the extras, which some commands need and separation does not.

    Into the frozen application nothing can be installed: what it lacks is not for its users.
    """
    for name, (purpose, packages) in EXTRAS.items():
        versions = {package: _version(package) for package in packages.split()}
        missing = [package for package, version in versions.items() if not version]
        if missing and (is_frozen() or name in CONTRIBUTORS):
            continue
        there = ", ".join(f"{package} {version}" for package, version in versions.items())
        found = f"without {', '.join(missing)}" if missing else there
        remedy = f"for {purpose}: pip install 'stemsteer[{name}]'" if missing else ""
        yield Check(f"extra {name}", found, remedy, needed=False)


def _shared_memory() -> Check:
    """Check the memory that plugins and the engine share."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    free_mb = shutil.disk_usage(folder).free / 1e6
    remedy = (
        "" if os.access(folder, os.W_OK) and free_mb > 8 else "make it writable, with 8 MB free"
    )
    return Check("shared memory", f"{free_mb:.0f} MB free in {folder}", remedy, needed=False)


def _machine() -> Check:
    return Check("machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}")
