"""The command lines of `stemsteer` and `models_onnx`, run in the process of the test."""

from __future__ import annotations

from collections.abc import Callable

from typer.testing import CliRunner, Result

from models_onnx import commands
from plugin_bridge.cli import app as cli


def stemsteer(*words: object) -> Result:
    """Run `stemsteer` with these words."""
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def onnx_command(main: Callable[..., None], *words: object) -> Result:
    """Run a command of `models_onnx` with these words, on a terminal wide enough for its tables."""
    return CliRunner().invoke(
        commands.app(main),
        [str(word) for word in words],
        catch_exceptions=False,
        env={"COLUMNS": "200"},
    )
