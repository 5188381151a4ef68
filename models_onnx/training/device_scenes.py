"""Scenes made where the network is trained: all sounds lie in the memory of the device.

`timbre_batches` reads and mixes sounds on processors, which is too slow for a GPU. Here a processor
draws what is in a scene (`Casting`), and the device cuts, varies, places and mixes the sounds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models_onnx.data.production import STEP
from models_onnx.data.sources import Pool
from models_onnx.data.stems import RATE_HZ, cubic_weights
from models_onnx.data.variation import POINTS_HZ
from models_onnx.training.casting import Casting
from models_onnx.training.casts import Cast
from models_onnx.training.device_sounds import FULL_SCALE, Sounds
from models_onnx.training.timbre_questions import Asking, TimbreBatch


class DeviceScenes:
    """Makes batches of casts, on the device of the sounds."""

    def __init__(self, sounds: Sounds, seconds: float, clip_s: float) -> None:
        self.sounds, self.samples = sounds, round(seconds * RATE_HZ)
        self.clip_samples = round(clip_s * RATE_HZ)
        self.device = sounds.samples.device

    def batch(self, cast: Cast) -> TimbreBatch:
        """Cut, vary, place and mix what is in a cast."""
        images = self._placed(cast)
        images = self._finished(images, cast)
        mixture = images.sum(1)
        meant = self._on(cast.meant)
        targets = torch.einsum("sqm,smcn->sqcn", meant, images)
        clips = self._clips(cast, mixture)
        scenes = len(mixture)
        return TimbreBatch(
            mixture,
            targets,
            {"direction": self._on(cast.direction)},
            torch.ones(scenes, device=self.device),
            clips,
            torch.zeros(len(clips), dtype=torch.int64, device=self.device),
            self._on(cast.positive),
            self._on(cast.negative),
            self._on(cast.kinds),
            self._on(cast.asked),
        )

    def _on(self, values: NDArray[np.generic]) -> Tensor:
        values = values.astype(np.float32) if values.dtype == np.float64 else values
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _cut(
        self,
        stem: NDArray[np.int64],
        start: NDArray[np.int64],
        speed: NDArray[np.float64],
        count: int,
    ) -> Tensor:
        """Return stretches (..., 2, count) of stems, played at a speed (Catmull-Rom)."""
        there = stem >= 0
        first = np.where(there, np.array(self.sounds.first)[stem], 0)
        length = np.where(there, np.array(self.sounds.length)[stem], 0)
        place = torch.arange(count, device=self.device, dtype=torch.float64)
        at = place * torch.from_numpy(speed).to(self.device)[..., None]
        whole = at.long()
        t = (at - whole).float()
        whole = whole + self._on(start)[..., None]
        ends = self._on(length)[..., None]
        begins = self._on(first)[..., None]
        out = torch.zeros(*at.shape, 2, device=self.device)
        for shift, weight in zip((-1, 0, 1, 2), cubic_weights(t), strict=True):
            tap = whole + shift
            inside = (tap >= 0) & (tap < ends)
            tap = torch.where(inside, tap + begins, torch.zeros_like(tap))
            out += self.sounds.samples[tap] * (weight * inside)[..., None]
        return (out * (2**0.5 / FULL_SCALE)).transpose(-1, -2)

    def _placed(self, cast: Cast) -> Tensor:
        """Return the images (S, M, 2, n) of the sources."""
        stereo = self._cut(cast.stem, cast.start, cast.speed, self.samples)
        stereo = self._toned(stereo, cast.tone_db)
        gain, wet = self._on(cast.gain), self._on(cast.wet * cast.mirrored)
        return _image(stereo, self._on(cast.azimuth_deg), wet) * gain[..., None, None]

    def _toned(self, sound: Tensor, tone_db: NDArray[np.float32]) -> Tensor:
        """Equalise (..., 2, n) by gains at `POINTS_HZ` (..., points)."""
        size = _fast(sound.shape[-1])
        hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
        curves = np.stack([
            np.interp(np.log(hz + 1.0), np.log(POINTS_HZ), row) for row in np.eye(len(POINTS_HZ))
        ])  # fmt: skip
        curve = self._on(tone_db) @ self._on(curves)
        spectrum = torch.fft.rfft(sound, size) * (10 ** (curve / 20))[..., None, :]
        return torch.fft.irfft(spectrum, size)[..., : sound.shape[-1]]

    def _finished(self, images: Tensor, cast: Cast) -> Tensor:
        rooms = self._on(cast.rooms)
        images = images + self._wet(images.sum(2), rooms, self._on(cast.sends), cast.noise)
        squeeze = self._on(cast.squeeze)
        steps = -(-self.samples // STEP)
        padded = functional.pad(images.sum(1), (0, steps * STEP - self.samples))
        power = padded.unflatten(-1, (steps, STEP)).square().mean((1, 3))
        gain_db = self._compressor(power, squeeze)
        gain = self._over(gain_db)
        padded = functional.pad(images.sum(1) * gain[:, None], (0, steps * STEP - self.samples))
        peaks = padded.abs().amax(1).unflatten(-1, (steps, STEP)).amax(-1)
        gain = gain * self._over(self._limiter(peaks, squeeze[:, 3]))
        return images * gain[:, None, None]

    def _wet(self, mono: Tensor, rooms: Tensor, sends: Tensor, seed: int) -> Tensor:
        """Return what a room (S, 4) makes of sources (S, M, n): (S, M, 2, n)."""
        longest = int(0.9 * RATE_HZ)
        n = torch.arange(longest, device=self.device)
        seconds, pole, before, loud = (x[:, None] for x in rooms.unbind(1))
        generator = torch.Generator(self.device).manual_seed(seed)
        noise = torch.randn(len(rooms), 2, longest, device=self.device, generator=generator)
        size = _fast(self.samples + longest)
        hz = torch.linspace(0, np.pi, size // 2 + 1, device=self.device)
        tone = torch.sqrt((1 - pole.square()) / (1 - 2 * pole * torch.cos(hz) + pole.square()))
        span = (seconds * RATE_HZ).clamp(min=1.0)
        shape = torch.exp(-6.9 * n / span) * (n < span) * (n >= before * RATE_HZ)
        noise = noise * shape[:, None]
        noise = noise / (noise.square().sum(-1, keepdim=True).sqrt() + 1e-6)
        spectrum = torch.fft.rfft(noise, size) * tone[:, None]
        wet = torch.fft.irfft(torch.fft.rfft(mono, size)[:, :, None] * spectrum[:, None], size)
        return wet[..., : self.samples] * (sends * loud)[..., None, None]

    def _compressor(self, power: Tensor, squeeze: Tensor) -> Tensor:
        """Return gains in dB of every `STEP` samples (S, steps)."""
        seconds, threshold, slope = (x[:, None] for x in squeeze.unbind(1)[:3])
        decay = torch.exp(-STEP / RATE_HZ / seconds.clamp(min=1e-3))  # (S, 1)
        steps = power.shape[1]
        ages = torch.arange(steps, device=self.device)
        matrix = (1 - decay[..., None]) * decay[..., None] ** (ages[:, None] - ages).clamp(min=0)
        matrix = matrix * (ages[:, None] >= ages)
        mean = power.mean(1, keepdim=True)
        smooth = (matrix @ power[..., None])[..., 0] + decay ** (ages + 1) * mean
        level_db = 10 * torch.log10(smooth + 1e-9)
        over = (level_db - level_db.mean(1, keepdim=True) - threshold).clamp(min=0)
        return -slope * over

    def _limiter(self, peaks: Tensor, below_db: Tensor) -> Tensor:
        """Return gains in dB that turn peaks above a ceiling down, ahead of them."""
        ceiling = peaks.amax(1, keepdim=True).clamp(min=1e-6) * 10 ** (-below_db[:, None] / 20)
        need_db = (-20 * torch.log10(peaks / ceiling + 1e-9)).clamp(max=0.0)
        held = -functional.max_pool1d(-need_db[:, None], 7, 1, 3)[:, 0]
        ages = torch.arange(peaks.shape[1], device=self.device)
        fade = torch.exp(-(ages[:, None] - ages).clamp(min=0) * (STEP / RATE_HZ / 0.05))
        fade = fade * (ages[:, None] >= ages)
        return (held[:, None] * fade).amin(-1)  # what was needed, and has faded since

    def _over(self, gain_db: Tensor) -> Tensor:
        """Spread gains of every `STEP` samples to factors (S, n), in straight lines between."""
        places = torch.arange(self.samples, device=self.device) / STEP
        whole = places.long()
        t = places - whole
        following = (whole + 1).clamp(max=gain_db.shape[1] - 1)
        return 10 ** ((gain_db[:, whole] * (1 - t) + gain_db[:, following] * t) / 20)

    def _clips(self, cast: Cast, mixture: Tensor) -> Tensor:
        speed = np.ones(len(cast.clip_stem))
        clips = self._cut(cast.clip_stem, cast.clip_start, speed, self.clip_samples)
        clips = _image(clips, self._on(cast.clip_azimuth_deg), self._on(cast.clip_wet))
        clips = self._toned(clips, cast.clip_tone_db)
        scene, level_db = self._on(cast.clip_leak).unbind(1)
        leak = mixture[scene.long(), :, : self.clip_samples]
        ratio = clips.square().mean((1, 2)).sqrt() / (leak.square().mean((1, 2)).sqrt() + 1e-6)
        clips[..., : leak.shape[-1]] += leak * (10 ** (level_db / 20) * ratio)[:, None, None]
        return clips


def _image(stereo: Tensor, azimuth_deg: Tensor, wet: Tensor) -> Tensor:
    """Place direct sound and side (..., 2, n) in a direction; see `stems.image`."""
    angle = (azimuth_deg + 45) * (torch.pi / 180)
    direct, side = stereo.unbind(-2)
    side = wet[..., None] * side
    left, right = torch.cos(angle)[..., None] * direct, torch.sin(angle)[..., None] * direct
    return torch.stack([left + side, right - side], -2)


def _fast(size: int) -> int:
    """Return a size for a transform that is quick: of small factors."""
    best = 1 << (size - 1).bit_length()
    for factor in (3, 5, 9, 15):
        power = factor << max(0, (-(-size // factor) - 1).bit_length())
        if size <= power < best:
            best = power
    return best


def batches_on_device(
    pool: Pool,
    device: str,
    seed: int,
    scenes: int,
    targets: int,
    seconds: float,
    asking: Asking,
) -> Callable[[int], TimbreBatch]:
    """Return batch k as a function of k, of all songs of a pool, which are loaded first."""
    songs = [
        (collection.sources(song), kind)
        for kind, collection in enumerate(pool.collections)
        for song in range(len(collection))
    ]
    sounds = Sounds(sum(s.samples for song, _ in songs for s in song), device)
    for song, kind in songs:
        sounds.add(song, kind)
    casting = Casting(sounds, pool.weights, asking, scenes, targets, seconds, scenes)
    made = DeviceScenes(sounds, seconds, asking.clip_s)
    return lambda step: made.batch(casting.draw(seed, step))
