"""Panned notes of a few tones, and a network that learns to separate them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from models_onnx.data.collections import open_collection
from models_onnx.data.mixer import Scene
from models_onnx.data.sources import Collection
from models_onnx.data.stems import Label
from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.stft import steer
from models_onnx.training.batches import Aims, Batch, draw_batch
from realtime.spec import ModelSpec, Tier

RATE_HZ = 44_100
ANY = Aims()
SPEC = ModelSpec(
    name="tiny",
    tiers={"live": Tier(512, 256, 128), "studio": Tier(512, 256, 128, lookahead=2)},
    conditions={"direction": 2},
    mask_axes="steered",
    bins=256,
)


def tones(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Decaying notes of one instrument: a spectrum of its own at changing pitches."""
    partials = rng.uniform(0.1, 1, 6)
    out = np.zeros(samples)
    start = 0
    while start < samples:
        length = int(rng.integers(3000, 9000))
        time_s = np.arange(min(length, samples - start)) / RATE_HZ
        pitch_hz = rng.uniform(100, 900)
        note = sum(
            level * np.sin(2 * np.pi * pitch_hz * (k + 1) * time_s)
            for k, level in enumerate(partials)
        )
        out[start : start + time_s.size] += note * np.exp(-6 * time_s)
        start += length
    return 0.1 * out


def draw_scene(rng: np.random.Generator, samples: int = 11025, sources: int = 3) -> Scene:
    azimuth_deg = rng.uniform(-45, 45, sources).astype(np.float32)
    theta = np.deg2rad(azimuth_deg + 45)
    gains = np.stack([np.cos(theta), np.sin(theta)], 1)
    dry = np.stack([tones(rng, samples) for _ in range(sources)])
    images = (gains[:, :, None] * dry[:, None]).astype(np.float32)
    labels = (Label("other", "other"),) * sources
    width_deg, activity = np.zeros(sources, np.float32), np.ones((sources, 1), bool)
    return Scene(images.sum(0), images, azimuth_deg, width_deg, labels, activity)


def draw(step: int, *, aims: Aims = ANY, scenes: int = 2) -> Batch:
    rng = np.random.default_rng([7, step])
    return draw_batch(rng, draw_scene, scenes, 2, aims)


class TinyNetwork(nn.Module):
    """Levels along and across the direction, a GRU over time, a mask a bin."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        bins = SPEC.bins
        self.enter = nn.Linear(2 * bins, hidden)
        self.recur = nn.GRU(hidden, hidden, batch_first=True)
        self.leave = nn.Linear(hidden, bins)
        self.bend = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))

    def forward(
        self, spectrum: Tensor, conditions: dict[str, Tensor], states: None = None
    ) -> NetworkOutput:
        batch, frames, _, bins, _ = spectrum.shape
        targets = conditions["direction"].shape[2]
        theta = torch.deg2rad(conditions["direction"][..., 0] + 45)  # (B, F, K)
        mixture = torch.view_as_complex(spectrum.contiguous())[:, :, None]
        power = steer(mixture.expand(-1, -1, targets, -1, -1), theta).abs().square() + 1e-9
        levels = power.log()  # (B, F, K, 2, bins)
        x = levels.transpose(1, 2).reshape(batch * targets, frames, 2 * bins)
        x = self.leave(self.recur(torch.tanh(self.enter(x / 5)))[0])
        x = x.reshape(batch, targets, frames, bins).transpose(1, 2)
        ratio = levels[..., 0, :] - levels[..., 1, :]
        along = torch.sigmoid(self.bend[0] * x + self.bend[1] * ratio - self.bend[2])
        return NetworkOutput(torch.stack([along, *[torch.zeros_like(along)] * 3], 3))


def write_songs(folder: Path) -> Path:
    """Write two songs: one of three stems, mono and stereo, beside their mix, one of two stems."""
    rng = np.random.default_rng(0)
    for song, count in (("first", 3), ("second", 2)):
        (folder / song).mkdir()
        for k in range(count):
            stem = tones(rng, RATE_HZ)
            audio = stem if k == 0 else np.stack([stem, 0.8 * stem], 1)
            soundfile.write(folder / song / f"stem_{k}.wav", audio, RATE_HZ)
        soundfile.write(folder / song / "mix.wav", np.ones((RATE_HZ, 2)), RATE_HZ)
        (folder / song / "notes.txt").write_text("not audio")
    return folder


def opened(folder: Path) -> Collection:
    """Return the songs of a folder as the evaluation opens them."""
    return open_collection(folder, part="test", as_recorded=True)
