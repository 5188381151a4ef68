"""The command line as a user meets it: a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from plugin_bridge.cli.errors import ErrorBoundary
from realtime.errors import StemsteerError


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
        (PermissionError(13, "Permission denied", "/x"), 1, "stemsteer: /x: permission denied\n"),
        (KeyboardInterrupt(), 130, "stemsteer: stopped\n"),
        (KeyboardInterrupt(15), 143, "stemsteer: stopped\n"),
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


def test_doctor_names_every_needed_package():
    done = stemsteer("doctor", "--json")
    assert '"onnxruntime"' in done.stdout
    assert '"pedalboard"' in done.stdout


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
