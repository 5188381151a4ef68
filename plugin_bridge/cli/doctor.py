"""`stemsteer doctor`."""

from __future__ import annotations

import json

import typer

from plugin_bridge.cli.console import say
from plugin_bridge.cli.options import AsJson


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what is missing, and what to do."""
    from plugin_bridge.diagnostics.doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps({check.name: vars(check) for check in checks}, indent=2))
    else:
        for check in checks:
            mark = "ok  " if check.well else "MISS" if check.needed else "--  "
            say(f"{mark}  {check.name:15}  {check.found}")
            if not check.well:
                say(f"      {'':15}  -> {check.remedy}")
    if any(check.needed and not check.well for check in checks):
        raise typer.Exit(1)
