"""The separator: the streaming contract, the latency it declares, and the textbook's targets."""

import numpy as np
import pytest

from realtime import Separator, load_model
from realtime.spec import Tier
from tests.support.contract import measured_latency, verify_streaming
from tests.support.fakes import (
    LIVE,
    FakeModel,
    counted_masks,
    counting,
    fake_spec,
    identity,
    lagging,
)
from tests.support.reference import reference_steering, reference_target
from tests.support.signals import noise, panned, tone

RATES = (32_000, 44_100, 48_000, 96_000, 192_000)


@pytest.mark.parametrize("tier", ["live", "studio"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_separator_keeps_the_contract_to_the_bit(tier, channels):
    verify_streaming(
        lambda: Separator(counting(), 44_100, targets=2, tier=tier, channels=channels),
        channels=channels,
    )


@pytest.mark.parametrize("tier", ["live", "offline"])
def test_panorama_keeps_the_contract(tier):
    model = load_model("panorama")

    def make():
        separator = Separator(model, 44_100, targets=2, tier=tier)
        separator.set(0, azimuth_deg=-30)
        separator.set(1, azimuth_deg=20, width_deg=60)
        return separator

    verify_streaming(make, tolerance=1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tier", ["live", "studio"])
@pytest.mark.parametrize("block", [None, 64, 256, 441])
def test_the_declared_latency_is_the_measured_one(rate, tier, block):
    separator = Separator(identity(), rate, tier=tier, block_multiple=block)
    step = block or 1_000
    signal = noise(2, 20_000 // step * step)
    cuts = [signal[:, k : k + step] for k in range(0, signal.shape[1], step)]
    out = np.concatenate([*(separator.process(c) for c in cuts), separator.flush()], axis=-1)
    assert measured_latency(out[0], signal) == separator.latency
    delayed = np.pad(signal, ((0, 0), (separator.latency, 0)))
    np.testing.assert_allclose(out[0], delayed, atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
def test_targets_and_residual_sum_to_the_delayed_mixture(rate):
    separator = Separator(load_model("panorama"), rate, targets=3)
    for k, azimuth in enumerate((-40, 0, 25)):
        separator.set(k, azimuth_deg=azimuth, width_deg=15)
    signal = np.clip(noise(2, 30_000, level=0.3), -1, 1)
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    delayed = np.pad(signal, ((0, 0), (separator.latency, 0)))
    assert np.abs(out.sum(0) - delayed).max() <= 1.2e-7


def test_the_target_is_that_of_the_textbook():
    signal = noise(2, 6_000)
    separator = Separator(counting(), 44_100)
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    bins = np.zeros((1, 1, LIVE.bins, 1))

    def masks(k):
        return counted_masks(np.array([k]), bins)[0, 0].astype(np.float64)

    expected = reference_target(signal, LIVE, masks, frames=out.shape[-1] // LIVE.hop)
    np.testing.assert_allclose(out[0, :, separator.latency :], expected, atol=1e-6)


def test_a_steered_target_is_that_of_the_textbook():
    rng = np.random.default_rng(3)
    filters = rng.uniform(-1, 1, (4, LIVE.bins)).astype(np.float32)
    model = FakeModel(lambda *_: filters[None, None], fake_spec(mask_axes="steered"))
    separator = Separator(model, 44_100)
    separator.set(0, azimuth_deg=-12)
    signal = noise(2, 6_000)
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    matrix = reference_steering(-12, filters.astype(np.float64))
    expected = reference_target(signal, LIVE, lambda k: matrix, out.shape[-1] // LIVE.hop)
    np.testing.assert_allclose(out[0, :, separator.latency :], expected, atol=1e-5)


@pytest.mark.parametrize("lookahead", [1, 5])
def test_masks_that_come_late_meet_the_spectrum_they_were_made_for(lookahead):
    """The model mutes exactly the loud frames: the burst must vanish, the hum around it stay."""
    separator = Separator(lagging(lookahead), 44_100, tier="studio")
    signal = np.full((2, 12_000), 1e-8, np.float32)
    signal[:, 5_000:5_100] = 0.5
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    assert np.abs(out[0]).max() < 1e-3


def test_a_frame_is_where_position_of_says():
    """A mask that opens at frame 20 opens around that frame's position, half a hop either way."""
    model = FakeModel(lambda frames, *_: (frames >= 20)[:, None, None, None])
    separator = Separator(model, 44_100)
    signal = np.ones((2, 12_000), np.float32)
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    opened = np.argmax(out[0, 0, separator.latency :] > 0.5)
    assert abs(opened - (separator.position_of(20) - LIVE.hop / 2)) <= 4


def test_eight_targets_are_separated_as_each_alone():
    model = load_model("panorama")
    signal = noise(2, 8_000)
    together = Separator(model, 44_100, targets=8)
    azimuths = np.linspace(-45, 45, 8)
    for k, azimuth in enumerate(azimuths):
        together.set(k, azimuth_deg=azimuth)
    out = together.process(signal)
    for k, azimuth in enumerate(azimuths):
        alone = Separator(model, 44_100)
        alone.set(0, azimuth_deg=azimuth)
        np.testing.assert_allclose(out[k], alone.process(signal)[0], atol=1e-6)


def test_panorama_takes_the_source_in_its_direction_alone():
    low, high = tone(300, 44_100), tone(3_100, 44_100)
    separator = Separator(load_model("panorama"), 44_100, targets=["low"], tier="offline")
    separator.set("low", azimuth_deg=-30, width_deg=20)
    mixture = panned(low, -30) + panned(high, 25)
    out = np.concatenate([separator.process(mixture), separator.flush()], axis=-1)
    out = out[..., separator.latency :]
    middle = slice(8_000, 36_000)
    error = out[0, :, middle] - panned(low, -30)[:, middle]
    assert np.sqrt((error**2).mean()) < 1e-3


def test_a_mono_mixture_is_a_stereo_one_with_equal_channels():
    model = load_model("panorama")
    mono = noise(1, 8_000)
    one, two = Separator(model, 48_000, channels=1), Separator(model, 48_000)
    stereo = two.process(np.repeat(mono, 2, axis=0))
    assert np.array_equal(one.process(mono), stereo[:, :1])


def test_a_change_of_direction_makes_no_click():
    signal = panned(tone(440, 44_100), 30)
    separator = Separator(load_model("panorama"), 44_100)
    separator.set(0, azimuth_deg=30)
    before = separator.process(signal[:, :20_000])
    separator.set(0, azimuth_deg=-30)
    after = separator.process(signal[:, 20_000:])
    out = np.concatenate([before, after], axis=-1)[0, 0]
    steepest = np.abs(np.diff(signal[0])).max()
    assert np.abs(np.diff(out)).max() < 1.5 * steepest
    assert np.abs(out[-5_000:]).max() < 0.01


def test_after_a_reset_a_direction_does_not_glide_from_where_it_was():
    separator, fresh = (Separator(load_model("panorama"), 44_100) for _ in range(2))
    separator.set(0, azimuth_deg=-40)
    separator.process(noise(2, 9_000))
    for one in (separator, fresh):
        one.set(0, azimuth_deg=40)
    separator.reset()
    assert np.array_equal(*(one.process(noise(2, 9_000)) for one in (separator, fresh)))


def test_a_stream_of_any_length_takes_the_same_memory():
    separator = Separator(counting(), 44_100)
    fifos = (separator._input, separator._output, separator._delayed)
    block = noise(2, 1_024)
    for _ in range(50):
        separator.process(block)
    sizes = [fifo._data.size for fifo in fifos]
    for _ in range(1_000):
        separator.process(block)
    assert [fifo._data.size for fifo in fifos] == sizes


def test_conditions_from_a_source_are_those_of_each_frame():
    asked = []

    def source(first, frames):
        asked.extend(range(first, first + frames))
        return {"direction": np.tile(np.float32([10, 20]), (frames, 1, 1))}

    separator = Separator(identity(), 44_100, conditions=source)
    for size in (100, 700, 3_000):
        separator.process(noise(2, size))
    assert asked == list(range(3_800 // LIVE.hop))
    with pytest.raises(ValueError, match="source of their own"):
        separator.set(0, azimuth_deg=3)


def test_a_model_with_targets_of_its_own_names_the_stems():
    separator = Separator(identity(fake_spec(targets=("bass", "drums"))), 44_100)
    assert separator.stems == ("bass", "drums", "residual")


def test_a_narrow_model_meets_a_spectrum_with_fewer_bins():
    spec = fake_spec(bins=500, tiers={"live": Tier(1024, 512, 256)})
    seen = []

    def rule(frames, spectrum, conditions):
        seen.append(spectrum.shape[2])
        return np.ones((1, 1, 1, 1))

    separator = Separator(FakeModel(rule, spec), 32_000)  # 385 bins
    separator.process(noise(2, 1_000))
    assert set(seen) == {500}
