"""Which files of a folder are finished mixes that a teacher may take apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models_onnx.data.naming import label_of
from models_onnx.data.sets.loaders import MIXES, SUFFIXES
from realtime.errors import StemsteerError


def find_mixes(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the finished mixes in a folder and those below it, in order.

    Returns
    -------
    The mixes; and the folders that hold true stems, which are better than what a teacher makes of
    their mix: those with a mix among other files, or with several files called by instruments.

    Raises
    ------
    StemsteerError : it is no folder, or there is no sound in it.
    """
    if not folder.is_dir():
        raise StemsteerError(f"{folder} is not a folder: give one of songs")
    mixes: list[Path] = []
    stems: list[Path] = []
    for place in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
        found = list(_sounds(place))
        if _are_stems(found):
            stems.append(place)
        else:
            mixes += found
    if not mixes and not stems:
        raise StemsteerError(f"{folder} holds no sound: expected songs as WAV, FLAC, Ogg, MP3 …")
    return mixes, stems


def _sounds(place: Path) -> Iterator[Path]:
    for path in sorted(place.iterdir()):
        hidden = path.name.startswith(".")
        streams = path.name.lower().endswith(".stem.mp4")  # true stems in one file
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden and not streams:
            yield path


def _are_stems(files: list[Path]) -> bool:
    if len(files) < 2:
        return False
    named = {label_of(path.stem.replace("_", " ")).name for path in files} - {"other"}
    return any(path.stem.lower() in MIXES for path in files) or len(named) > 1
