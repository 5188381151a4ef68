"""What a timbre does to a network: scales and shifts that begin at one and zero.

FiLM (Perez et al., "FiLM: visual reasoning with a general conditioning layer", 2018) of the core in
front of every recurrent layer and behind the last, and of the hidden numbers of every band. All of
it is linear in a code without a bias, so that no timbre, the zero vector, changes nothing: the
network is then told a direction alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.steer.bands import BANDS
from models_onnx.networks.steer.cells import in_a_row, in_time

OPEN = 4.0  # logit of the level at the start: a gain of 0.98


@dataclass(frozen=True)
class Modulation:
    """Scales and shifts of streams over F frames.

    layers : for every recurrent layer, and behind the last, (F, streams, 2 · core).
    hidden : (bands, F · streams, 2 · inner), in the order of mixtures, frames and targets.
    late : gain of what the last layer adds, (core,).
    asked : how far a timbre is asked for, (F, streams, 1), 0 to 1.
    gate : from the core to a logit of the level of all that is given.
    """

    layers: tuple[Tensor, ...]
    hidden: Tensor
    late: Tensor
    asked: Tensor
    gate: nn.Module

    def core(self, layer: int, x: Tensor) -> Tensor:
        """Scale and shift what layer number `layer` sees, (F, streams, core)."""
        return _modulated(x, self.layers[layer])

    def added(self, layer: int, out: Tensor) -> Tensor:
        """Return what layer number `layer` adds: the last one is new, and begins at nothing."""
        return out * self.late if layer == len(self.layers) - 2 else out

    def bands(self, hidden: Tensor) -> Tensor:
        """Scale and shift the hidden numbers of the bands, (bands, F · streams, inner)."""
        return _modulated(hidden, self.hidden)

    def level(self, x: Tensor) -> Tensor:
        """Gain (F, streams, 1) of the masks: what is asked for and is not there is silence.

        A direction alone has a gain of one.
        """
        return 1 - self.asked * torch.sigmoid(-self.gate(x))


def _modulated(x: Tensor, film: Tensor) -> Tensor:
    scale, shift = film.split(int(film.shape[-1]) // 2, -1)
    return x + scale * x + shift


class Film(nn.Module):
    """The modulation of a timbre and a counter-example."""

    def __init__(self, size: int, code: int, core: int, layers: int, inner: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * size, size, bias=False)
        self.squeeze = nn.Linear(3 * size, code, bias=False)
        core_layers = [nn.Linear(code, 2 * core, bias=False) for _ in range(layers + 1)]
        self.core = nn.ModuleList(core_layers)
        self.inner = nn.Parameter(torch.zeros(BANDS, code, 2 * inner))
        self.late = nn.Parameter(torch.zeros(core))
        self.gate = nn.Linear(core, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, OPEN)
        for layer in core_layers:
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.squeeze.weight, std=1.0)  # of unit vectors: numbers of about one

    def forward(self, timbre: Tensor, against: Tensor) -> Modulation:
        """Scales and shifts of conditions (B, F, targets, size); zeros where both are zeros."""
        batch = len(timbre)
        asked = in_time(torch.cat([timbre, against], -1))
        code = self.squeeze(torch.cat([asked, functional.relu(self.mix(asked))], -1))
        return Modulation(
            tuple(layer(code) for layer in self.core),
            torch.matmul(in_a_row(code, batch), self.inner),
            self.late,
            asked.square().sum(-1, keepdim=True).clamp(max=1),
            self.gate,
        )
