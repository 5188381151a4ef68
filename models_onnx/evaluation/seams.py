"""Measure what is heard where pieces of a file meet: ``python -m models_onnx evaluate-seams SONG``.

A model that sees a stretch of sound at once takes a file in pieces. A song is separated twice, the
second time with every piece half a piece later: where pieces of one rendering meet, the other has
none, and both hear the same music. So a seam is what is there and not at the same place without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from models_onnx.data import audiofiles
from models_onnx.evaluation import systems
from realtime.arrays import Floats
from realtime.errors import StemsteerError
from realtime.model import Model
from realtime.spec import Tier

TIER = "offline"
AUDIBLE_DB = -40.0
"""Frames are looked at where the stem is louder than this against its mean."""


@dataclass(frozen=True)
class Seams:
    """What a song tells about where pieces meet.

    Parameters
    ----------
    meetings : how often pieces meet, in both renderings.
    steps_db : change of the stem's level from one frame to the next while pieces go over into each
        other, in the mean; `same_db` of the other rendering at the same places.
    differs_db : what differs between the renderings against the stem, while pieces go over into
        each other; `elsewhere_db` in the rest of the song.
    """

    meetings: int
    steps_db: float
    same_db: float
    differs_db: float
    elsewhere_db: float


def measure(model: Model, mixture: Floats, stem: int = 0) -> Seams:
    """Measure the seams in a stem of a mixture (2, samples) at 44.1 kHz.

    Raises
    ------
    StemsteerError : the model takes files in one piece, or the song is shorter than two of them.
    """
    tier = model.spec.tier(TIER)
    if tier.runs is None:
        raise StemsteerError(f"{model.spec.name} takes files frame by frame: there are no pieces")
    later = tier.runs.every // 2 * tier.hop
    padded = np.pad(mixture, ((0, 0), (later, 0)))
    one = systems.separate(model, TIER, mixture, (), 0.0)[stem]
    other = systems.separate(model, TIER, padded, (), 0.0)[stem][:, later:]
    frames = mixture.shape[1] // tier.hop
    own, others = _going_over(tier, 0, frames), _going_over(tier, later, frames)
    if not own.any() or not others.any():
        raise StemsteerError("the song is shorter than two pieces: give a longer one")
    powers = [_power(stem, tier.hop, frames) for stem in (one, other, one - other)]
    loud = powers[0] > powers[0].mean() * 10 ** (AUDIBLE_DB / 10)
    steps = [np.abs(np.diff(10 * np.log10(power + 1e-12), prepend=np.nan)) for power in powers[:2]]
    both = (own | others) & loud
    return Seams(
        _beginnings(own) + _beginnings(others),
        float(np.nanmean(np.concatenate([steps[0][own & loud], steps[1][others & loud]]))),
        float(np.nanmean(np.concatenate([steps[1][own & loud], steps[0][others & loud]]))),
        _ratio_db(powers[2][both], powers[0][both]),
        _ratio_db(powers[2][loud & ~both], powers[0][loud & ~both]),
    )


def _going_over(tier: Tier, later: int, frames: int) -> NDArray[np.bool_]:
    """Tell in which frames of a song the masks of one piece go over into those of the next.

    Parameters
    ----------
    later : samples by which the pieces begin later in the song.
    """
    runs = tier.runs
    assert runs is not None
    found = np.zeros(frames, bool)
    first = 2 * runs.every - 1 + runs.age  # frame at which the second run begins to serve
    for start in range(first, frames + runs.every + later // tier.hop, runs.every):
        centre = (start + 1) * tier.hop - tier.synthesis // 2 - later
        place = centre // tier.hop
        found[max(0, place) : max(0, place + max(1, runs.fade))] = True
    return found


def _beginnings(marked: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(marked[1:] & ~marked[:-1]))


def _power(audio: Floats, hop: int, frames: int) -> NDArray[np.float64]:
    cut = audio[:, : frames * hop].reshape(2, frames, hop)
    return np.square(cut, dtype=np.float64).mean((0, 2))


def _ratio_db(difference: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    return float(10 * np.log10(difference.sum() / whole.sum() + 1e-20))


def main(
    song: Annotated[list[Path], typer.Argument(help="Songs, a minute or longer each.")],
    model: Annotated[str, typer.Option(help="Model that is judged, by name.")] = "spleeter",
) -> None:
    """Print how the first stem of a model changes where pieces meet, and at the same places."""
    loaded = systems.judged_model(model, TIER, "nothing")
    print("| song | pieces meet | step there | step without | differs there | elsewhere |")
    print("|---|---|---|---|---|---|")
    for path in song:
        found = measure(loaded, audiofiles.read(path))
        print(f"| {path.stem} | {_cells(found)} |")


def _cells(found: Seams) -> str:
    levels = (found.steps_db, found.same_db, found.differs_db, found.elsewhere_db)
    return " | ".join([str(found.meetings), *(f"{level:.2f} dB" for level in levels)])
