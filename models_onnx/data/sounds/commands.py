"""The command that brings sounds of others into a folder: ``python -m models_onnx gather``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gather(
    out: Annotated[Path, typer.Argument(help="new folder of recordings, with an INDEX.csv")],
    drumkits: Annotated[
        list[Path] | None, typer.Option(help="folder of Hydrogen's drum kits")
    ] = None,
    notes: Annotated[
        list[Path] | None,
        typer.Option(help="folder with a folder for each instrument, files called A3, Fs4, …"),
    ] = None,
    speech: Annotated[
        list[Path] | None,
        typer.Option(help="folder with a folder of spoken syllables for each speaker, to be sung"),
    ] = None,
) -> None:
    """Bring drum kits, notes and voices that others publish into a folder of recordings."""
    from models_onnx.data.sounds.gather import gather as gather_sounds

    found = gather_sounds(out, drumkits or (), notes or (), speech or ())
    print(f"{out}: " + ", ".join(f"{count} {name}" for name, count in found.items()))
