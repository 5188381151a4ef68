"""Make training data of finished mixes: ``python -m models_onnx teach FOLDER --out DATA``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from models_onnx.data.teaching.mixes import find_mixes
from models_onnx.data.teaching.stretches import load_teacher
from models_onnx.data.teaching.teach import teach
from realtime.errors import StemsteerError, one_line


def main(
    folder: Annotated[Path, typer.Argument(help="folder of songs, as they were released")],
    out: Annotated[Path, typer.Option(help="folder of shards, made or continued")],
    model: Annotated[str, typer.Option(help="the teacher: takes vocals out of files")] = "spleeter",
) -> None:
    """Take voices and accompaniments out of finished mixes, where that is sure, to train on them.

    Never give it songs that models are judged on, or that you may not train on.
    """
    songs, with_stems = find_mixes(folder)
    for place in with_stems:
        print(f"{place}: has true stems, train on it itself", file=sys.stderr)
    failed = 0
    for found in teach(songs, out, load_teacher(model)):
        if isinstance(found, StemsteerError):
            failed += 1
            print(f"error: {one_line(found)}", file=sys.stderr)
            continue
        print(f"{found.song}: {found.vocals_s:.0f} s vocals, "
              f"{found.accompaniment_s:.0f} s accompaniment", flush=True)  # fmt: skip
    if failed:
        raise typer.Exit(1)
