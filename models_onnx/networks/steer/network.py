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
the aim is corrected first, within the opening: see `models_onnx.networks.steer.direction`.

The averages are of L and R, not of T and N, so a moving direction finds them ready. Directions
are coordinates here, not something learned.

All of it happens in the cells of `models_onnx.networks.steer.cells`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.steer import direction as aim
from models_onnx.networks.steer.bands import BANDS, Bands
from models_onnx.networks.steer.cells import (
    BINS,
    CELLS,
    averaged,
    covariances,
    decays,
    fading,
    for_streams,
    in_a_row,
    in_time,
    pool,
    radians,
    spread,
)
from models_onnx.networks.steer.features import CANDIDATES, FEATURES, MEMORY_S, described
from models_onnx.networks.steer.film import Film, Modulation
from realtime.spec import ModelSpec, Tier

OUTPUTS = 2 + CANDIDATES
TIMBRES = ("timbre", "against")


@dataclass(frozen=True)
class SteerConfig:
    """Sizes of the network, and what it may do.

    encoded, share : numbers a band, in the encoder and to and from the core.
    core, layers : of the recurrent core, which sees all bands.
    inner : numbers a band between a cell's features and its masks.
    window, synthesis, hop, lookahead : see `realtime.spec.Tier`; the window is 2048 or a multiple.
    null, aim : whether neighbours are nulled, and whether the aim is corrected; without them for
        comparison.
    steepest : |c| at most: with 6 neighbours nearer than 9.5° are not nulled completely, with 12
        those nearer than 4.8°.
    timbre : numbers of a timbre vector; 0: the network is told directions alone.
    code : numbers that a timbre and a counter-example become in front of every modulation.
    """

    encoded: int = 48
    share: int = 16
    core: int = 256
    layers: int = 2
    inner: int = 64
    window: int = 2048
    synthesis: int = 512
    hop: int = 256
    lookahead: int = 0
    null: bool = True
    aim: bool = True
    steepest: float = 6.0
    timbre: int = 0
    code: int = 48

    @property
    def tier(self) -> Tier:
        return Tier(self.window, self.synthesis, self.hop, self.lookahead)

    @property
    def scale(self) -> int:
        """Return how many times 1024 bins, and 512 cells, there are."""
        return self.window // 2048


CONFIGS = {
    "tiny": SteerConfig(encoded=16, share=4, core=32, layers=1, inner=24),
    "small": SteerConfig(),
    "near": SteerConfig(steepest=12.0),
    "studio": SteerConfig(
        inner=128, window=4096, synthesis=4096, hop=1024, lookahead=4, steepest=12.0
    ),
    "mask-only": SteerConfig(null=False),
    "unaimed": SteerConfig(aim=False),
    "timbre-tiny": SteerConfig(encoded=16, share=4, core=32, layers=2, inner=24, timbre=8, code=8),
    "timbre": SteerConfig(layers=3, timbre=64),
    "timbre-wide": SteerConfig(core=384, layers=3, timbre=64),
    "timbre-studio": SteerConfig(
        layers=3, inner=128, window=4096, synthesis=4096, hop=1024, lookahead=4, timbre=64
    ),
}


