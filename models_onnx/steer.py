"""The flagship: null the neighbours of a direction, then mask what is left.

A source panned to θ is absent from N = R cos θ − L sin θ and whole in T = L cos θ + R sin θ. With
s the target, uncorrelated with what is in N, the best linear estimate of s from both is (the real
multichannel Wiener filter of two channels, factored)::

    s = m · (T − c N),    c = E[Re T N*] / E[N N*],    m = P_s / (P_s + what is left)

c is a generalised sidelobe canceller (Griffiths & Jim, 1982): where one neighbour dominates, it
removes it exactly, without a mask. Candidates of c come from recursive averages of the covariance
of the channels at several time constants; the network chooses among them, and gives the mask m,
and a mask n on N for what of the target is wide.

That needs the target's direction exactly: a target beside it leaks into N and is nulled too. So
a small network first corrects the aim within the opening, from a histogram of directions.

The averages are of L and R, not of T and N, so a moving direction finds them ready. Directions
are coordinates here, not something learned.

All of it happens in cells: one bin each below 5.5 kHz, two up to 11 kHz, four above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.answer import Answer
from realtime.spec import ModelSpec, Tier

BINS = 1024
CELLS = 512
ZONES = ((256, 1), (128, 2), (128, 4))  # (cells, bins a cell), upwards
BANDS = 64  # of eight cells: 172 Hz wide below, 1.4 kHz at the top
PER_BAND = CELLS // BANDS
DECAYS = (0.95, 0.993)  # of the averages, per frame of 5.8 ms: 0.11 and 0.83 s
CANDIDATES = 2 + len(DECAYS)  # none, the averages, and the mean over 5 cells of this frame
FEATURES = 4 + 2 * (CANDIDATES - 1)
OUTPUTS = 2 + CANDIDATES
NARROW = math.tan(math.radians(8)) ** 2
AIM_CELLS = 192  # the histogram looks up to 4.1 kHz
AIM_PLACES = 20  # over one and a half openings
AIM_WIDTH = 32
STEEPEST = 6.0  # |c| at most: neighbours nearer than 9.5° are not nulled completely


@dataclass(frozen=True)
class SteerConfig:
    """Sizes of the network, and what it may do.

    encoded, share : numbers a band, in the encoder and to and from the core.
    core, layers : of the recurrent core, which sees all bands.
    inner : numbers a band between a cell's features and its masks.
    lookahead : in frames of 5.8 ms.
    null, aim : whether neighbours are nulled, and whether the aim is corrected; without them for
        comparison.
    """

    encoded: int = 48
    share: int = 16
    core: int = 256
    layers: int = 2
    inner: int = 64
    lookahead: int = 0
    null: bool = True
    aim: bool = True


CONFIGS = {
    "tiny": SteerConfig(encoded=16, share=4, core=32, layers=1, inner=24),
    "small": SteerConfig(),
    "studio": SteerConfig(lookahead=8),
    "mask-only": SteerConfig(null=False),
    "unaimed": SteerConfig(aim=False),
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
    """Masks of targets by direction; see the module."""

    def __init__(self, config: SteerConfig) -> None:
        super().__init__()
        self.config = config
        own, share, core = PER_BAND * FEATURES, config.share, config.core
        self.encode = Bands(own, config.encoded)
        self.shrink = Bands(config.encoded, share)
        self.opening = nn.Linear(2, core)
        self.aim = Aim()
        self.enter = nn.Linear(BANDS * share, core)
        self.layers = nn.ModuleList(
            nn.GRU(core, core, batch_first=True) for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(core) for _ in range(config.layers))
        self.active = nn.Linear(core, 1)
        self.leave = nn.Linear(core, BANDS * share)
        self.hidden = Bands(own + config.encoded + share, config.inner)
        self.decode = Bands(config.inner, PER_BAND * OUTPUTS)
        with torch.no_grad():
            self.decode.weight.mul_(0.2)
            start = torch.tensor([1.0, -4.0] + [0.0] * CANDIDATES)
            self.decode.bias.copy_(start.repeat_interleave(PER_BAND).expand(BANDS, 1, -1))

    def states(self) -> dict[str, tuple[int, ...]]:
        """Shape of each state of one stream, which has one target."""
        layers = {f"layer{k}": (self.config.core,) for k in range(self.config.layers)}
        shapes = {"covariance": (len(DECAYS), 3, CELLS), "aim": (AIM_WIDTH,), **layers}
        if self.config.lookahead:
            shapes["waiting"] = (self.config.lookahead, 3, CELLS)
        return shapes

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> Answer:
        """Give masks (B, F, targets, 4, bins), activity and the next states.

        Parameters
        ----------
        spectrum : (B, F, 2, bins, 2).
        conditions : ``direction`` (B, F, targets, 2).
        states : as `states()`, streams being B · targets; none: zeros.
        """
        direction = conditions["direction"]
        batch, frames, targets = direction.shape[:3]
        directions = direction.transpose(1, 2).reshape(batch * targets, frames, 2)
        exact = torch.autocast(spectrum.device.type, enabled=False)  # N is a small difference
        with torch.no_grad(), exact:  # nothing to learn up to here
            instant = pool(covariances(spectrum))
            if states:
                covariance, aim, *rest = states
                instant = repeat(instant, targets)
                averages, covariance = average(instant, covariance)
            else:
                averages, covariance = average(instant, self._zeros(batch, "covariance"))
                instant, averages = repeat(instant, targets), repeat(averages, targets)
                aim, *rest = [
                    self._zeros(batch * targets, name) for name in list(self.states())[1:]
                ]
            seen = histogram(averages[:, :, 0], directions)
        off_deg, right, aim = self.aim(seen, directions[..., 1], aim)
        aside_deg = off_deg.detach().masked_fill(right.detach() >= 0, 0)
        if not self.config.aim:
            aside_deg = torch.zeros_like(off_deg)
        layers, waiting = rest[: self.config.layers], rest[self.config.layers :]
        with torch.no_grad(), exact:
            theta = radians(directions[..., 0] + aside_deg)
            features, slopes = describe(averages, instant, theta)
            now = features
            if self.config.lookahead:  # what is masked is what came `lookahead` frames ago
                queue = torch.cat([waiting[0], instant], 1)
                features, slopes = describe(averages, queue[:, :frames], theta)
                waiting = [queue[:, -self.config.lookahead :]]
        masks, logit, following = self._decide(now, features, slopes, directions[..., 1], layers)
        masks = spread(turn(masks, aside_deg * (math.pi / 180)))
        masks = masks.reshape(batch, targets, frames, 4, BINS).transpose(1, 2)
        told = (x.reshape(batch, targets, frames).transpose(1, 2) for x in (logit, off_deg, right))
        return Answer(masks, (covariance, aim, *following, *waiting), *told)

    def _zeros(self, streams: int, state: str) -> Tensor:
        return self.active.weight.new_zeros(streams, *self.states()[state])

    def _decide(
        self,
        now: Tensor,
        features: Tensor,
        slopes: Tensor,
        width_deg: Tensor,
        states: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Masks (B, F, 3, cells) and activity (B, F) from what `describe` gives.

        now, features : of the newest frames, and of those that are masked.
        width_deg : (B, F).
        states : those of the layers, (B, core).
        """
        batch, frames = width_deg.shape
        encoded = functional.relu(self.encode(by_band(now)))
        shared = self.shrink(encoded).transpose(0, 1).reshape(batch, frames, -1)
        width_rad = width_deg[..., None] * (math.pi / 180)
        x = self.enter(shared) + self.opening(torch.cat([width_rad, torch.log(width_rad)], -1))
        following = []
        for layer, norm, state in zip(self.layers, self.norms, states, strict=True):
            out, state = layer(norm(x), state[None])
            x = x + out
            following.append(state[0])
        context = self.leave(x).reshape(batch * frames, BANDS, -1).transpose(0, 1)
        own = by_band(features)
        if self.config.lookahead:
            encoded = functional.relu(self.encode(own))
        hidden = functional.relu(self.hidden(torch.cat([own, encoded, context], -1)))
        raw = self.decode(hidden).reshape(BANDS, batch, frames, OUTPUTS, PER_BAND)
        raw = raw.permute(1, 2, 3, 0, 4).reshape(batch, frames, OUTPUTS, CELLS)
        along, across = torch.sigmoid(raw[:, :, 0]), torch.sigmoid(raw[:, :, 1])
        slope = (torch.softmax(raw[:, :, 2:], 2)[:, :, 1:] * slopes).sum(2)
        if not self.config.null:
            slope = torch.zeros_like(slope)
        masks = torch.stack([along, -along * slope, across], 2)
        return masks, self.active(x)[..., 0], following


