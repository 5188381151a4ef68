"""The flagship: null the neighbours of a direction, then mask what is left, per bin.

A source panned to θ is absent from N = R cos θ − L sin θ and whole in T = L cos θ + R sin θ. With
s the target, uncorrelated with what is in N, the best linear estimate of s from both is (the real
multichannel Wiener filter of two channels, factored)::

    s = m · (T − c N),    c = E[Re T N*] / E[N N*],    m = P_s / (P_s + what is left)

c is a generalised sidelobe canceller (Griffiths & Jim, 1982): where one neighbour dominates a bin,
it removes it exactly, without a mask. Candidates of c come from recursive averages of the
covariance of the channels at several time constants; the network chooses among them bin by bin,
and gives the mask m, and a mask n on N for what of the target is wide.

That needs the target's direction exactly: a target beside it leaks into N and is nulled too. So
a small network first corrects the aim within the opening, from a histogram of directions.

The averages are of L and R, not of T and N, so a moving direction finds them ready. Directions
are coordinates here, not something learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime.spec import ModelSpec, Tier

BINS = 1024
GROUPS = ((16, 8), (16, 16), (16, 40))  # (bands, bins a band): 172 Hz wide below, 860 Hz above
BANDS = sum(bands for bands, _ in GROUPS)
DECAYS = (0.6, 0.9, 0.98)  # of the averages, per frame of 5.8 ms
CANDIDATES = 3 + len(DECAYS)  # none, the averages, and means over 3 and 7 bins of this frame
FEATURES = 4 + 2 * (CANDIDATES - 1)
OUTPUTS = 2 + CANDIDATES
NARROW = math.tan(math.radians(8)) ** 2
AIM_BINS = 384  # the histogram looks up to 8 kHz
AIM_CELLS = 24  # over one and a half openings
AIM_WIDTH = 32
STEEPEST = 6.0  # |c| at most: neighbours nearer than 9.5° are not nulled completely


@dataclass(frozen=True)
class SteerConfig:
    """Sizes of the network. `lookahead` is in frames of 5.8 ms."""

    width: int = 48
    layers: int = 2
    lookahead: int = 0


CONFIGS = {
    "tiny": SteerConfig(width=16, layers=1),
    "small": SteerConfig(),
    "studio": SteerConfig(lookahead=8),
}


def spec(config: SteerConfig) -> ModelSpec:
    tier = Tier(window=2048, synthesis=512, hop=256, lookahead=config.lookahead)
    names = ["studio", "offline"] if config.lookahead else ["live", "studio", "offline"]
    return ModelSpec(
        name="steer",
        tiers=dict.fromkeys(names, tier),
        conditions={"direction": 2},
        mask_axes="steered",
        bins=BINS,
        description="neural direction filter: nulls the neighbours, masks the rest",
        licence="GPL-3.0-or-later",
    )


class Steer(nn.Module):
    """Masks of targets by direction; see the module.

    Parameters are shared by all bands of a group and, in the recurrent layers, by all bands.
    """

    def __init__(self, config: SteerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoders = nn.ModuleList(nn.Linear(n * FEATURES, width) for _, n in GROUPS)
        self.place = nn.Parameter(torch.randn(BANDS, width) * 0.1)
        self.opening = nn.Linear(2, width)
        self.aim = Aim()
        self.layers = nn.ModuleList(Layer(width) for _ in range(config.layers))
        self.hidden = nn.ModuleList(nn.Linear(n * FEATURES + width, 2 * width) for _, n in GROUPS)
        self.decoders = nn.ModuleList(nn.Linear(2 * width, n * OUTPUTS) for _, n in GROUPS)
        for decoder, (_, n) in zip(self.decoders, GROUPS, strict=True):
            nn.init.normal_(decoder.weight, std=0.02)
            start = torch.tensor([1.0, -4.0] + [0.0] * CANDIDATES)
            decoder.bias.data = start.repeat_interleave(n)

    def states(self) -> dict[str, tuple[int, ...]]:
        """Shape of each state of one stream, which has one target."""
        layers = {f"layer{k}": (BANDS, self.config.width) for k in range(self.config.layers)}
        return {"covariance": (len(DECAYS), 3, BINS), "aim": (AIM_WIDTH,), **layers}

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give masks (B, F, targets, 4, bins) and the next states.

        Parameters
        ----------
        spectrum : (B, F, 2, bins, 2).
        conditions : ``direction`` (B, F, targets, 2).
        states : as `states()`, streams being B · targets; none: zeros.
        """
        direction = conditions["direction"]
        batch, frames, targets = direction.shape[:3]
        directions = direction.transpose(1, 2).reshape(batch * targets, frames, 2)
        covariance, aim, *layers = states or self._start(spectrum, batch * targets)
        with torch.no_grad():  # nothing to learn up to here
            instant = covariances(spectrum)[:, None].expand(-1, targets, -1, -1, -1)
            instant = instant.reshape(batch * targets, frames, 3, BINS)
            averages, covariance = average(instant, covariance)
            seen = histogram(averages, directions)
        off_deg, aim = self.aim(seen, directions[..., 1], aim)
        with torch.no_grad():
            aimed = torch.stack([directions[..., 0] + off_deg, directions[..., 1]], -1)
            described = describe(torch.cat([averages, instant[:, :, None]], 2), aimed)
        masks, following = self._decide(*described, directions[..., 1], layers)
        masks = turn(masks, off_deg * (math.pi / 180))
        masks = masks.reshape(batch, targets, frames, 4, BINS).transpose(1, 2)
        return masks, (covariance, aim, *following)

    def _start(self, spectrum: Tensor, streams: int) -> list[Tensor]:
        return [spectrum.new_zeros(streams, *shape) for shape in self.states().values()]

    def _decide(
        self, features: Tensor, slopes: Tensor, width_deg: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Masks (B, F, 3, bins) from the features and candidates of `describe`.

        width_deg is (B, F); states are those of the layers, (B, bands, width).
        """
        batch, frames = width_deg.shape
        pieces = split(features)
        width_rad = width_deg[..., None] * (math.pi / 180)
        opening = self.opening(torch.cat([width_rad, torch.log(width_rad)], -1))
        hidden = torch.cat([e(p) for e, p in zip(self.encoders, pieces, strict=True)], 2)
        hidden = hidden + self.place + opening[:, :, None]  # (B, F, bands, width)
        following = []
        for layer, state in zip(self.layers, states, strict=True):
            hidden, state = layer(hidden, state)
            following.append(state)
        outputs, first = [], 0
        parts = zip(pieces, GROUPS, self.hidden, self.decoders, strict=True)
        for piece, (bands, _), inner, decoder in parts:
            own = torch.cat([piece, hidden[:, :, first : first + bands]], -1)
            out = decoder(functional.relu(inner(own)))  # (B, F, bands, outputs · bins a band)
            out = out.reshape(batch, frames, bands, OUTPUTS, -1).transpose(2, 3)
            outputs.append(out.reshape(batch, frames, OUTPUTS, -1))
            first += bands
        raw = torch.cat(outputs, 3)  # (B, F, outputs, bins)
        along, across = torch.sigmoid(raw[:, :, 0]), torch.sigmoid(raw[:, :, 1])
        slope = (torch.softmax(raw[:, :, 2:], 2)[:, :, 1:] * slopes).sum(2)
        return torch.stack([along, -along * slope, across], 2), following


class Aim(nn.Module):
    """By how many degrees the target is off the direction given, at most half the opening."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(2 * AIM_CELLS + 1, AIM_WIDTH)
        self.time = nn.GRU(AIM_WIDTH, AIM_WIDTH, batch_first=True)
        self.out = nn.Linear(AIM_WIDTH, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, seen: Tensor, width_deg: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """seen (B, F, 2, cells), width_deg (B, F), state (B, AIM_WIDTH) to (B, F) degrees."""
        looked = torch.cat([seen.flatten(2), torch.log(width_deg[..., None]) * 0.3], -1)
        hidden, state = self.time(functional.relu(self.look(looked)), state[None])
        return torch.tanh(self.out(hidden)[..., 0]) * width_deg / 2, state[0]


class Layer(nn.Module):
    """Every band through time by one GRU, then the bands among themselves; both residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm_time, self.norm_bands = nn.LayerNorm(width), nn.LayerNorm(width)
        self.time = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, width)
        self.bands_in, self.bands_out = nn.Linear(BANDS, 2 * BANDS), nn.Linear(2 * BANDS, BANDS)
        self.channels = nn.Linear(width, width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, F, bands, width), state (B, bands, width)."""
        batch, frames = x.shape[:2]
        series = self.norm_time(x).transpose(1, 2).reshape(batch * BANDS, frames, self.width)
        series, state = self.time(series, state.reshape(1, batch * BANDS, self.width))
        series = self.out(series).reshape(batch, BANDS, frames, self.width).transpose(1, 2)
        x = x + series
        mixed = self.norm_bands(x).transpose(2, 3)  # (B, F, width, bands)
        mixed = self.bands_out(functional.relu(self.bands_in(mixed))).transpose(2, 3)
        return x + self.channels(functional.relu(mixed)), state.reshape(batch, BANDS, self.width)


def split(features: Tensor) -> list[Tensor]:
    """Cut (B, F, features, bins) into groups (B, F, bands, features · bins a band)."""
    batch, frames = features.shape[:2]
    pieces, first = [], 0
    for bands, n in GROUPS:
        piece = features[..., first : first + bands * n].reshape(batch, frames, -1, bands, n)
        pieces.append(piece.transpose(2, 3).reshape(batch, frames, bands, -1))
        first += bands * n
    return pieces


def covariances(spectrum: Tensor) -> Tensor:
    """|L|², |R|², Re L R* of spectrum (B, F, 2, bins, 2): (B, F, 3, bins)."""
    left, right = spectrum[:, :, 0], spectrum[:, :, 1]
    return torch.stack([left.square().sum(-1), right.square().sum(-1), (left * right).sum(-1)], 2)


def average(instant: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Recursive averages y[k] = d y[k−1] + (1 − d) x[k] for every decay d, over the frames.

    instant (B, F, 3, bins) and state (B, decays, 3, bins) give (B, F, decays, 3, bins) and the
    next state. Written as a product with the matrix d^(k−j), so that one graph serves any F.
    """
    frames = instant.shape[1]
    steps = torch.arange(frames, dtype=instant.dtype, device=instant.device)
    ages = steps[:, None] - steps[None, :]  # (F, F)
    flat = instant.flatten(2)  # (B, F, 3 bins)
    outs = []
    for k, decay in enumerate(DECAYS):
        weights = torch.exp(ages.clamp(min=0) * math.log(decay)) * (ages >= 0) * (1 - decay)
        carried = (
            torch.exp((steps + 1) * math.log(decay))[:, None] * state[:, k].flatten(1)[:, None]
        )
        outs.append(weights @ flat + carried)
    averages = torch.stack(outs, 2).reshape(*instant.shape[:2], len(DECAYS), 3, -1)
    return averages, averages[:, -1]


def rotate(ll: Tensor, rr: Tensor, lr: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E[T T*], E[N N*] and E[Re T N*] from the covariances of L and R, at angles theta."""
    cos, sin = torch.cos(theta), torch.sin(theta)
    cross = cos * sin * (rr - ll) + (cos * cos - sin * sin) * lr
    across = cos * cos * rr + sin * sin * ll - 2 * cos * sin * lr
    return ll + rr - across, across, cross


def radians(azimuth_deg: Tensor) -> Tensor:
    """θ = azimuth + 45°."""
    return (azimuth_deg + 45) * (math.pi / 180)


def histogram(averages: Tensor, direction: Tensor) -> Tensor:
    """Directions of the bins around `direction` (B, F, 2), in the two slower averages.

    Returns (B, F, 2, AIM_CELLS), each histogram summing to at most one; the cells span three
    quarters of the opening to either side. A bin counts by the fourth root of its power.
    """
    ll, rr, lr = averages[:, :, -2:, :, :AIM_BINS].unbind(3)
    along, across, cross = rotate(ll, rr, lr, radians(direction[..., 0])[..., None, None])
    inside = (along - across).clamp(min=1e-12)
    angle = torch.atan(2 * cross / inside) * (90 / math.pi)  # degrees off the direction
    weight = (ll + rr + 1e-12).sqrt().sqrt() * (along > across)
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)
    place = angle / (direction[..., 1, None, None] * 0.75) * (AIM_CELLS / 2) + AIM_CELLS / 2 - 0.5
    cells = torch.arange(AIM_CELLS, dtype=place.dtype, device=place.device)
    near = (1 - (place[..., None] - cells).abs()).clamp(min=0)  # (B, F, 2, bins, cells)
    return (weight[..., None, :] @ near)[..., 0, :]


def turn(masks: Tensor, angle: Tensor) -> Tensor:
    """From masks (m, w, n) in a direction `angle` (B, F) further to the filter (tt, tn, nt, nn)."""
    cos, sin = torch.cos(angle)[..., None], torch.sin(angle)[..., None]
    m, w, n = masks.unbind(2)
    own, other = m * cos - w * sin, m * sin + w * cos  # of T and N, in the direction further on
    return torch.stack(
        [
            cos * own + sin * sin * n,
            cos * other - sin * cos * n,
            sin * own - sin * cos * n,
            sin * other + cos * cos * n,
        ],
        2,
    )


def describe(steered: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, F, FEATURES, bins) and candidates of c but the first, which is zero.

    steered holds the covariances of L and R, (B, F, decays + 1, 3, bins), the instant one last;
    direction is (B, F, 2).
    """
    floor = 1e-5 * (steered[:, :, :, :2].mean((3, 4)).amax(2) * 2 + 1e-10)[..., None, None]
    now = steered[:, :, -1:]
    near = functional.avg_pool1d(now[:, :, 0].flatten(0, 1), 3, 1, 1).reshape(now.shape)
    wide = functional.avg_pool1d(now[:, :, 0].flatten(0, 1), 7, 1, 3).reshape(now.shape)
    ll, rr, lr = torch.cat([steered[:, :, :-1], near, wide, now], 2).unbind(3)
    theta = radians(direction[..., 0])[..., None, None]
    along, across, cross = rotate(ll, rr, lr, theta)
    slopes = (cross / (across + floor)).clamp(-STEEPEST, STEEPEST)[:, :, :-1]
    cross, smooth_across, smooth_along = cross[:, :, :-1], across[:, :, :-1], along[:, :, :-1]
    total = smooth_along + smooth_across + floor
    left_over = (smooth_along - slopes * cross).clamp(min=0)
    along, across = along[:, :, -1:].clamp(min=0), across[:, :, -1:].clamp(min=0)
    features = [
        torch.log(along / floor + 1) * 0.1,
        torch.log(across / floor + 1) * 0.1,
        across / (along + across + floor),
        torch.exp(-across / (along * NARROW + floor)),
        cross / total,
        left_over / total,
    ]
    return torch.cat(features, 2), slopes
