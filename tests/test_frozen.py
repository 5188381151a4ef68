"""What `build/freeze.sh` made: started without Python's help, it does what the source does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.engine_sandbox import ROOT
from tests.support.tf_bundle import tensorflow_names, write_bundle
from tests.support.unet import random_weights
from tests.support.waiting import until

VARIABLE = "STEMSTEER_FROZEN"
"""Names the folder of the application; .ci/run sets it."""
FOLDER = os.environ.get(VARIABLE, "")

pytestmark = [
    pytest.mark.realtime,  # it starts many processes, which would disturb others
    pytest.mark.skipif(
        not FOLDER, reason=f"sh build/freeze.sh makes it, and {VARIABLE} says where it is"
    ),
]


@pytest.fixture
def home(tmp_path):
    """An empty home, and a copy of the bundled song."""
    shutil.copy(ROOT / "build" / "demo" / "mix.flac", tmp_path / "mix.flac")
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/nowhere", "XDG_RUNTIME_DIR": str(home / "run")}


def stemsteer(home: Path, *words: object) -> str:
    command = [str(Path(FOLDER) / "stemsteer"), *map(str, words)]
    done = subprocess.run(
        command, cwd=home, env=environment(home), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_does_what_the_source_does(home):
    assert "render" in stemsteer(home, "--help")
    words = ("render", "mix.flac", "--azimuth", -30, "--out")
    report = json.loads(stemsteer(home, *words, "stems", "--json"))
    assert len(report["stems"]) == 2
    source = [ROOT / ".venv" / "bin" / "stemsteer", *map(str, words), "source"]
    subprocess.run(source, cwd=home, check=True, capture_output=True)
    for stem in ("target.flac", "residual.flac"):
        frozen, whole = (home / folder / stem for folder in ("stems", "source"))
        assert frozen.read_bytes() == whole.read_bytes()


def test_its_own_processes_start(home):
    stemsteer(home, "scan", "mix.flac", "--plot", "field.png")
    assert (home / "field.png").stat().st_size > 10_000
    (home / "music").mkdir()
    (home / "mix.flac").rename(home / "music" / "mix.flac")
    words = ("catalogue", "music", "--out", "stems", "--azimuth", -30, "--workers", 1)
    assert json.loads(stemsteer(home, *words, "--model", "panorama", "--json"))["done"] == 1


def test_it_brings_the_plugins_and_says_how_to_start_its_engine(home):
    stemsteer(home, "plugin", "install")
    assert (home / ".vst3" / "Stemsteer.vst3").is_dir()
    assert (home / ".clap" / "StemsteerSplit.clap").is_file()
    command = (home / ".config" / "stemsteer" / "autostart").read_text().split("\n")[:-1]
    assert command == [str(Path(FOLDER).resolve() / "stemsteer"), "serve"]
    with subprocess.Popen(command, env=environment(home)) as engine:
        try:
            until((home / "run" / "stemsteer" / "engine.sock").exists, "the engine listens")
            assert json.loads(stemsteer(home, "status", "--json"))["pid"] == engine.pid
        finally:
            engine.terminate()
    stemsteer(home, "plugin", "uninstall")
    assert not list((home / ".vst3").iterdir())


def test_it_makes_models_of_weights_and_runs_its_own_pip(home):
    weights = tensorflow_names([random_weights(0), random_weights(1)])
    write_bundle(home / "two", weights)
    stemsteer(home, "models", "add", "two", "--name", "mine")
    assert json.loads(stemsteer(home, "models", "show", "mine", "--json"))["knows"] == ["vocals"]
    words = ("mix.flac", "--instrument", "vocals", "--model", "mine", "--out", "voice")
    stemsteer(home, "render", *words)
    assert (home / "voice" / "vocals.flac").is_file()
    done = subprocess.run(
        [str(Path(FOLDER) / "stemsteer"), "models", "add", "spleeter"],
        cwd=home, env=environment(home) | {"PIP_NO_INDEX": "1"}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "index is out of reach, or has it not" in done.stderr, "that is what its pip says"
