"""How sure a teacher can be of what it takes out of a mix, told from the sounds themselves.

A mask m gives m X of a mixture X. Where it is its source's share of the power there, as a Wiener
filter's is, so is m the share of the estimate that is the source's own. The purity of an estimate
is the mean of that over its power, Σ m |m X|² / Σ |m X|²: near 1 where masks are 0 or 1, and 1/2
where everything is shared evenly. It sees what a teacher doubts, not what it takes for another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.arrays import Floats
from realtime.sliding import hann
from realtime.stft import analyse

WINDOW, HOP = 4096, 2048
LOOK = 22 * HOP
"""Samples that are looked at together, about a second."""
SURE = 0.95
"""Purity from which on an estimate is taken."""
SUNG_DB, UNSUNG_DB = -15.0, -40.0
"""Level of the voice against the mixture from which on it sings, and below which nobody does."""
HEARD_DB = -10.0
"""Level of an accompaniment from which on it is heard beside its voice."""
SILENT_RMS = 1e-3
_TINY = 1e-20


@dataclass(frozen=True)
class Look:
    """What is known of a second of a mix.

    Parameters
    ----------
    voice_db, accompaniment_db : levels against the mixture, dB.
    voice, accompaniment : purities, 0 to 1.
    rms : of the mixture, full scale at 1.
    """

    voice_db: float
    accompaniment_db: float
    voice: float
    accompaniment: float
    rms: float

    @property
    def sure(self) -> frozenset[str]:
        """Return what may be taken: "vocals" and "accompaniment", or "mixture" where none sings."""
        if self.rms < SILENT_RMS:
            return frozenset()
        if self.voice_db < UNSUNG_DB:
            return frozenset({"mixture"})
        if self.voice_db < SUNG_DB or self.voice < SURE:
            return frozenset()
        heard = self.accompaniment >= SURE and self.accompaniment_db >= HEARD_DB
        return frozenset({"vocals", "accompaniment"} if heard else {"vocals"})


def look_at(mixture: Floats, voice: Floats) -> Look:
    """Look at a second of a mixture (2, samples) and of the voice taken out of it."""
    mixed, sung = (analyse(audio, hann(WINDOW), HOP) for audio in (mixture, voice))
    own, rest = np.abs(sung), np.abs(mixed - sung)
    mask = own / (own + rest + _TINY)
    powers = [
        float(np.square(size, dtype=np.float64).sum()) + _TINY
        for size in (own, rest, np.abs(mixed))
    ]
    return Look(
        voice_db=float(10 * np.log10(powers[0] / powers[2])),
        accompaniment_db=float(10 * np.log10(powers[1] / powers[2])),
        voice=float((mask * own**2).sum(dtype=np.float64) / powers[0]),
        accompaniment=float(((1 - mask) * rest**2).sum(dtype=np.float64) / powers[1]),
        rms=float(np.sqrt(np.square(mixture, dtype=np.float64).mean())),
    )
