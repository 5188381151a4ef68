import numpy as np
import pytest

from realtime import Separator, load_model
from realtime.spec import Tier
from tests.contract import measured_latency, verify_streaming
from tests.fakes import (
    LIVE,
    FakeModel,
    counted_masks,
    counting,
    fake_spec,
    identity,
    lagging,
    nan_at,
)
from tests.reference import reference_steering, reference_target
from tests.signals import noise, panned, tone

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
    separator = Separator(identity(), rate, tier=tier, block=block)
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e30])
def test_damaged_samples_are_silenced_and_counted(value):
    separator = Separator(load_model("panorama"), 44_100)
    signal = noise(2, 9_000)
    signal[0, 4_000:4_003] = value
    out = np.concatenate([separator.process(signal)], axis=-1)
    assert separator.invalid_samples == 3
    assert np.abs(out).max() < 1
    clean = signal.copy()
    clean[0, 4_000:4_003] = 0
    separator.process(signal)
    assert separator.invalid_samples == 6, "they add up"
    assert np.array_equal(Separator(load_model("panorama"), 44_100).process(clean), out)


def test_a_model_that_gives_nan_is_started_anew_and_its_target_dry():
    separator = Separator(nan_at(10), 44_100)
    blocks = np.split(noise(2, 12_800), 50, axis=1)
    out = np.concatenate([*map(separator.process, blocks), separator.flush()], axis=-1)
    assert np.isfinite(out).all()
    assert np.abs(out[0]).max() > 0.1, "the bad frame is dry"
    assert not out[0, :, -4_000:].any(), "the model works again"


def test_a_model_whose_state_is_spoilt_forgets_it():
    def spoilt(frames, spectrum, conditions):  # from its 10th frame on, until it is started anew
        return np.where(frames >= 10, np.nan, 0)[:, None, None, None]

    separator = Separator(FakeModel(spoilt), 44_100)
    for block in np.split(noise(2, 12_800), 50, axis=1):
        separator.process(block)
    assert separator.model_faults == 4, "one in eleven hops, not all but ten"


def test_after_a_reset_a_direction_does_not_glide_from_where_it_was():
    separator, fresh = (Separator(load_model("panorama"), 44_100) for _ in range(2))
    separator.set(0, azimuth_deg=-40)
    separator.process(noise(2, 9_000))
    for one in (separator, fresh):
        one.set(0, azimuth_deg=40)
    separator.reset()
    assert np.array_equal(*(one.process(noise(2, 9_000)) for one in (separator, fresh)))


def test_denormal_samples_cost_no_sense():
    out = Separator(load_model("panorama"), 44_100).process(np.full((2, 9_000), 1e-40, np.float32))
    assert np.abs(out).max() <= 1e-39


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


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (np.zeros((2, 10)), TypeError),
        (np.zeros((3, 10), np.float32), ValueError),
        (np.zeros(10, np.float32), ValueError),
        ([[0.0], [0.0]], TypeError),
    ],
    ids=["float64", "three channels", "no channels", "a list"],
)
def test_a_block_of_another_kind_or_shape_is_refused(block, error):
    with pytest.raises(error, match="expected"):
        Separator(identity(), 44_100).process(block)


@pytest.mark.parametrize(
    "arguments",
    [
        {"targets": 0},
        {"targets": ["a", "a"]},
        {"targets": ["residual"]},
        {"channels": 3},
        {"block": 0},
        {"tier": "offline"},
        {"sample_rate": 8_000},
    ],
    ids=str,
)
def test_a_separator_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match=r"expected|no tier"):
        Separator(**({"model": identity(), "sample_rate": 44_100} | arguments))


@pytest.mark.parametrize(
    ("name", "value"),
    [("azimuth_deg", 46), ("azimuth_deg", np.nan), ("width_deg", 0), ("width_deg", 91)],
)
def test_a_direction_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match="expected"):
        Separator(identity(), 44_100).set(0, **{name: value})


def test_a_target_or_a_condition_that_is_not_there_is_refused():
    separator = Separator(identity(), 44_100, targets=["guitar"])
    with pytest.raises(ValueError, match="guitar"):
        separator.set("piano", azimuth_deg=0)
    with pytest.raises(ValueError, match="timbre"):
        separator.set("guitar", timbre=np.ones(4, np.float32))


def test_a_model_with_targets_of_its_own_names_the_stems():
    separator = Separator(identity(fake_spec(targets=("bass", "drums"))), 44_100)
    assert separator.stems == ("bass", "drums", "residual")


def test_a_block_that_breaks_the_promised_size_is_refused():
    separator = Separator(identity(), 44_100, block=128)
    with pytest.raises(ValueError, match="expected 128 or a multiple"):
        separator.process(noise(2, 129))


def test_a_narrow_model_meets_a_spectrum_with_fewer_bins():
    spec = fake_spec(bins=500, tiers={"live": Tier(1024, 512, 256)})
    seen = []

    def rule(frames, spectrum, conditions):
        seen.append(spectrum.shape[2])
        return np.ones((1, 1, 1, 1))

    separator = Separator(FakeModel(rule, spec), 32_000)  # 385 bins
    separator.process(noise(2, 1_000))
    assert set(seen) == {500}
