"""What instruments a picture shows: probabilities of ImageNet's classes, gathered by instrument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.picture.image import BORDER, LEAST_SIDE, normalised, read_picture
from plugin_bridge.picture.spec import MODEL, PictureSpec, picture_model, read_picture_spec
from realtime.errors import StemsteerError
from realtime.model import open_session

IMAGENET: dict[str, tuple[int, ...]] = {
    "accordion": (401,),
    "bassoon": (432,),
    "cello": (486,),
    "drums": (541,),
    "flute": (558,),
    "guitar": (402, 420, 546),
    "harp": (594,),
    "horn": (566,),
    "mallets": (494, 642),
    "oboe": (683,),
    "organ": (687,),
    "percussion": (577, 641, 822),
    "piano": (579, 881),
    "reed": (593, 684, 699),
    "saxophone": (776,),
    "trombone": (875,),
    "trumpet": (513,),
    "violin": (889,),
}
"""Numbers of ImageNet's classes that show each instrument; a cornet stands for trumpets."""
NAMED = {401: "accordion", 402: "acoustic guitar", 420: "banjo", 432: "bassoon", 486: "cello",
         494: "chime", 513: "cornet", 541: "drum", 546: "electric guitar", 558: "flute",
         566: "French horn", 577: "gong", 579: "grand piano", 593: "harmonica", 594: "harp",
         641: "maraca", 642: "marimba", 683: "oboe", 684: "ocarina", 687: "organ",
         699: "panpipe", 776: "saxophone", 822: "steel drum", 875: "trombone",
         881: "upright piano", 889: "violin"}  # fmt: skip
LIKE = {
    "guitar": ("bass guitar",),
    "violin": ("viola",),
    "cello": ("double bass",),
    "oboe": ("clarinet",),
    "flute": ("clarinet",),
    "horn": ("tuba",),
    "trombone": ("tuba",),
}
"""Instruments that the network has no class for, by those that it may take them for."""
LEAST = 0.15
"""Probability of all instruments together below which none is seen."""
BESIDE = 0.5
"""Share of the likeliest instrument from which on another one is taken, too."""


@dataclass(frozen=True)
class Recognised:
    """What a picture shows.

    Parameters
    ----------
    instruments : names of the table of controls, the likeliest first; most often one.
    sure : probability of these, 0 … 1, among all classes, instruments or not.
    shares : of every instrument that the network knows, how likely it is if one is shown.
    """

    instruments: tuple[str, ...]
    sure: float
    shares: Mapping[str, float]

    @property
    def note(self) -> str:
        """Return what a user should be told, without the file's name."""
        others = [o for name in self.instruments for o in LIKE.get(name, ())]
        doubt = f"; a {' or '.join(others)} would be taken for that, too" if others else ""
        return f"shows {' and '.join(self.instruments)} ({self.sure:.0%} sure){doubt}"


@lru_cache(maxsize=16)
def recognise(path: Path) -> Recognised:
    """Return what instruments a picture shows.

    Raises
    ------
    StemsteerError if it cannot be read, shows no instrument, or the network is not installed.
    """
    if not picture_model().is_file():
        read_picture(path, LEAST_SIDE)  # what is no picture is told before what it would need
    session, spec = _network()
    image = read_picture(path, spec.size)
    probabilities: NDArray[np.float32] = session.run(["probabilities"], {"image": image})[0][0]
    return gathered(probabilities, str(path))


def recognise_pixels(pixels: NDArray[np.uint8], what: str) -> Recognised:
    """Return what instruments a picture shows that somebody else has read.

    Parameters
    ----------
    pixels : (side, side, 3), the middle of the picture with a border of `BORDER` around it.
    what : the picture's name.

    Raises
    ------
    StemsteerError if it is of another size, shows no instrument, or the network is not installed.
    """
    session, spec = _network()
    edge = (pixels.shape[0] - spec.size) // 2
    if edge < 0 or pixels.shape[0] != round(spec.size * (1 + BORDER)):
        raise StemsteerError(f"{what}: {pixels.shape[0]} pixels are not what the network takes")
    image = normalised(pixels[edge : edge + spec.size, edge : edge + spec.size])
    probabilities: NDArray[np.float32] = session.run(["probabilities"], {"image": image})[0][0]
    return gathered(probabilities, what)


def gathered(probabilities: NDArray[np.float32], what: str) -> Recognised:
    """Gather probabilities (1000,) by instrument. Raises StemsteerError if there is none."""
    found = {name: float(probabilities[list(ids)].sum()) for name, ids in IMAGENET.items()}
    total = sum(found.values())
    ranked = sorted(found, key=lambda name: -found[name])
    if not total >= LEAST:
        best = ranked[0]
        raise StemsteerError(
            f"{what} shows no instrument that is known: {best} is the likeliest, with "
            f"{found[best]:.0%}; give a picture with the instrument large and in the middle, or "
            "say it as --instrument"
        )
    taken = tuple(name for name in ranked if found[name] >= BESIDE * found[ranked[0]])
    shares = {name: found[name] / total for name in ranked}
    return Recognised(taken, sum(found[name] for name in taken), shares)


@lru_cache(maxsize=1)
def _opened(path: Path, written_ns: int) -> tuple[Any, PictureSpec]:
    spec = read_picture_spec(path)
    return open_session(path), spec


def _network() -> tuple[Any, PictureSpec]:
    path = picture_model()
    if not path.is_file():
        raise StemsteerError(
            f"pictures need a model that recognises them: `stemsteer models add {MODEL}` makes it "
            "(17 MB to fetch)"
        )
    return _opened(path, path.stat().st_mtime_ns)
