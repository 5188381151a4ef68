"""SpaIn-Net: X-UMX told where each of its sources is.

One branch a source (Sawata et al., "All for one and one for all: improving music separation by
bridging networks", ICASSP 2021; Stöter et al., "Open-Unmix", 2019), joined by two bridges that
average over the branches; each branch is told the direction of its own source (Petermann & Kim,
"SpaIn-Net: spatially-informed stereophonic music source separation", ICASSP 2022)::

    x_k = tanh(norm(W [standardised magnitudes, condition_k]))      encode
    y   = mean over k of x_k                                        bridge 1
    z   = mean over k of [x_k, LSTM_k(y)]                           bridge 2
    mask_k = relu(scale · norm(V relu(norm(U z))) + mean)           decode

The masks, one a channel and ≥ 0, multiply the mixture. The condition, an azimuth in degrees, is

none : not told to the network.
concat : concatenated to the magnitudes of each channel, over 45° (the paper's D-1).
positional : the same with a positional code of the azimuth (D-F).
adain : a scale and a shift behind every norm, learned from the code. Statistics are those of the
    batch norm: those of a clip would need its future. Behind the last norm they are gains of
    every bin of either channel: what a direction says most directly.
steered : ours. AdaIN, and an encoder sees the magnitudes along the direction of its source and
    across it, |T| and |N| of `steer`, instead of those of left and right: where its
    source is alone, |N| is zero.

The width of a direction is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models_onnx.networks.spain.config import ADAPTIVE, XumxConfig
from models_onnx.networks.spain.interleaved import Interleaved
from models_onnx.networks.steer.cells import radians

RANGE_DEG = 45.0
Recurrence = Callable[[int, Tensor], Tensor]
Code = Tensor | None  # (B, F, size)


def positional_code(azimuth_deg: Tensor, size: int) -> Tensor:
    """Return the positional code of azimuths (...): (..., size).

    e_k = |φ| / 45^(2⌊k/2⌋ / size), even k sin(e_k), odd k cos(e_k); for φ < 0 the exponents run
    the other way, k → size − 1 − k, so left and right are told apart and the code is continuous.
    """
    k = torch.arange(size, device=azimuth_deg.device)
    slow = RANGE_DEG ** (-2.0 * torch.div(k, 2, rounding_mode="floor") / size)
    rates = torch.where(azimuth_deg[..., None] < 0, slow.flip(0), slow)
    phase = azimuth_deg[..., None].abs() * rates
    return torch.where(k % 2 == 0, torch.sin(phase), torch.cos(phase))


class Encoder(nn.Module):
    """Magnitudes (B, F, 2, seen) and a code (B, F, size) to an encoding (B, F, hidden)."""

    def __init__(self, config: XumxConfig) -> None:
        super().__init__()
        code = {"concat": 1, "positional": config.code}.get(config.condition, 0)
        self.mean = nn.Parameter(torch.zeros(config.seen))
        self.scale = nn.Parameter(torch.ones(config.seen))
        self.linear = nn.Linear(2 * (config.seen + code), config.hidden, bias=False)
        self.norm = Norm(config.hidden, config)

    def forward(self, magnitudes: Tensor, code: Tensor | None, adaptive: Tensor | None) -> Tensor:
        """Encode; `code` is concatenated to the magnitudes, `adaptive` scales and shifts."""
        x = (magnitudes - self.mean) * self.scale  # (B, F, 2, seen)
        if code is not None:
            x = torch.cat([x, code[:, :, None].expand(-1, -1, 2, -1)], -1)
        return torch.tanh(self.norm(self.linear(x.flatten(2)), adaptive))


class Norm(nn.Module):
    """Batch norm of (B, F, size), then, in AdaIN, a scale and a shift from a code (B, F, code)."""

    def __init__(self, size: int, config: XumxConfig) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(size)
        self.adapt = nn.Linear(config.code, 2 * size) if config.condition in ADAPTIVE else None
        if self.adapt is not None:
            nn.init.normal_(self.adapt.weight, std=0.02)
            nn.init.zeros_(self.adapt.bias)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Normalise (B, F, size)."""
        out: Tensor = self.norm(x.flatten(0, 1)).reshape(x.shape)
        if self.adapt is None or code is None:
            return out
        scale, shift = self.adapt(code).chunk(2, -1)
        return out * (1 + scale) + shift


