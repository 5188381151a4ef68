"""The query-net of system 2: a clip to a Gaussian in the space of timbres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.encoders.listen import QUIET, mel_bands

CHANNELS = (16, 16, 32, 32, 64, 64)
TIME_STRIDES = (2, 2, 2, 1, 1, 1)


@dataclass(frozen=True)
class QueryConfig:
    """Bands of the spectrum, numbers of the recurrent layer, numbers of the latent."""

    bands: int = 96
    width: int = 96
    size: int = 32


class QueryNet(nn.Module):
    """Six convolutions and a GRU give mean and log variance of z (Lee, Choi & Lee, 2019).

    The published one sees a spectrogram of 1024 bins; this one sees mel bands over the mean level
    of the clip, as the encoder of the flagship does, so that it does not hear the level.
    """

    mel: Tensor  # (bins, bands)

    def __init__(self, config: QueryConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mel", torch.from_numpy(mel_bands(config.bands)))
        given, layers = (1, *CHANNELS), []
        for a, b, stride in zip(given, CHANNELS, TIME_STRIDES, strict=False):
            conv = nn.Conv2d(a, b, 3, (stride, 2), padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.convs = nn.Sequential(*layers)
        bands = config.bands
        for _ in CHANNELS:
            bands = (bands + 1) // 2
        self.gru = nn.GRU(CHANNELS[-1] * bands, config.width, batch_first=True)
        self.leave = nn.Linear(config.width, 2 * config.size)

    def gaussian(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and log variance (B, size) of z for spectra (B, F, 2, bins, 2)."""
        bands = spectrum.square().sum((2, 4)) @ self.mel  # (B, F, bands)
        level = bands.mean((1, 2), keepdim=True) + 1e-9
        seen = 0.3 * torch.log(bands / level + QUIET)
        x = self.convs(seen[:, None])  # (B, 64, F / 8, bands / 64)
        x = x.permute(0, 2, 1, 3).flatten(2)
        mean, spread = self.leave(self.gru(x)[1][0]).chunk(2, -1)
        return mean, spread.clamp(-8, 4)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Give the direction of the mean of z, a unit vector (B, size).

        A Gaussian of many dimensions lies near a sphere, so its direction says what it is.
        """
        return functional.normalize(self.gaussian(spectrum)[0], dim=-1)


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from N(0, I), its mean over the batch and z."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
