"""What README and guide show works: every command and every line of Python in them is run here.

What other pages show, and commands that are endless or tried elsewhere, has options that exist.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer.main
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.picture.recognise import Recognised
from tests.support.models import source_model

ROOT = Path(__file__).parents[2]
PAGES = {
    page: (ROOT / page).read_text(encoding="utf-8")
    for page in (
        "README.md",
        "plugin_bridge/GUIDE.md",
        "plugin_bridge/PROTOCOL.md",
        "plugin_bridge/daw/README.md",
        "models_onnx/MODELS.md",
        "models_onnx/SPEED.md",
    )
}
RUN = ("README.md", "plugin_bridge/GUIDE.md")
ENDLESS = ("bench", "serve", "status", "live", "plugin", "record", "osc", "panel", "catalogue")
"""Or tried elsewhere."""
SONG_S = 10
"""As much of the bundled song as the examples speak of."""


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands(page):
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    ours = [w[1:] for w in words if w[:1] == ["stemsteer"] and w[1] not in ENDLESS]
    ours = [w for w in ours if "--panel" not in w]  # which is endless, too
    return [w for w in ours if w[:2] != ["models", "add"]]  # which needs a network


PROGRAMS = [program for page in RUN for program in blocks(page, "python")]


def test_there_are_examples_to_run():
    assert len(commands("README.md")) >= 8
    assert len(commands("plugin_bridge/GUIDE.md")) >= 5
    assert len(PROGRAMS) >= 1


def lines_of_code(page):
    """Lines in blocks for the shell, and code within lines."""
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    in_blocks = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return in_blocks + re.findall(r"`([^`\n]*)`", text)


def options_of(command):
    """The options of a command, or of all commands of a group."""
    if commands_of := getattr(command, "commands", None):
        return set().union(*(options_of(one) for one in commands_of.values()))
    return {name for p in command.params for name in p.opts + p.secondary_opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_is_there_with_its_options(page):
    wrong = []
    for line in lines_of_code(page):
        command, words = typer.main.get_command(cli.app), line.split("#")[0].split()
        if words[:1] != ["stemsteer"]:
            continue
        for word in words[1:]:
            if word.startswith("--") and word.split("=")[0] not in options_of(command):
                wrong.append(line)
            elif hasattr(command, "commands") and word in command.commands:
                command = command.commands[word]
            elif hasattr(command, "commands") and word.islower():
                wrong.append(line)
    assert not wrong


@pytest.mark.parametrize("page", RUN)
def test_every_option_that_a_page_names_alone_is_there(page):
    scripts = "".join(file.read_text() for file in (ROOT / "build").glob("*.sh"))
    named = {line.split()[0] for line in lines_of_code(page) if line.startswith("--")}
    known = options_of(typer.main.get_command(cli.app)) | set(re.findall(r"--[\w-]+", scripts))
    assert len(named) >= 10
    assert named <= known


@pytest.mark.parametrize("page", RUN)
def test_every_command_works_in_the_order_of_the_page(page, tmp_path, monkeypatch):
    song, rate_hz = soundfile.read(ROOT / "build" / "demo" / "mix.flac", SONG_S * 44_100)
    soundfile.write(tmp_path / "song.flac", song, rate_hz)
    source_model(tmp_path / "singer.onnx", {"vocals": 0.5})  # stands for one that was added
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen = Recognised(("guitar",), 0.9, {})  # stands for the network of pictures
    monkeypatch.setattr("plugin_bridge.picture.recognise.recognise", lambda path: seen)
    for name, text in re.findall(r"`(\w+\.\w+)`:\n```\w+\n(.*?)```", PAGES[page], re.DOTALL):
        Path(name).write_text(text)
    for words in commands(page):
        arguments, _, output = (words, "", "") if ">" not in words else _redirected(words)
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 0, (arguments, done.output)
        if output:
            Path(output).write_text(done.stdout)
    if page != "README.md":
        return
    assert Path("field.png").exists()
    for stem in ("voice/vocals", "song-stems/target", "without-guitar/residual"):
        assert soundfile.info(f"{stem}.flac").frames == soundfile.info("song.flac").frames


def _redirected(words):
    where = words.index(">")
    return words[:where], ">", words[where + 1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_piece_of_python_runs(program):
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4410)).astype(np.float32)
    names = {"block": block}
    exec(program, names)
    assert names["guitar"].shape == names["residual"].shape == block.shape
