"""The command line as a user meets it: a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Annotated

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from plugin_bridge.cli.app import app
from plugin_bridge.cli.console import print_table, say_json
from plugin_bridge.cli.engine import _describe
from plugin_bridge.cli.errors import ErrorBoundary
from plugin_bridge.cli.options import grouped
from realtime.errors import StemsteerError

REFUSED = (
    "stemsteer: /a/x: permission denied; choose another place, or see by `ls -ld` who may read and "
    "write there\n"
)
TOO_LONG = "stemsteer: /a/x: file name too long; give a shorter one\n"


def stemsteer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plugin_bridge.cli", *arguments], capture_output=True, text=True
    )


def test_help_loads_nothing_slow():
    slow = ["numpy", "onnxruntime", "pedalboard", "matplotlib", "torch", "soundfile"]
    program = (
        "import sys\nfrom plugin_bridge.cli.app import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StemsteerError("the weights\nare broken"), 1, "stemsteer: the weights are broken\n"),
        (ValueError("azimuth is 90"), 1, "stemsteer: azimuth is 90\n"),
        (OSError(28, "No space left", "/x"), 1, "stemsteer: /x: no space left\n"),
        (PermissionError(13, "Permission denied", "/a/x"), 1, REFUSED),
        (OSError(36, "File name too long", "/a/.x.4711.part"), 1, TOO_LONG),
        (OSError(30, "Permission denied", "/a/.x.4711.part"), 1, REFUSED),
        (KeyboardInterrupt(), 130, "stemsteer: stopped\n"),
        (KeyboardInterrupt(15), 143, "stemsteer: stopped\n"),
        (MemoryError("9 GiB"), 1, "stemsteer: not enough memory: 9 GiB\n"),
        (MemoryError(), 1, "stemsteer: not enough memory: close something else, or ask for less\n"),
    ],
)
def test_an_error_of_the_users_is_said_in_one_line(error, code, words):
    app = typer.Typer(cls=ErrorBoundary)

    @app.callback()
    def group() -> None: ...

    @app.command()
    def break_off() -> None:
        raise error

    done = CliRunner().invoke(app, ["break-off"])
    assert done.exit_code == code
    assert done.stderr == words
    assert done.stdout == ""


def test_a_fault_of_our_own_is_not_hidden():
    app = typer.Typer(cls=ErrorBoundary)

    @app.callback()
    def group() -> None: ...

    @app.command()
    def break_off() -> None:
        raise TypeError("ours")

    assert isinstance(CliRunner().invoke(app, ["break-off"]).exception, TypeError)


def boundary(command):
    """A command line of one command, and what it comes to."""
    app = typer.Typer(cls=ErrorBoundary, pretty_exceptions_enable=False)

    @app.callback()
    def group() -> None: ...

    app.command("go")(command)
    return CliRunner().invoke(app, ["go"])


def numpy_refuses() -> None:
    np.zeros(3) + np.zeros(4)


def library_refuses() -> None:
    json.loads("{")


@pytest.mark.parametrize("fault", [numpy_refuses, library_refuses])
def test_a_value_that_a_library_refuses_is_a_fault_of_our_own(fault):
    assert isinstance(boundary(fault).exception, ValueError)


def test_with_debug_every_error_keeps_its_traceback(monkeypatch):
    def refuse() -> None:
        raise StemsteerError("no such file")

    assert boundary(refuse).stderr == "stemsteer: no such file\n"
    monkeypatch.setenv("STEMSTEER_DEBUG", "1")
    assert isinstance(boundary(refuse).exception, StemsteerError)


def test_text_that_is_not_utf8_is_said_in_one_line():
    done = boundary(lambda: b"caf\xe9".decode())
    assert done.exit_code == 1
    assert done.stderr.startswith("stemsteer: 'utf-8' codec can't decode byte 0xe9")


def test_an_error_cannot_steer_the_terminal():
    def refuse() -> None:
        raise StemsteerError("\x1b]0;owned\x07\x1b[31m.wav is empty")

    assert boundary(refuse).stderr == "stemsteer: \\x1b]0;owned\\x07\\x1b[31m.wav is empty\n"


def test_names_in_tables_are_no_markup_and_cannot_steer_the_terminal(capsys):
    print_table(("[b]name", "what"), [("[red]guitar[/b]", "\x1b[31mx"), ("caf\udce9", ":smile:")])
    words = capsys.readouterr().out
    for shown in ("[red]guitar[/b]", "\\x1b[31mx", "caf\\xe9", ":smile:"):
        assert shown in words
    assert "\x1b" not in words


def test_json_of_a_name_that_is_not_utf8_is_json(capsys):
    say_json({"path": "caf\udce9.wav", "other": "né"})
    assert json.loads(capsys.readouterr().out)["path"] == "caf\udce9.wav"


def test_status_shows_labels_without_their_escape_sequences():
    row = {
        "name": "\x1b[31mlead", "host": "\x1b]0;x\x07", "format": "LV2", "model": "",
        "rate_hz": 44100, "block": 512, "latency": 1024, "load": 0.1, "dropouts": 0,
        "worst_hop_ms": 1.0, "instrument": "any", "timbres": {"like": "", "unlike": ""},
        "model_faults": 3,
    }  # fmt: skip
    words = _describe({"pid": 1, "running_s": 2.0, "model": "panorama", "instances": [row]})
    assert "any, (3 times the model gave no mask or no activity)" in words
    assert "\x1b" not in words
    assert "\\x1b[31mlead" in words


@dataclasses.dataclass(frozen=True)
class Group:
    size: Annotated[int, typer.Option(help="How large.")] = 3
    names: Annotated[list[str] | None, typer.Option("--name")] = None


SEEN = []


def takes_a_group(group: Group, loud: bool = False) -> None:
    SEEN.append((group, loud))


def test_options_of_a_group_are_options_of_the_command():
    app = typer.Typer()
    app.command()(grouped(takes_a_group))
    assert CliRunner().invoke(app, ["--name", "a", "--name", "b", "--loud"]).exit_code == 0
    assert CliRunner().invoke(app, ["--size", "x"]).exit_code == 2
    assert [(Group(3, ["a", "b"]), True)] == SEEN


def test_doctor_names_every_needed_package():
    done = stemsteer("doctor", "--json")
    assert '"onnxruntime"' in done.stdout
    assert '"pedalboard"' in done.stdout


@pytest.mark.parametrize("command", ["render", "scan"])
def test_a_second_file_is_answered_with_what_takes_several(command):
    done = CliRunner().invoke(app, [command, "one.flac", "two.flac"])
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.exit_code == 2
    assert f"'two.flac' is more than the one file that `stemsteer {command}` takes" in said
    assert "`stemsteer catalogue FOLDER --out STEMS`" in said


def test_an_empty_word_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, place in ((["render", "a.wav", "--out", ""], "--out"), (["scan", ""], "scan")):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert f"what follows {place} is empty" in " ".join(done.stderr.split())


def test_ctrl_c_while_it_loads_ends_it_quietly():
    program = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'plugin_bridge.cli.render':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from plugin_bridge.cli.app import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "stemsteer: stopped\n")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device that is full")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_output_that_is_full_is_told_with_where_the_stems_are(song, tmp_path, form):
    out = tmp_path / "out"
    words = (*("render", song, "--azimuth", "-30", "--model", "panorama", "--out", out), *form)
    scan = ("scan", song, "--no-instruments", *form)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for command, more in ((words, f"; the stems are in {out}"), (scan, "")):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "plugin_bridge.cli", *map(str, command)],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=buffered,  # Python tries again at its end to print what it has kept
            )
        assert done.returncode == 1
        said = "what was printed could not be written (no space left on device)"
        assert done.stderr == f"stemsteer: {said}{more}\n"
    assert len(list(out.iterdir())) == 2