def spec(config: SteerConfig) -> ModelSpec:
    names = ["studio", "offline"] if config.lookahead else ["live", "studio", "offline"]
    tiers = dict.fromkeys(names, config.tier)
    if config.tier.synthesis == 2 * config.tier.hop and not config.lookahead:  # half the latency
        shorter = replace(config.tier, synthesis=config.tier.hop, hop=config.tier.hop // 2, turns=2)
        tiers = {"direct": shorter, **tiers}
    return ModelSpec(
        name="steer",
        tiers=tiers,
        conditions={"direction": 2} | dict.fromkeys(TIMBRES, config.timbre)
        if config.timbre
        else {"direction": 2},
        mask_axes="steered",
        bins=BINS * config.scale,
        description="neural direction filter: nulls the neighbours, masks the rest",
        licence="GPL-3.0-or-later",
    )


class Steer(nn.Module):
    """Masks of targets by direction; see the module."""

    def __init__(self, config: SteerConfig) -> None:
        super().__init__()
        self.config = config
        self.per_band = CELLS * config.scale // BANDS
        self.decays = decays(MEMORY_S, config.hop)
        self.aim_decays = decays(aim.MEMORY_S, config.hop)
        own, share, core = self.per_band * FEATURES, config.share, config.core
        self.encode = Bands(own, config.encoded)
        self.shrink = Bands(config.encoded, share)
        self.opening = nn.Linear(2, core)
        self.aim = aim.DirectionRefiner()
        self.enter = nn.Linear(BANDS * share, core)
        self.layers = nn.ModuleList(nn.GRU(core, core) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(core) for _ in range(config.layers))
        self.active = nn.Linear(core, 1)
        self.leave = nn.Linear(core, BANDS * share)
        self.hidden = Bands(own + config.encoded + share, config.inner)
        self.decode = Bands(config.inner, self.per_band * OUTPUTS)
        self.doubt = nn.Linear(aim.PLACES, core, bias=False)
        self.film = None
        if config.timbre:
            self.film = Film(config.timbre, config.code, core, config.layers, config.inner)
        with torch.no_grad():
            self.doubt.weight.zero_()
            self.decode.weight.mul_(0.2)
            start = torch.tensor([1.0, -4.0] + [0.0] * CANDIDATES)
            self.decode.bias.copy_(start.repeat_interleave(self.per_band).expand(BANDS, 1, -1))

    def states(self) -> dict[str, tuple[int, ...]]:
        """Shape of each state of one stream, which has one target."""
        cells = self.per_band * BANDS
        layers = {f"layer{k}": (self.config.core,) for k in range(self.config.layers)}
        shapes = {
            "covariance": (len(self.decays), 3, cells),
            "directions": (len(self.aim_decays), aim.KINDS, aim.GRID),
            **layers,
        }
        if self.config.lookahead:
            shapes["waiting"] = (self.config.lookahead, 3, cells)
        return shapes

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> NetworkOutput:
        """Give masks (B, F, targets, 4, bins), activity and the next states.

        Parameters
        ----------
        spectrum : (B, F, 2, bins, 2).
        conditions : ``direction`` (B, F, targets, 2); with a timbre also ``timbre`` and
            ``against`` (B, F, targets, size), unit vectors or zeros.
        states : as `states()`, streams being B · targets; none: zeros.
        """
        direction = conditions["direction"]
        batch = len(direction)  # a number in an exported graph, where it is always one
        targets = direction.shape[2]
        states = list(states) or [self._zeros(batch * targets, name) for name in self.states()]
        layers, waiting = states[2 : 2 + self.config.layers], states[2 + self.config.layers :]
        told = (
            direction.squeeze(0) if batch == 1 else direction.flatten(0, 1)
        )  # (B · F, targets, 2)
        azimuth_deg, width_deg = told.reshape(-1, 2).split(1, -1)  # all in a row
        exact = torch.autocast(spectrum.device.type, enabled=False)  # N is a small difference
        with torch.no_grad(), exact:  # nothing to learn up to here
            # all targets of a mixture see the same: it is averaged once, from the first one's
            # states
            instant = self._cells(spectrum)
            seen = [of_first(state, batch) for state in states[:2]]
            averages, histograms, *kept = self.observe(instant, seen)
            kept = [for_streams(new, old) for new, old in zip(kept, states[:2], strict=True)]
        places = self.aim.in_a_row(histograms, told).detach()
        with torch.no_grad(), exact:
            aside_deg = aim.offset_deg(places, width_deg)
            if not self.config.aim:
                aside_deg = torch.zeros_like(aside_deg)
            posterior = aim.posterior(places, aside_deg, width_deg)
            theta = radians(azimuth_deg + aside_deg).reshape_as(told.split(1, -1)[0])
            instants = [instant]
            if self.config.lookahead:  # what is masked is what came `lookahead` frames ago
                queue = torch.cat([of_first(waiting[0], batch), instant], 1)
                instants.append(queue[:, : -self.config.lookahead])
                waiting = [for_streams(queue[:, -self.config.lookahead :], waiting[0])]
            found = described(averages, instants, theta, self.config.steepest)
            (now, _), (features, slopes) = found[0], found[-1]
        modulation: Modulation | None = None
        if self.film is not None:
            modulation = self.film(*(conditions[name] for name in TIMBRES))
        masks, logit, following = self._decide(
            now, features, slopes, (width_deg, posterior), layers, modulation, batch=batch
        )
        with exact:
            masks = opened(masks, aside_deg * (math.pi / 180), self.config.scale)
        masks = masks.reshape(batch, -1, targets, 4, BINS * self.config.scale)
        return NetworkOutput(masks, (*kept, *following, *waiting), logit)

    def _cells(self, spectrum: Tensor) -> Tensor:
        """Covariances (B, F, 3, cells) of a spectrum (B, F, 2, bins, 2)."""
        batch, bins = len(spectrum), BINS * self.config.scale
        power = pool(covariances(spectrum.reshape(-1, 2, bins, 2)), self.config.scale)
        return power.reshape(batch, -1, 3, self.per_band * BANDS)

    def observe(
        self, instant: Tensor, states: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Averages of the covariances (B, F, 3, cells), histograms of directions, next states.

        Returns (B, F, decays, 3, cells) and (B, F, decays, kinds, grid); see `direction.py`.
        """
        covariance, directions = states or (
            self._zeros(len(instant), name) for name in ("covariance", "directions")
        )
        batch, counts = len(instant), [len(self.decays), len(self.aim_decays)]
        of_frames, of_state = (
            weights.split(counts) for weights in fading(instant, self.decays + self.aim_decays)
        )
        averages, covariance = averaged(instant, covariance, of_frames[0], of_state[0], batch=batch)
        found = aim.directions(averages[:, :, 0], instant)
        histograms, directions = averaged(found, directions, of_frames[1], of_state[1], batch=batch)
        return averages, histograms, covariance, directions

    def _zeros(self, streams: int, state: str) -> Tensor:
        return self.active.weight.new_zeros(streams, *self.states()[state])

    def _decide(
        self,
        now: Tensor,
        features: Tensor,
        slopes: Tensor,
        opening: tuple[Tensor, Tensor],
        states: Sequence[Tensor],
        modulation: Modulation | None = None,
        *,
        batch: int = 1,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Decide on masks (n, 3, cells) and activity (B, F, targets) from what `described` gives.

        Mixtures, frames and targets are n in a row, n = B · F · targets.

        now, features : of the newest frames, and of those that are masked, by band.
        opening : its width in degrees (n, 1), and the aim's belief (n, PLACES).
        states : those of the layers, (B · targets, core).
        modulation : what the timbre asked for does to the core and to the bands.
        batch : B.
        """
        width_deg, posterior = opening
        core, share = self.config.core, self.config.share
        encoded = functional.relu(self.encode(now))
        shared = self.shrink(encoded).transpose(0, 1).reshape(-1, BANDS * share)
        width_rad = width_deg * (math.pi / 180)
        x = self.enter(shared) + self.opening(torch.cat([width_rad, torch.log(width_rad)], -1))
        x = x + self.doubt(posterior.sqrt())
        streams = states[0].shape[0]
        if batch == 1:
            x = x.reshape(-1, streams, core)
        else:
            x = in_time(x.reshape(batch, -1, streams // batch, core))
        following = []
        for k, (layer, norm, state) in enumerate(zip(self.layers, self.norms, states, strict=True)):
            seen = norm(x) if modulation is None else modulation.core(k, norm(x))
            out, state = layer(seen, state[None])
            x = x + (out if modulation is None else modulation.added(k, out))
            following.append(state[0])
        left = x if modulation is None else modulation.core(len(self.layers), x)
        context = self.leave(in_a_row(left, batch)).reshape(-1, BANDS, share).transpose(0, 1)
        if self.config.lookahead:
            encoded = functional.relu(self.encode(features))
        hidden = self.hidden(torch.cat([features, encoded, context], -1))
        if modulation is not None:
            hidden = modulation.bands(hidden)
        hidden = functional.relu(hidden)
        masks = filters(self.decode(hidden).float(), slopes, null=self.config.null)
        if modulation is not None:
            masks = masks * in_a_row(modulation.level(x), batch)[..., None]
        logit = self.active(x)[..., 0]
        logit = logit[None] if batch == 1 else logit.unflatten(1, (batch, -1)).transpose(0, 1)
        return masks, logit, following


def filters(raw: Tensor, slopes: Tensor, *, null: bool) -> Tensor:
    """Make m, n and m · c, (n, 3, cells), of (bands, n, outputs · cells a band).

    slopes (n, CANDIDATES − 1, cells) are what c may be; without `null` it is zero.
    """
    cells = int(slopes.shape[-1])
    raw = raw.reshape(BANDS, -1, OUTPUTS, cells // BANDS).permute(1, 2, 0, 3)
    gains, chosen = raw.reshape(-1, OUTPUTS, cells).split([2, CANDIDATES], 1)
    gains = torch.sigmoid(gains)
    # a softmax over the candidates, whose axis is not the last one
    weights = torch.exp(chosen - chosen.amax(1, keepdim=True))
    of_slopes = weights.split([1, CANDIDATES - 1], 1)[1]
    slope = (of_slopes * slopes).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    if not null:
        slope = torch.zeros_like(slope)
    return torch.cat([gains, gains.split(1, 1)[0] * slope], 1)


def opened(masks: Tensor, angle: Tensor, scale: int) -> Tensor:
    """Return what `turn` makes of masks (n, 3, cells), for every bin: (n, 4, bins)."""
    return turn(spread(masks, scale), angle)


def of_first(state: Tensor, batch: int) -> Tensor:
    """Return of (B · targets, ...) what the first target of each mixture has: (B, ...)."""
    return state[:1] if batch == 1 else state.unflatten(0, (batch, -1))[:, 0]


TURN = (  # rows: what does not turn, and what goes with the cosine and sine of twice the angle
    ((1, 1, 0), (0, 0, -1), (0, 0, 1), (1, 1, 0)),
    ((1, -1, 0), (0, 0, -1), (0, 0, -1), (-1, 1, 0)),
    ((0, 0, 1), (1, -1, 0), (1, -1, 0), (0, 0, -1)),
)


def turn(masks: Tensor, angle: Tensor) -> Tensor:
    """Turn m, n and m · c, (n, 3, bins), by `angle` (n, 1) into the filter (tt, tn, nt, nn).

    Of T and N in the direction further on, that is the filter ((m, −m c), (0, n)) between two
    rotations, written with cos² = (1 + cos 2a) / 2, and so on.
    """
    still, turning = (masks.new_tensor(TURN) * 0.5).reshape(3, 12).split([1, 2])
    around = torch.cat([torch.cos(2 * angle), torch.sin(2 * angle)], -1)
    return torch.addmm(still, around, turning).reshape(-1, 4, 3) @ masks
