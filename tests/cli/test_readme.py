"""What the README shows works: every command and every line of Python in it is run here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.picture.recognise import Recognised
from tests.support.models import source_model

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENDLESS = ("bench", "serve", "status", "live", "plugin", "record", "osc", "panel", "catalogue")
"""Or tried elsewhere."""
SONG_S = 10
"""As much of the bundled song as the examples speak of."""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    ours = [w[1:] for w in words if w[:1] == ["stemsteer"] and w[1] not in ENDLESS]
    ours = [w for w in ours if "--panel" not in w]  # which is endless, too
    return [w for w in ours if w[:2] != ["models", "add"]]  # which needs a network


def test_there_are_examples_to_run():
    assert len(commands()) >= 8
    assert len(blocks("python")) >= 1


def test_every_command_works_in_the_order_of_the_readme(tmp_path, monkeypatch):
    song, rate_hz = soundfile.read(ROOT / "build" / "demo" / "mix.flac", SONG_S * 44_100)
    soundfile.write(tmp_path / "song.flac", song, rate_hz)
    source_model(tmp_path / "singer.onnx", {"vocals": 0.5})  # stands for one that was added
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen = Recognised(("guitar",), 0.9, {})  # stands for the network of pictures
    monkeypatch.setattr("plugin_bridge.picture.recognise.recognise", lambda path: seen)
    for name, text in re.findall(r"`(\w+\.\w+)`:\n```\w+\n(.*?)```", README, re.DOTALL):
        Path(name).write_text(text)
    for words in commands():
        arguments, _, output = (words, "", "") if ">" not in words else _redirected(words)
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 0, (arguments, done.output)
        if output:
            Path(output).write_text(done.stdout)
    assert Path("field.png").exists()
    for stem in ("voice/vocals", "song-stems/target", "without-guitar/residual"):
        assert soundfile.info(f"{stem}.flac").frames == soundfile.info("song.flac").frames


def _redirected(words):
    where = words.index(">")
    return words[:where], ">", words[where + 1]


@pytest.mark.parametrize("program", blocks("python"))
def test_every_piece_of_python_runs(program):
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4410)).astype(np.float32)
    names = {"block": block}
    exec(program, names)
    assert names["guitar"].shape == names["residual"].shape == block.shape


def test_every_file_that_is_named_is_there():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"sh (build/\w+\.sh)", README):
        assert (ROOT / path).exists(), path
