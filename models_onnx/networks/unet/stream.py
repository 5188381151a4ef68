"""A U-Net as it runs over a stream: one mask a target, and its activity as a weight on it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.unet.system import UNetSystem
from realtime.spec import Tier

GATES = ("none", "hold", "median")
ON, OFF = 0.5, 0.3
"""Activity above which an instrument begins to sound, and below which it ends."""
HOLD_S = 0.15
MEDIAN_S = 0.49
"""The median filter of Hung & Lerch (ISMIR 2020): 21 frames of 1024 samples at 44.1 kHz."""
RATE_HZ = 44_100


class Stream(nn.Module):
    """The separator of a stream, as `NetworkOutput` and `ModelSpec` have it: one mask a target.

    Where the timbre is free, or in part, the mask is one, or goes there: nothing was asked for.

    Parameters
    ----------
    gate : how the activity weighs on the mask. ``none``: not at all; ``hold``: it closes the mask
        once the instrument has been silent for `HOLD_S`, with hysteresis, so nothing waits;
        ``median``: a median over `MEDIAN_S` around, for which masks and activity come later by half
        of it.
    """

    def __init__(self, system: UNetSystem, gate: str = "none") -> None:
        super().__init__()
        self.system = copy.deepcopy(system).eval()
        self.unet = self.system.unet.interleaved()
        self.kind, self.is_binary = system.config.unet.kind, system.config.unet.binary
        hop = system.config.unet.hop
        hold = Hold(round(HOLD_S * RATE_HZ / hop))
        side = round(MEDIAN_S / 2 * RATE_HZ / hop)
        bins = system.config.unet.bins
        self.gate = {"none": None, "hold": hold, "median": Median(side, bins)}[gate]

    @property
    def lookahead(self) -> int:
        """Frames by which masks and activity come later."""
        return self.gate.side if isinstance(self.gate, Median) else 0

    def tier(self) -> Tier:
        """Return the latency setting of the stream."""
        tier = self.system.config.unet.tier
        return Tier(tier.window, tier.synthesis, tier.hop, self.lookahead)

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream."""
        return self.unet.states() | (self.gate.states() if self.gate is not None else {})

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> NetworkOutput:
        """Give masks (B, F, K = 1, 1, bins) of spectra (B, F, 2, bins, 2)."""
        timbre = conditions["timbre"][:, :, 0]  # (B, F, size)
        count = len(self.unet.states())
        masks, carried, logit = self._masks(spectrum, conditions, timbre, states[:count])
        asked = timbre.norm(dim=-1)[..., None].clamp(max=1.0)
        masks = masks * asked + (1 - asked)  # (B, F, bins)
        if self.gate is not None and logit is not None:
            masks, logit, more = self.gate(masks, logit, states[count:])
            carried = (*carried, *more)
        return NetworkOutput(
            masks[:, :, None, None], carried, None if logit is None else logit[..., None]
        )

    def _masks(
        self,
        spectrum: Tensor,
        conditions: Mapping[str, Tensor],
        timbre: Tensor,
        states: Sequence[Tensor],
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
        """Masks (B, F, bins) of what is wanted, the next states, and the logits of activity."""
        against = conditions["against"][:, :, 0] if "against" in conditions else None
        if self.kind != "label":
            answer = self.unet(spectrum, self.system.told(timbre, against), states)
            return answer.masks[:, :, 0], answer.states, answer.activity_logit
        wanted = self.system.told(timbre)
        told = None if against is None else torch.maximum(wanted, self.system.told(against))
        answer = self.unet(spectrum, told, states)
        each = (answer.masks > 0.5).to(answer.masks.dtype) if self.is_binary else answer.masks
        masks = (each * wanted[..., None]).sum(2).clamp(0.0, 1.0)
        return masks, answer.states, None


class Hold(nn.Module):
    """Whether an instrument sounds: hysteresis, and a hold behind it.

    Equation: g[t] = 1 if the last activity outside OFF … ON was above, else 0; the weight is the
    largest g of the last `frames`. Written without a loop, so that one graph serves any F.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the states."""
        return {"gate": (self.frames,)}

    def forward(
        self, masks: Tensor, logit: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Give the masks (B, F, bins) under the weight, the logit, and the next state.

        Parameters
        ----------
        logit : (B, F), its sigmoid is the activity.
        states : the gates before.
        """
        activity = torch.sigmoid(logit)
        before = states[0] if states else activity.new_zeros(len(activity), self.frames)
        said = (activity > ON).float() - (activity < OFF).float()  # (B, F): 1, −1, or 0 for nothing
        steps = torch.cumsum(torch.ones_like(said), 1)
        place = steps * said.abs()  # the number of a frame that says something, else 0
        visible = steps[:1, :, None] >= steps[:1, None, :]  # (1, F, F)
        last = (place[:, None, :] * visible).amax(-1)  # (B, F): the last one that did
        is_last = (place[:, None, :] == last[..., None]) * visible
        opened = (is_last * said.clamp(min=0)[:, None]).amax(-1)
        gate = torch.where(last > 0, opened, before[:, -1:].expand_as(opened))
        long = torch.cat([before, gate], 1)  # (B, frames + F)
        held = nn.functional.max_pool1d(long[:, None, 1:], self.frames, 1)[:, 0]
        return masks * held[..., None], logit, (long[:, -self.frames :],)


class Median(nn.Module):
    """A median over `side` frames on either side of whether the activity is above `ON`.

    The median of zeros and ones is whether more than half of them are ones.
    """

    def __init__(self, side: int, bins: int) -> None:
        super().__init__()
        self.side, self.bins = side, bins

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the states: the logits before, and the masks that wait."""
        return {"logits": (2 * self.side,), "waiting": (self.side, self.bins)}

    def forward(
        self, masks: Tensor, logit: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Give the masks of `side` frames ago, weighted, their logit, and the next states.

        Parameters
        ----------
        masks : (B, F, bins).
        logit : (B, F), its sigmoid is the activity.
        """
        before = logit.new_zeros(len(logit), 2 * self.side)
        waiting = masks.new_zeros(len(masks), self.side, self.bins)
        before, waiting = states if states else (before, waiting)
        long = torch.cat([before, logit], 1)  # (B, 2 side + F)
        sounds = (torch.sigmoid(long) > ON).float()
        share = nn.functional.avg_pool1d(sounds[:, None], 2 * self.side + 1, 1)[:, 0]
        queue = torch.cat([waiting, masks], 1)
        out = queue[:, : masks.shape[1]] * (share > 0.5)[..., None]
        own = long[:, self.side : -self.side]  # of the frames whose masks are given
        return out, own, (long[:, -2 * self.side :], queue[:, -self.side :])