class Bands(nn.Module):
    """A linear layer for every band: (bands, n, inputs) to (bands, n, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(BANDS, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(BANDS, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.weight) + self.bias


class Aim(nn.Module):
    """Whether the target is in the direction given, and if not, by how many degrees it is off.

    A yes or no, since a small correction of a right direction costs more than it ever gains: what
    is not nulled exactly is hardly nulled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(AIM_PLACES + 1, AIM_WIDTH)
        self.time = nn.GRU(AIM_WIDTH, AIM_WIDTH, batch_first=True)
        self.out = nn.Linear(AIM_WIDTH, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, seen: Tensor, width_deg: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """seen (B, F, places), width_deg (B, F), state (B, AIM_WIDTH).

        Returns the offset in degrees, at most half the opening, and the logit of being right,
        both (B, F), and the next state.
        """
        looked = torch.cat([seen, torch.log(width_deg[..., None]) * 0.3], -1)
        hidden, state = self.time(functional.relu(self.look(looked)), state[None])
        offset, right = self.out(hidden).unbind(-1)
        return torch.tanh(offset) * width_deg / 2, right, state[0]


def covariances(spectrum: Tensor) -> Tensor:
    """|L|², |R|², Re L R* of spectrum (B, F, 2, bins, 2): (B, F, 3, bins)."""
    left, right = spectrum[:, :, 0], spectrum[:, :, 1]
    return torch.stack([left.square().sum(-1), right.square().sum(-1), (left * right).sum(-1)], 2)


def pool(power: Tensor) -> Tensor:
    """Sum over the bins of each cell: (..., bins) to (..., cells)."""
    pieces, first = [], 0
    for cells, bins in ZONES:
        piece = power[..., first : first + cells * bins]
        pieces.append(piece.reshape(*piece.shape[:-1], cells, bins).sum(-1))
        first += cells * bins
    return torch.cat(pieces, -1)


def spread(masks: Tensor) -> Tensor:
    """Every bin takes the mask of its cell: (..., cells) to (..., bins)."""
    pieces, first = [], 0
    for cells, bins in ZONES:
        piece = masks[..., first : first + cells, None]
        pieces.append(piece.expand(*piece.shape[:-1], bins).flatten(-2))
        first += cells
    return torch.cat(pieces, -1)


def by_band(features: Tensor) -> Tensor:
    """(B, F, FEATURES, cells) to (bands, B · F, FEATURES · cells a band)."""
    cut = features.reshape(-1, FEATURES, BANDS, PER_BAND).permute(2, 0, 1, 3)
    return cut.reshape(BANDS, -1, FEATURES * PER_BAND)


def repeat(values: Tensor, targets: int) -> Tensor:
    """(B, ...) to (B · targets, ...)."""
    shape = values.shape
    return values[:, None].expand(-1, targets, *shape[1:]).reshape(-1, *shape[1:])


def average(instant: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Recursive averages y[k] = d y[k−1] + (1 − d) x[k] for every decay d, over the frames.

    instant (B, F, 3, cells) and state (B, decays, 3, cells) give (B, F, decays, 3, cells) and the
    next state. Written as a product with the matrix d^(k−j), so that one graph serves any F.
    """
    frames = instant.shape[1]
    steps = torch.arange(frames, dtype=instant.dtype, device=instant.device)
    ages = steps[:, None] - steps[None, :]  # (F, F)
    flat = instant.flatten(2)  # (B, F, 3 cells)
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
    total, half = ll + rr, (ll - rr) * 0.5
    cos, sin = torch.cos(2 * theta), torch.sin(2 * theta)
    tilt = half * cos + lr * sin
    along = (total * 0.5 + tilt).clamp(min=0)
    return along, (total - along).clamp(min=0), lr * cos - half * sin


def radians(azimuth_deg: Tensor) -> Tensor:
    """θ = azimuth + 45°."""
    return (azimuth_deg + 45) * (math.pi / 180)


def histogram(averages: Tensor, direction: Tensor) -> Tensor:
    """Directions of the cells around `direction` (B, F, 2), in averages (B, F, 3, cells).

    Returns (B, F, AIM_PLACES), summing to at most one; the places span three quarters of the
    opening to either side. A cell counts by the fourth root of its power.
    """
    ll, rr, lr = averages[..., :AIM_CELLS].unbind(2)
    along, across, cross = rotate(ll, rr, lr, radians(direction[..., 0])[..., None])
    inside = (along - across).clamp(min=1e-12)
    angle = torch.atan(2 * cross / inside) * (90 / math.pi)  # degrees off the direction
    weight = (ll + rr + 1e-12).sqrt().sqrt() * (along > across)
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)
    scale = AIM_PLACES / 2
    place = angle / (direction[..., 1, None] * 0.75) * scale + scale - 0.5
    places = torch.arange(AIM_PLACES, dtype=place.dtype, device=place.device)
    near = (1 - (place[..., None] - places).abs()).clamp(min=0)  # (B, F, cells, places)
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


def describe(averages: Tensor, instant: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, F, FEATURES, cells) and candidates of c but the first, which is zero.

    averages (B, F, decays, 3, cells) and instant (B, F, 3, cells) are covariances of L and R;
    theta is (B, F).
    """
    floor = 1e-5 * (averages[:, :, :, :2].mean((3, 4)).amax(2) * 2 + 1e-10)[..., None, None]
    near = functional.avg_pool1d(instant.flatten(0, 1), 5, 1, 2).reshape(instant.shape)
    ll, rr, lr = torch.cat([averages, near[:, :, None]], 2).unbind(3)
    theta = theta[..., None, None]
    along, across, cross = rotate(ll, rr, lr, theta)  # (B, F, candidates − 1, cells)
    slopes = (cross / (across + floor)).clamp(-STEEPEST, STEEPEST)
    total = along + across + floor
    left_over = (along - slopes * cross).clamp(min=0)
    along, across, _ = rotate(*instant[:, :, None].unbind(3), theta)
    features = [
        torch.log(along / floor + 1) * 0.1,
        torch.log(across / floor + 1) * 0.1,
        across / (along + across + floor),
        torch.exp(-across / (along * NARROW + floor)),
        cross / total,
        left_over / total,
    ]
    return torch.cat(features, 2), slopes
