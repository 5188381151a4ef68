"""A separator that splits the spectrum into bands, and follows each of them over time.

Band-split recurrent networks (Luo & Yu, "Music source separation with band-split RNN", TASLP 2023)
turn every band into as many numbers, and then by turns look along time, with one recurrent layer
for all bands, and across the bands. Here the layer along time is a GRU that looks back alone, and
across the bands there is a perceptron (Tolstikhin et al., "MLP-Mixer", 2021), since a second
recurrence over bands could not be computed in a hop's time. What is wanted scales and shifts what
the perceptrons see (FiLM: Perez et al., 2018).

It sees a direction as `steer` does: the channels are turned to it, T along and N across, and it
gives a real, symmetric filter of both for every bin, [[tt, tn], [tn, nn]]. Symmetric filters can
let one direction pass and null another. From anywhere it looks to the centre, so that T and N are
mid and side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.level import level_so_far
from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.steer.cells import decays, radians
from realtime.conditions import WIDTH_DEG
from realtime.spec import Tier

BINS = 1024
ZONES = ((16, 8), (16, 16), (10, 64))
"""Bands and bins a band, upwards: 172 Hz wide up to 2.8 kHz, 345 Hz to 8.3 kHz, then 1.4 kHz."""
BANDS = sum(bands for bands, _ in ZONES)
SEEN, GIVEN = 3, 3
"""Numbers of a bin that are seen, and that are given."""
LEVEL_S = 2.0
QUIET, TINY = 1e-4, 1e-9
HEARD = 0.01
"""Share of the mixture's power that a target leaves where it may play or not: −20 dB."""
LOUD = 8.0
"""Factor of unit vectors of a timbre, whose numbers are then of about one."""
TOLD = 3
"""Numbers that tell of a direction: its width, the logarithm of it, and whether it is any."""


@dataclass(frozen=True)
class BandSplitConfig:
    """Sizes of the network.

    channels, hidden : numbers a band, and those of the recurrent layers.
    layers : pairs of a look along time and one across bands.
    wider : how many times as many numbers perceptrons have inside.
    code : numbers that timbre, counter-example and width become.
    every : frames of a stream between two that were neighbours in training.
    """

    timbre: int = 64
    channels: int = 96
    hidden: int = 96
    layers: int = 5
    wider: int = 2
    code: int = 96
    every: int = 4

    @property
    def tier(self) -> Tier:
        return Tier(window=2048, synthesis=512, hop=256)


class Across(nn.Module):
    """Perceptrons over the bands and over the numbers of a band, each beside a shortcut."""

    def __init__(self, config: BandSplitConfig) -> None:
        super().__init__()
        size, wider = config.channels, config.wider
        self.norms = nn.ModuleList(Norm(size) for _ in range(2))
        self.mix = nn.Parameter(torch.randn(wider * BANDS, BANDS) / math.sqrt(BANDS))
        self.mixed = nn.Parameter(torch.zeros(wider * BANDS, 1))
        self.back = nn.Parameter(
            torch.randn(BANDS, wider * BANDS) * (0.5 / math.sqrt(wider * BANDS))
        )
        self.inner = nn.Linear(size, wider * size)
        self.outer = nn.Linear(wider * size, size)

    def forward(self, x: Tensor, films: Sequence[Tensor]) -> Tensor:
        """Give (n, bands, channels); films are factor and shift of each norm, (n, 1, channels)."""
        x = x + self._over_bands(self.norms[0](x) * films[0] + films[1])
        y = self.norms[1](x) * films[2] + films[3]
        inside = functional.relu(self.inner(y.reshape(-1, self.inner.in_features)))
        return x + self.outer(inside).reshape(-1, BANDS, self.inner.in_features)

    def _over_bands(self, y: Tensor) -> Tensor:
        if not self.training:  # a convolution calls bands channels: nothing is turned round
            inside = functional.relu(functional.conv1d(y, self.mix[..., None], self.mixed[:, 0]))
            return functional.conv1d(inside, self.back[..., None])
        inside = functional.relu(functional.linear(y.transpose(1, 2), self.mix, self.mixed[:, 0]))
        return functional.linear(inside, self.back).transpose(1, 2)


