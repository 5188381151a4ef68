"""A tiny band-split network with random weights, and what it is given."""

from __future__ import annotations

import torch
from torch import Tensor

from models_onnx.networks.band_split import BINS
from models_onnx.networks.timbre_bands import CONFIGS, TimbreBands
from tests.support.networks import stirred

TINY = CONFIGS["bands-tiny"]
SIZE = TINY.bands.timbre
EVERY = TINY.bands.every
ANYWHERE_DEG = 90.0


def tiny_bands() -> TimbreBands:
    """Return a tiny network with random weights."""
    torch.manual_seed(0)
    made = TimbreBands(TINY).requires_grad_(False).eval()
    stirred(made)
    return made


def spectra(frames: int, seed: int = 2) -> Tensor:
    """Spectra (1, frames, 2, bins, 2) of noise that is not alike in both channels."""
    random = torch.Generator().manual_seed(seed)
    left, right = torch.randn(2, frames, BINS, 2, generator=random)
    return torch.stack([left, 0.6 * left + 0.5 * right], 1)[None]


def timbre(seed: int, length: float = 1.0) -> Tensor:
    """A timbre of that length (size,)."""
    random = torch.Generator().manual_seed(seed)
    return length * torch.nn.functional.normalize(torch.randn(SIZE, generator=random), dim=0)


def told(
    frames: int,
    direction: tuple[float, float] = (10.0, ANYWHERE_DEG),
    of: Tensor | None = None,
    against: Tensor | None = None,
) -> dict[str, Tensor]:
    """Conditions of one stream that stay the same."""
    values = {
        "direction": torch.tensor(direction),
        "timbre": timbre(3) if of is None else of,
        "against": torch.zeros(SIZE) if against is None else against,
    }
    return {name: value.expand(1, frames, 1, -1) for name, value in values.items()}