class Decoder(nn.Module):
    """What the second bridge gives, (B, F, 2 · hidden), to masks (B, F, 2, bins)."""

    def __init__(self, config: XumxConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * config.hidden, config.hidden, bias=False)
        self.norm = Norm(config.hidden, config)
        self.out = nn.Linear(config.hidden, 2 * config.bins, bias=False)
        self.out_norm = Norm(2 * config.bins, config)
        self.scale = nn.Parameter(torch.ones(config.bins))
        self.mean = nn.Parameter(torch.ones(config.bins))

    def forward(self, x: Tensor, adaptive: Tensor | None) -> Tensor:
        """Give masks ≥ 0."""
        x = torch.relu(self.norm(self.hidden(x), adaptive))
        x = torch.stack(self.out_norm(self.out(x), adaptive).chunk(2, -1), 2)  # (B, F, 2, bins)
        return torch.relu(x * self.scale + self.mean)


class SpainXumx(nn.Module):
    """Masks of all sources; see the module."""

    def __init__(self, config: XumxConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden
        self.encoders = nn.ModuleList(Encoder(config) for _ in config.sources)
        self.lstms = nn.ModuleList(
            nn.LSTM(
                size,
                size // 2 if config.bidirectional else size,
                config.layers,
                batch_first=True,
                bidirectional=config.bidirectional,
                dropout=config.dropout,
            )
            for _ in config.sources
        )
        self.decoders = nn.ModuleList(Decoder(config) for _ in config.sources)

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give masks (B, F, sources, 2, bins), from silence on; there are no states to carry.

        Parameters
        ----------
        spectrum : (B, F, 2, bins, 2).
        conditions : ``direction`` (B, F, sources, 2), unless the network is not told.
        """
        plain = list(self.lstms)
        return self.separate(spectrum, conditions, lambda k, y: plain[k](y)[0]), ()

    def separate(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], remember: Recurrence
    ) -> Tensor:
        """Give the masks (B, F, sources, 2, bins).

        Parameters
        ----------
        remember : runs the recurrent layers of branch k over the first bridge (B, F, hidden).
        """
        encodings = self.encode(spectrum, conditions)
        bridge = encodings.mean(0)
        memories = [remember(k, bridge) for k in range(len(encodings))]
        return self.decode(encodings, torch.stack(memories), conditions)

    def encode(self, spectrum: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        """Give encodings (sources, B, F, hidden), before the first bridge."""
        codes, adaptive = self._codes(conditions)
        seen = self._seen(spectrum[..., : self.config.seen, :], conditions)
        told = zip(self.encoders, seen, codes, adaptive, strict=True)
        return torch.stack([encoder(*values) for encoder, *values in told])

    def decode(
        self, encodings: Tensor, memories: Tensor, conditions: Mapping[str, Tensor]
    ) -> Tensor:
        """Give masks (B, F, sources, 2, bins) from what the second bridge joins."""
        bridge = torch.cat([encodings, memories], -1).mean(0)  # (B, F, 2 · hidden)
        adaptive = self._codes(conditions)[1]
        masks = [decoder(bridge, a) for decoder, a in zip(self.decoders, adaptive, strict=True)]
        return torch.stack(masks, 2)

    def standardise(self, spectra: Tensor) -> None:
        """Set the encoders' mean and scale to those of training spectra (B, F, 2, bins) complex."""
        seen = spectra[..., : self.config.seen].abs().flatten(0, 2)
        mean, deviation = seen.mean(0), seen.std(0)
        for encoder in self.encoders:
            encoder.mean.data = mean.clone()
            encoder.scale.data = 1 / deviation.clamp(min=1e-4 * float(deviation.max()))

    def streaming(self) -> nn.Module:
        """Return the network as `ModelSpec` has it: one stream, states carried."""
        return Windowed(self) if self.config.bidirectional else Streaming(self)

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of a stream without its leading axis, the sources."""
        config = self.config
        if config.bidirectional:
            return {"encodings": (config.context + config.lookahead, config.hidden)}
        size = (config.layers, config.every, config.hidden)
        return {"hidden": size, "cell": size}

    def _seen(self, spectrum: Tensor, conditions: Mapping[str, Tensor]) -> list[Tensor]:
        """Return what each encoder sees of a spectrum: magnitudes (B, F, 2, seen)."""
        if self.config.condition != "steered":
            return [magnitude(spectrum)] * len(self.config.sources)
        theta = radians(conditions["direction"][..., 0])[..., None, None]  # (B, F, sources, 1, 1)
        cos, sin = torch.cos(theta), torch.sin(theta)
        left, right = spectrum[:, :, None, 0], spectrum[:, :, None, 1]  # (B, F, 1, seen, 2)
        steered = torch.stack([left * cos + right * sin, right * cos - left * sin], 3)
        return list(magnitude(steered).unbind(2))

    def _codes(self, conditions: Mapping[str, Tensor]) -> tuple[list[Code], list[Code]]:
        """Return for each source what is added to its magnitudes, and what adapts its norms."""
        config = self.config
        silent: list[Code] = [None] * len(config.sources)
        if config.condition == "none":
            return silent, silent
        azimuth_deg = conditions["direction"][..., 0]  # (B, F, sources)
        if config.condition == "concat":
            scaled: list[Code] = list((azimuth_deg / RANGE_DEG)[..., None].unbind(2))
            return scaled, silent
        codes: list[Code] = list(positional_code(azimuth_deg, config.code).unbind(2))
        return (silent, codes) if config.condition in ADAPTIVE else (codes, silent)


class Streaming(nn.Module):
    """A unidirectional network frame by frame: tensors in a row, states carried."""

    def __init__(self, network: SpainXumx) -> None:
        super().__init__()
        self.network = network
        self.lstms = nn.ModuleList(
            Interleaved(lstm, network.config.every)
            for lstm in network.lstms
            if isinstance(lstm, nn.LSTM)
        )

    def forward(self, spectrum: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give masks (F, sources, 2, bins) and the next hidden and cell states.

        Parameters
        ----------
        spectrum : (F, 2, bins, 2).
        others : the direction (F, sources, 2) if told; hidden and cell states
            (sources, layers, every, hidden).
        """
        hidden, cell = others[-2:]
        conditions = {"direction": others[0][None]} if len(others) == 3 else {}
        following: list[tuple[Tensor, Tensor]] = []

        def remember(k: int, y: Tensor) -> Tensor:
            out, h, c = self.lstms[k](y[0], hidden[k], cell[k])
            following.append((h, c))
            return out[None]

        masks = self.network.separate(spectrum[None], conditions, remember)[0]
        hs, cs = zip(*following, strict=True)
        return masks, torch.stack(hs), torch.stack(cs)


class Windowed(nn.Module):
    """A bidirectional network frame by frame: a window of encodings is carried.

    The recurrent layers run anew over the window of each frame, `context` frames before it and
    `lookahead` behind it, so that any partition of a stream gives the same masks.
    """

    def __init__(self, network: SpainXumx) -> None:
        super().__init__()
        self.network = network
        self.kept = network.config.context + network.config.lookahead

    def forward(self, spectrum: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """Give masks (F, sources, 2, bins) of the frames `lookahead` ago, and the next encodings.

        Parameters
        ----------
        spectrum : (F, 2, bins, 2).
        others : the direction (F, sources, 2) if told; encodings (sources, kept, hidden).
        """
        conditions = {"direction": others[0][None]} if len(others) == 2 else {}
        encodings = self.network.encode(spectrum[None], conditions)[:, 0]  # (sources, F, hidden)
        encodings = torch.cat([others[-1], encodings], 1)
        # the number of frames stays part of the graph, so that a file takes any
        count: Any = torch._shape_as_tensor(spectrum)[0]
        frames = torch.arange(count)
        windows = encodings.mean(0)[frames[:, None] + torch.arange(self.kept + 1)]
        place = self.network.config.context
        memories = torch.stack([lstm(windows)[0][:, place] for lstm in self.network.lstms])
        own = encodings[:, frames + place]
        masks = self.network.decode(own[:, None], memories[:, None], conditions)[0]
        return masks, encodings[:, -self.kept :]


def magnitude(spectrum: Tensor) -> Tensor:
    """Return √(re² + im²) of (..., 2), its gradient finite at zero."""
    return (spectrum.square().sum(-1) + 1e-12).sqrt()