class BandSplit(nn.Module):
    """Filters of streams, told timbres, counter-examples and directions; see the module."""

    def __init__(self, config: BandSplitConfig) -> None:
        super().__init__()
        self.config = config
        self.neutral: Tensor
        size = config.channels
        self.enter = nn.ParameterList(
            nn.Parameter(torch.randn(n, w * SEEN, size) / math.sqrt(w * SEEN)) for n, w in ZONES
        )
        self.places = nn.Parameter(0.1 * torch.randn(BANDS, size))
        self.tell = nn.Sequential(
            nn.Linear(2 * config.timbre + TOLD, config.code),
            nn.ReLU(),
            nn.Linear(config.code, config.code),
            nn.ReLU(),
        )
        self.films = nn.Linear(config.code, config.layers * 4 * size)
        self.norms = nn.ModuleList(Norm(size) for _ in range(config.layers))
        self.along = nn.ModuleList(nn.GRU(size, config.hidden) for _ in range(config.layers))
        self.out = nn.ModuleList(nn.Linear(config.hidden, size) for _ in range(config.layers))
        self.across = nn.ModuleList(Across(config) for _ in range(config.layers))
        self.last = Norm(size)
        self.leave = nn.ParameterList(
            nn.Parameter(0.3 * torch.randn(n, size, w * GIVEN) / math.sqrt(size)) for n, w in ZONES
        )
        self.bias = nn.Parameter(torch.zeros(GIVEN, BINS))
        with torch.no_grad():
            self.films.weight.mul_(0.3)
            self.films.bias.zero_()
        neutral = torch.tensor([[1.0], [0.0]]).expand(2 * config.layers, 2, size).flatten()
        self.register_buffer("neutral", neutral, persistent=False)  # factors and shifts of nothing

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream: the level, then those of the layers."""
        shape = (self.config.every, BANDS, self.config.hidden)
        return {"level": (1, 2), **{f"band{k}": shape for k in range(self.config.layers)}}

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> NetworkOutput:
        """Give filters (B, F, 1, 4, bins) of spectra (B or 1, F, 2, bins, 2), one target each.

        Parameters
        ----------
        conditions : direction (B, F, 1, 2), timbre and against (B, F, 1, size), vectors of a length
            of one or, for less of a timbre, less.
        states : as `states()`; none: zeros.
        """
        batch, frames = conditions["timbre"].shape[:2]
        spectrum = spectrum.expand(batch, -1, -1, -1, -1)
        direction, timbre, against = (
            conditions[name].transpose(0, 1).reshape(-1, size)
            for name, size in (
                ("direction", 2),
                ("timbre", self.config.timbre),
                ("against", self.config.timbre),
            )
        )
        azimuth_deg, width_deg = direction.split(1, 1)  # (F · B, 1) each
        # from anywhere less of a timbre is that much of the whole mixture beside it
        nothing_against = against.norm(p=1, dim=1, keepdim=True) == 0
        free = (width_deg >= WIDTH_DEG[1]) & nothing_against
        length, one = timbre.norm(dim=1, keepdim=True), timbre.new_ones(())
        unit = torch.where(free, length.clamp(min=TINY), one)
        asked = torch.where(free, length.clamp(max=1.0), one)
        looked_deg = looked(azimuth_deg, width_deg)
        planes = turned_planes(spectrum, looked_deg)
        filters, power, following = self._heard(
            planes,
            frames,
            self._told(self.code(timbre / unit, against, width_deg[:, 0])),
            states or self._zeros(batch),
        )
        masks = in_direction(filters, (azimuth_deg - looked_deg) * (math.pi / 180), asked)
        left = power_left(filters, planes) / (power + TINY**2)
        logit = torch.log(left / HEARD + TINY)  # its sigmoid is left / (left + HEARD)
        return NetworkOutput(
            masks.reshape(frames, -1, 1, 4, BINS).transpose(0, 1),
            following,
            logit.reshape(frames, -1, 1).transpose(0, 1),
        )

    def _zeros(self, streams: int) -> list[Tensor]:
        return [self.bias.new_zeros(streams, *shape) for shape in self.states().values()]

    def filters(
        self, seen: Tensor, code: Tensor, states: Sequence[Tensor] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give tt, tn and nn (B, F, GIVEN, bins) of T and N (B, F, 2, bins, 2), and next states.

        Without states the frames are as far apart as in training, and nothing was before them;
        with them the frames are those of a stream. The code is that of every frame, (B, F, code),
        or one for all, (B, 1, code).
        """
        frames = seen.shape[1]
        told = self._told(code).expand(-1, frames, -1).transpose(0, 1).flatten(0, 1)
        planes = seen.permute(1, 0, 2, 4, 3).reshape(-1, 2, 2, BINS)
        filters, _, following = self._heard(planes, frames, told, states)
        return filters.reshape(frames, -1, GIVEN, BINS).transpose(0, 1), following

    def _heard(
        self, planes: Tensor, frames: int, told: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Give `filters` of planes as frames are computed; their power (F · B, 1); next states.

        All streams of a frame follow each other, and then those of the next frame: (F · B, ...).
        Planes are the real and imaginary parts of T and N (F · B, 2, 2, bins): graphs take rows of
        bins at once, and need to know no sizes but those that never change.
        """
        x, power, level = self._features(planes, frames, states[0] if states else None)
        x, following = self._followed(x, frames, told, states[1:])
        return self._filters(x), power, (level, *following)

    def code(self, timbre: Tensor, against: Tensor, width_deg: Tensor) -> Tensor:
        """Give the code (..., code) of what is wanted, (..., size) twice and (...)."""
        width = width_deg[..., None] / WIDTH_DEG[1]
        anywhere = (width >= 1).to(width.dtype)
        about = torch.cat([2 * width, torch.log(width + 0.01), anywhere], -1)
        code: Tensor = self.tell(torch.cat([LOUD * timbre, LOUD * against, about], -1))
        return code

    def _told(self, code: Tensor) -> Tensor:
        """Give factor and shift of every norm of `Across`, one after the other, by a code."""
        return functional.linear(code, self.films.weight, self.films.bias + self.neutral)

    def _features(
        self, planes: Tensor, frames: int, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give what is seen of every bin (F · B, SEEN, bins), the power, and the next level.

        The logarithms of the powers of T and N over the level, and how far both agree, −1 to 1.
        The level is an average over time that is divided by that of ones, so it holds from the
        first frame on.
        """
        along, across = planes.split(1, 1)
        powers = planes.square().sum(2)  # (F · B, 2, bins)
        both = powers.sum(1, keepdim=True)
        mean = both.mean(2)  # (F · B, 1)
        hop = self.config.tier.hop * (1 if state is not None else self.config.every)
        by_stream = mean.reshape(frames, -1, 1, 1).transpose(0, 1)
        level, state = level_so_far(by_stream, state, *decays((LEVEL_S,), hop))
        level = level.transpose(0, 1).reshape(-1, 1, 1) + 1e-12
        agree = 2 * (along * across).sum(2) / (both + TINY * level)
        logs = 0.3 * torch.log(powers / level + QUIET) + 1.0
        return torch.cat([logs, agree], 1), BINS * mean, state

    def _followed(
        self, x: Tensor, frames: int, told: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Give (F · B, bands, channels) of what is seen, and the next states of the layers."""
        size, hidden = self.config.channels, self.config.hidden
        pieces = x.split([bands * bins for bands, bins in ZONES], 2)
        entered = []
        for piece, weight, (bands, bins) in zip(pieces, self.enter, ZONES, strict=True):
            # rows of bins are kept, and the weights, which graphs do once, put in their order
            rows = piece.reshape(-1, SEEN, bands, bins).permute(2, 0, 1, 3)
            weights = weight.reshape(bands, bins, SEEN, size).transpose(1, 2)
            entered.append(
                torch.bmm(rows.reshape(bands, -1, SEEN * bins), weights.reshape(bands, -1, size))
            )
        x = torch.cat(entered).transpose(0, 1)
        x = x + self.places.to(x.dtype)
        films = told[:, None].split([size] * (4 * self.config.layers), 2)
        if states:
            turns = Turns(self.config, frames, states[0])
        following = []
        for k, (norm, layer, out, across) in enumerate(
            zip(self.norms, self.along, self.out, self.across, strict=True)
        ):
            if states:
                y, state = turns.along(layer, norm(x), states[k])
                following.append(state)
            else:
                y, _ = layer(norm(x).reshape(frames, -1, size))
            x = x + out(y.reshape(-1, hidden)).reshape(-1, BANDS, size)
            x = across(x, films[4 * k : 4 * k + 4])
        return self.last(x), following

    def _filters(self, x: Tensor) -> Tensor:
        """Give filters (F · B, GIVEN, bins), along and across as they were seen."""
        pieces = x.transpose(0, 1).split([bands for bands, _ in ZONES])
        left = []
        for piece, weight, (bands, bins) in zip(pieces, self.leave, ZONES, strict=True):
            given = torch.bmm(piece, weight).reshape(bands, -1, GIVEN, bins)
            # what is given comes first, so that the bins of a band lie together
            left.append(given.permute(1, 2, 0, 3).reshape(-1, GIVEN, bands * bins))
        raw = torch.cat(left, -1).float() + self.bias
        own, between, other = raw.split(1, 1)
        return torch.cat([torch.sigmoid(own), 0.5 * torch.tanh(between), torch.sigmoid(other)], 1)


class Turns:
    """Series of frames that take turns in a stream, as many as its states hold.

    Parameters
    ----------
    frames : of each stream.
    state : (B, series, bands, hidden), one of those that are given to `along`.
    """

    def __init__(self, config: BandSplitConfig, frames: int, state: Tensor) -> None:
        self.channels, self.hidden = config.channels, config.hidden
        self.frames, self.streams, self.series = frames, state.shape[0], config.every
        going = state[:, :frames].shape[1]  # series that go on
        self.rounds = (frames + going - 1) // going
        missing = (self.rounds * going - frames) * self.streams
        self.padding = state.new_zeros(missing, BANDS, self.channels)
        self.rows = frames * self.streams * BANDS

    def along(self, layer: nn.Module, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Look along time: (F · B, bands, channels) to (F · B · bands, hidden), and the next state.

        state : of the last frames of each series, the oldest first.
        """
        padded = torch.cat([x, self.padding]).reshape(self.rounds, -1, self.channels)
        before = state[:, : self.frames].transpose(0, 1).reshape(1, -1, self.hidden)
        y, _ = layer(padded, before)
        y = y.reshape(-1, self.hidden)[: self.rows]
        following = y.reshape(self.frames, -1, BANDS, self.hidden).transpose(0, 1)
        return y, torch.cat([state, following], 1)[:, -self.series :]


class Norm(nn.LayerNorm):
    """Layer norm in the numbers that come, also where products are of half of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Give x (..., size) with a mean of zero and a variance of one."""
        if x.dtype == self.weight.dtype:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


def looked(azimuth_deg: Tensor, width_deg: Tensor) -> Tensor:
    """Return where the network looks: to the centre where any direction will do."""
    return torch.where(width_deg >= WIDTH_DEG[1], azimuth_deg.new_zeros(()), azimuth_deg)


def turned(spectrum: Tensor, azimuth_deg: Tensor) -> Tensor:
    """Return T and N of left and right (B, F, 2, bins, 2), in directions (B, F) or (B, 1)."""
    theta = radians(azimuth_deg)[..., None, None]
    cos, sin = torch.cos(theta), torch.sin(theta)
    left, right = spectrum.unbind(2)
    return torch.stack([cos * left + sin * right, cos * right - sin * left], 2)


def turned_planes(spectrum: Tensor, azimuth_deg: Tensor) -> Tensor:
    """Return what `turned` does as planes (F · B, 2, 2, bins), in directions (F · B, 1)."""
    # [[cos, sin], [−sin, cos]]
    ahead = azimuth_deg.new_tensor([135.0, 45.0, 225.0, 135.0]) * (math.pi / 180)
    turn = torch.sin(azimuth_deg * (math.pi / 180) + ahead).reshape(-1, 2, 2)
    planes = spectrum.permute(1, 0, 2, 4, 3).reshape(-1, 2, 2 * BINS)
    return (turn @ planes).reshape(-1, 2, 2, BINS)


def filtered(filters: Tensor, seen: Tensor) -> Tensor:
    """Apply tt, tn and nn (B, F, GIVEN, bins) to T and N (B, F, 2, bins, 2)."""
    own, between, other = filters[..., None].unbind(2)
    along, across = seen.unbind(2)
    return torch.stack([own * along + between * across, between * along + other * across], 2)


def power_left(filters: Tensor, planes: Tensor) -> Tensor:
    """Return the power (n, 1) of what filters (n, GIVEN, bins) leave of planes (n, 2, 2, bins)."""
    own, between, other = filters[:, :, None].split(1, 1)
    along, across = planes.split(1, 1)
    first, second = own * along + between * across, between * along + other * across
    return (first.square() + second.square()).sum((2, 3))


def in_direction(filters: Tensor, angle: Tensor, asked: Tensor) -> Tensor:
    """Return filters (n, 4, bins) as those of (n, GIVEN, bins) are further on by an angle (n, 1).

    A part of what is given, `asked` (n, 1), is filtered; the rest is the mixture.
    """
    # [[cos², 2 sc, sin²], [−sc, cos² − sin², sc] twice, [sin², −2 sc, cos²]] by the double angle
    of_one = [0.5, 0.0, 0.5] + 2 * [0.0, 0.0, 0.0] + [0.5, 0.0, 0.5]
    of_cos = [0.5, 0.0, -0.5] + 2 * [0.0, 1.0, 0.0] + [-0.5, 0.0, 0.5]
    of_sin = [0.0, 1.0, 0.0] + 2 * [-0.5, 0.0, 0.5] + [0.0, -1.0, 0.0]
    terms = torch.cat([asked, asked * torch.cos(2 * angle), asked * torch.sin(2 * angle)], 1)
    turn = (terms @ terms.new_tensor([of_one, of_cos, of_sin])).reshape(-1, 4, GIVEN)
    # the mixture is the same from everywhere, so that only what differs from it is turned
    mixture, everywhere = ([[1.0], *between, [1.0]] for between in ([[0.0]], 2 * [[0.0]]))
    return turn @ (filters - filters.new_tensor(mixture)) + filters.new_tensor(everywhere)
