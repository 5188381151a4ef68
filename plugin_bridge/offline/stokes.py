"""Direction and diffuseness of the bins of a stereo spectrum, by its Stokes parameters.

In every bin the two channels are to each other as the two components of a light wave, and the
Stokes parameters of that wave tell direction from diffuseness (Born & Wolf, "Principles of Optics",
section 1.4; here over L and R)::

    S0 = |L|² + |R|²      S1 = |L|² − |R|²      S2 = 2 Re(L R*)
    θ = atan2(S2, S1) / 2        azimuth = θ − 45°        P = sqrt(S1² + S2²) / S0

One source panned by the constant-power law gives its own θ and P = 1; sounds on top of each
other, and reverberation, give P < 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Floats, Spectra

STEP_DEG = 0.5
AZIMUTH_DEG = np.arange(-45, 45 + STEP_DEG, STEP_DEG)
BEYOND = -1
"""Index of a direction beyond hard left and hard right: the channels are out of phase."""


class Stokes(NamedTuple):
    """The parameters of bins, arrays of one shape: energies, and their differences."""

    s0: Floats
    s1: Floats
    s2: Floats

    @classmethod
    def of(cls, spectra: Spectra) -> Stokes:
        """Return the parameters (frames, bins) of spectra (frames, 2, bins)."""
        left, right = spectra[:, 0], spectra[:, 1]
        left_power, right_power = _square(left), _square(right)
        cross = left.real * right.real + left.imag * right.imag
        return cls(left_power + right_power, left_power - right_power, 2 * cross)

    @property
    def directed(self) -> Floats:
        """Return the energy that has a direction, P · S0."""
        return np.sqrt(self.s1 * self.s1 + self.s2 * self.s2)

    def indices(self) -> NDArray[np.int64]:
        """Return the index in `AZIMUTH_DEG` of each bin's direction, or `BEYOND`."""
        theta_deg = np.degrees(np.arctan2(self.s2, self.s1)) / 2
        index = np.rint(theta_deg / STEP_DEG).astype(np.int64)
        index[index == 1 - AZIMUTH_DEG.size] *= -1  # θ = −90° is hard right, as 90° is
        index[(index < 0) | (index >= AZIMUTH_DEG.size)] = BEYOND
        return index


def _square(spectra: NDArray[np.complex64]) -> Floats:
    return spectra.real * spectra.real + spectra.imag * spectra.imag
