"""`stemsteer plugin`: install and remove the plugin for hosts on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

plugin = typer.Typer(no_args_is_help=True, help="Install or remove the plugin for DAWs.")


@plugin.command()
def install(
    prebuilt: Annotated[
        Path | None, typer.Option(help="Folder of bundles that are built already.")
    ] = None,
) -> None:
    """Put the plugin into your plugin folders, built here if need be.

    The plugin starts the engine when it is loaded.
    """
    from plugin_bridge.plugin.install import has_window, unit_file
    from plugin_bridge.plugin.install import install as run

    for path in run(prebuilt):
        typer.echo(f"wrote {path}")
    if not has_window():
        typer.echo(
            "The plugin was built without its window: for that, run `sudo apt install libxcb1-dev "
            "libcairo2-dev` and install it again"
        )
    typer.echo(
        "The plugin starts the engine when it needs it. To have it run always: "
        f"systemctl --user enable --now {unit_file().stem}"
    )


@plugin.command()
def uninstall() -> None:
    """Remove what `stemsteer plugin install` and the engine have written."""
    from plugin_bridge.plugin.install import is_engine_running
    from plugin_bridge.plugin.install import uninstall as run

    removed = run()
    for path in removed:
        typer.echo(f"removed {path}")
    if not removed:
        typer.echo("nothing of Stemsteer is installed")
    if is_engine_running():
        typer.echo("an engine is running: when it has ended, run this again to remove its logs")
