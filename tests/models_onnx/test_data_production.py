"""Scenes as productions are, and sounds varied as other recordings of them are."""

import numpy as np
import pytest

from models_onnx.data import production
from models_onnx.data.mixer import draw
from models_onnx.data.variation import FASTEST, draw_speed, played, toned
from tests.support.timbres import RATE_HZ, Songs, sound


def images(seed: int = 0, samples: int = 30_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mono = np.stack([sound(rng, name, samples) for name in ("bass", "vocals", "drums")])
    return np.repeat(mono[:, None], 2, 1).astype(np.float32)


def test_the_middle_is_crowded_and_a_bass_is_a_point() -> None:
    rng, sources = np.random.default_rng(0), Songs(1).sources(0)
    seated = [production.seats(rng, sources) for _ in range(200)]
    by_class = {s.label.name: [seats[k] for seats in seated] for k, s in enumerate(sources)}
    for name in ("bass", "vocals", "drums"):
        near = np.mean([abs(seat.azimuth_deg) < 6 for seat in by_class[name]])
        assert near > 0.8, name
    guitars = [seat.azimuth_deg for seat in by_class["guitar"]]
    assert np.mean(np.abs(guitars) > 10) > 0.3
    assert np.mean([seat.wet == 0 for seat in by_class["bass"]]) > 0.5


def test_what_the_bus_does_keeps_the_sum_a_sum() -> None:
    before = images()
    for seed in range(12):
        after = production.finish(np.random.default_rng(seed), before)
        assert after.shape == before.shape
        assert np.isfinite(after).all()
    rng = np.random.default_rng(0)
    gain = production._compressor(rng, before.sum(0))
    squeezed = before * gain
    assert np.allclose(squeezed.sum(0), before.sum(0) * gain, atol=1e-5)


def test_a_compressor_turns_down_what_is_loud() -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((2, 88_200)).astype(np.float32) * 0.02
    signal[:, 44_100:] *= 20
    gain = production._compressor(np.random.default_rng(3), signal)
    assert gain[60_000:].mean() < 0.8 * gain[20_000:40_000].mean()
    assert gain.max() <= 1 + 1e-6


def test_a_limiter_holds_its_ceiling() -> None:
    mixture = images().sum(0)
    for seed in range(5):
        limited = mixture * production._limiter(np.random.default_rng(seed), mixture)
        assert np.abs(limited).max() <= np.abs(mixture).max() + 1e-6
    lowest = [
        np.abs(mixture * production._limiter(np.random.default_rng(s), mixture)).max()
        for s in range(20)
    ]
    assert min(lowest) < 0.7 * np.abs(mixture).max()


def test_a_scene_takes_its_seats_and_its_bus() -> None:
    rng = np.random.default_rng(0)
    scene = draw(rng, Songs(1).sources(0), 0.5, seats=production.seats, finish=production.finish)
    assert np.allclose(scene.images.sum(0), scene.mixture, atol=1e-5)
    assert (np.abs(scene.azimuth_deg) <= 45).all()


def test_tone_is_varied_and_level_is_about_kept() -> None:
    stem = np.random.default_rng(0).standard_normal((3, 20_000)).astype(np.float32)
    varied = toned(np.random.default_rng(1), stem)
    assert varied.shape == stem.shape
    power = np.abs(np.fft.rfft(varied[0])) / np.abs(np.fft.rfft(stem[0]))
    hz = np.fft.rfftfreq(20_000, 1 / RATE_HZ)
    by_band = [np.median(power[(hz > a) & (hz < 1.5 * a)]) for a in (100, 400, 2000, 8000)]
    assert max(by_band) > 1.2 * min(by_band)
    assert 0.2 < np.std(varied) / np.std(stem) < 5


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_played_faster_is_higher(speed: float) -> None:
    n = np.arange(40_000)
    tone = np.sin(2 * np.pi * 1000 * n / RATE_HZ).astype(np.float32)[None]
    out = played(tone, 20_000, speed)
    assert out.shape == (1, 20_000)
    peak_hz = np.abs(np.fft.rfft(out[0])).argmax() * RATE_HZ / 20_000
    assert peak_hz == pytest.approx(1000 * speed, rel=0.01)


def test_speeds_stay_within_bounds_and_vary() -> None:
    rng = np.random.default_rng(0)
    speeds = [draw_speed(rng) for _ in range(500)]
    assert 1 / FASTEST <= min(speeds) < 0.9
    assert 1.1 < max(speeds) <= FASTEST
