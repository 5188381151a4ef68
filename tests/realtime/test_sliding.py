"""Models that see a stretch of sound at once: masks by position, in any blocks, and faults."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from realtime import Separator
from realtime.sliding import SlidingMasks, hann
from realtime.spec import Runs, Tier
from realtime.stft import analyse_roughly
from tests.support.contract import measured_latency, verify_streaming
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import noise, tone

OLD = Tier(1024, 256, 128, runs=Runs(frames=8, step=256, every=4, age=3, partial=2))
MIRRORED = replace(OLD, runs=replace(OLD.runs, partial=4, mirrored=True))
BESIDE = Tier(1024, 512, 256, lookahead=5, runs=Runs(frames=8, step=256, every=4, age=-3))
AT_ONCE = Tier(1024, 1024, 256, lookahead=6, runs=Runs(16, 256, every=3, age=-6, fade=3))
TIERS = {"live": OLD, "direct": MIRRORED, "studio": BESIDE, "offline": AT_ONCE}
SPEC = fake_spec(tiers=TIERS, conditions={}, targets=("voice", "drums"), mask_axes="channels")


def by_level(delay_s=0.0):
    """A model whose masks tell how loud each bin is, and how loud its whole stretch."""

    def rule(frames, spectrum, conditions):
        time.sleep(delay_s)
        power = (spectrum**2).sum(-1)
        both = np.stack([1 / (1 + 1e4 * power), 1e4 * power / (1 + power.mean() * 1e4)], axis=1)
        return np.minimum(both, 1)

    return FakeModel(rule, SPEC)


def numbering():
    """A model whose masks are the number of its run over 100."""
    model = FakeModel(lambda *_: np.float32((model.runs - 1) / 100), SPEC)
    return model


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sliding_model_keeps_the_contract_to_the_bit(tier, channels):
    verify_streaming(lambda: Separator(by_level(), 44_100, tier=tier, channels=channels),
                     channels=channels)  # fmt: skip


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("block", [None, 64, 441])
def test_the_declared_latency_is_the_measured_one(rate, tier, block):
    identity = FakeModel(lambda *_: np.ones((1, 1, 1, 1)), SPEC)
    separator = Separator(identity, rate, tier=tier, block_multiple=block)
    step = block or 1_000
    signal = noise(2, 20_000 // step * step)
    cuts = [signal[:, k : k + step] for k in range(0, signal.shape[1], step)]
    out = np.concatenate([*(separator.process(c) for c in cuts), separator.flush()], axis=-1)
    assert measured_latency(out[0], signal) == separator.latency
    delayed = np.pad(signal, ((0, 0), (separator.latency, 0)))
    np.testing.assert_allclose(out[0], delayed, atol=1e-6)


@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
def test_a_frame_has_the_masks_of_the_run_that_its_position_says(tier):
    model, runs = numbering(), tier.runs
    masks = SlidingMasks(model, tier).step(noise(2, 60 * tier.hop))[:, 0, 0, 0]
    for hop in range(60):
        frame = hop - tier.lookahead
        run = (frame - runs.age + 1) // runs.every - 1
        expected = run / 100 if run >= 0 else 1
        place = frame - ((run + 1) * runs.every - 1 + runs.age)
        if run > 0 and place < runs.fade:  # on its way from the masks of the run before
            expected -= 0.01 * (1 - place / runs.fade)
        assert masks[hop] == pytest.approx(expected), f"frame {frame}"
    assert 60 // runs.every - 1 <= model.runs <= 60 // runs.every, "the last may still work"


def test_a_run_sees_hann_frames_of_the_newest_sound_and_of_silence_ahead():
    seen = []
    model = FakeModel(lambda frames, spectrum, _: seen.append(spectrum) or np.ones(1), SPEC)
    signal = noise(2, 6_144)
    masks = SlidingMasks(model, OLD)
    masks.step(signal)
    masks.step(np.zeros((2, 3 * OLD.hop), np.float32))  # waits for the last run
    padded = np.pad(signal, ((0, 0), (0, 512)))[:, -1024 - 7 * 256 :]
    expected = analyse_roughly(padded, hann(1024), 256)
    np.testing.assert_array_equal(seen[-1][..., 0], expected.real)
    np.testing.assert_array_equal(seen[-1][..., 1], expected.imag)
    full_scale = np.abs(
        analyse_roughly(tone(44_100 / 8, 1024, level=1)[None], hann(1024), 256)
    ).max()
    assert full_scale == pytest.approx(0.5, abs=1e-3)


def test_a_run_sees_the_newest_sound_backwards_beyond_it_where_it_is_mirrored():
    seen = []
    model = FakeModel(lambda frames, spectrum, _: seen.append(spectrum) or np.ones(1), SPEC)
    signal = noise(2, 6_144)
    masks = SlidingMasks(model, MIRRORED)
    masks.step(signal)
    masks.step(np.zeros((2, 3 * OLD.hop), np.float32))  # waits for the last run
    padded = np.concatenate([signal, signal[:, ::-1][:, :1024]], axis=1)[:, -1024 - 7 * 256 :]
    expected = analyse_roughly(padded, hann(1024), 256)
    np.testing.assert_array_equal(seen[-1][..., 0], expected.real)
    np.testing.assert_array_equal(seen[-1][..., 1], expected.imag)


@pytest.mark.parametrize("tier", ["studio", "offline"])
def test_with_look_ahead_a_frame_gets_the_masks_of_its_own_time(tier):
    def quiet_only(frames, spectrum, conditions):  # closes where the sound is
        return (np.abs(spectrum).max((1, 2, 3)) < 1e-3)[:, None, None, None]

    signal = np.zeros((2, 20_000), np.float32)
    signal[:, 9_000:9_010] = 1
    separator = Separator(FakeModel(quiet_only, SPEC), 44_100, tier=tier)
    out = np.concatenate([separator.process(signal), separator.flush()], axis=-1)
    assert np.abs(out[0]).max() < 0.02, "the click is in frames that are closed"
    old = Separator(FakeModel(quiet_only, SPEC), 44_100, tier="live")
    assert np.abs(old.process(signal)[0]).max() > 0.4, "old masks know nothing of it"


def test_a_slow_model_is_waited_for_and_gives_the_same():
    signal = noise(2, 8_000)
    for tier in TIERS:
        slow, fast = (Separator(by_level(s), 44_100, tier=tier) for s in (0.01, 0))
        assert np.array_equal(slow.process(signal), fast.process(signal)), tier
        assert slow.late_runs == 0


def test_without_waiting_a_late_run_is_counted_and_the_last_masks_go_on():
    gate = threading.Event()
    model = numbering()
    rule = model.rule
    model.rule = lambda *given: (gate.wait(10), rule(*given))[1]
    gate.set()
    masks = SlidingMasks(model, OLD)
    masks.step(np.zeros((2, 7 * OLD.hop), np.float32))  # run 0 has begun and serves frames from 6
    masks.wait = False
    gate.clear()
    began_s = time.monotonic()
    late = masks.step(np.zeros((2, 25 * OLD.hop), np.float32))[:, 0, 0, 0]
    assert time.monotonic() - began_s < 5, "it does not wait"
    assert not late.any(), "masks of run 0"
    assert masks.late_runs == 6, "runs 1 to 6 were due"
    assert model.runs <= 2, "while one is late no other begins"
    gate.set()
    masks.wait = True
    again = masks.step(np.zeros((2, 20 * OLD.hop), np.float32))[-1, 0, 0, 0]
    assert again > 0, "it goes on"
    assert masks.late_runs <= 7


@pytest.mark.parametrize("tier", TIERS)
def test_a_run_that_gives_nan_is_dry_and_spoils_no_other(tier):
    def make():
        def rule(frames, spectrum, conditions):
            loud = np.abs(spectrum).max() > 0.2
            return np.full((len(frames), 1, 1, 1), np.nan if loud else 0, np.float32)

        return Separator(FakeModel(rule, SPEC), 44_100, tier=tier)

    signal = noise(2, 20_000, level=1e-3)
    signal[:, 6_000:6_020] = 20
    separator = make()
    whole = separator.process(signal)
    assert separator.model_faults > 0
    assert np.isfinite(whole).all()
    assert np.abs(whole[0, :, 6_000:12_000]).max() > 3e-3, "the bad runs are dry"
    assert not whole[0, :, 4_000:5_900].any(), "the others are not"
    assert not whole[0, :, -3_000:].any(), "the model works again"
    again = make()
    parts = [again.process(block) for block in np.split(signal, 50, axis=1)]
    assert np.array_equal(np.concatenate(parts, axis=-1), whole)


@pytest.mark.parametrize("tier", TIERS)
def test_a_model_that_raises_raises_and_goes_on_after_a_reset(tier):
    raised = []

    def rule(frames, spectrum, conditions):
        if not raised:
            raised.append(True)
            raise RuntimeError("the model crashed")
        return np.ones((1, 1, 1, 1))

    separator = Separator(FakeModel(rule, SPEC), 44_100, tier=tier)
    with pytest.raises(RuntimeError, match="the model crashed"):
        separator.process(noise(2, 9_000))
    separator.reset()
    assert separator.process(noise(2, 9_000)).any()


def test_a_stream_of_any_length_takes_the_same_memory():
    separator = Separator(by_level(), 44_100, tier="live")
    held = separator._sliding
    block = noise(2, 1_000)
    for _ in range(50):
        separator.process(block)
    assert held._sound.shape[1] == 2 * held._stretch + OLD.hop
    assert len(held._begun) <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": {"direction": 2}}, "no conditions"),
        ({"targets": ()}, "needs targets"),
    ],
    ids=str,
)
def test_a_spec_with_runs_that_contradicts_itself_is_refused(changes, message):
    fields = {"tiers": TIERS, "conditions": {}, "targets": ("voice",)} | changes
    with pytest.raises(ValueError, match=message):
        fake_spec(**fields)


@pytest.mark.parametrize(
    ("lookahead", "runs"),
    [
        (0, (8, 256, 4, -1)),
        (0, (8, 256, 0)),
        (0, (0, 256, 4)),
        (0, (8, 256, 4, 0, 8)),
        (0, (8, 256, 4, 0, 5, 0, True)),
    ],
    ids=str,
)
def test_runs_that_cannot_be_are_refused(lookahead, runs):
    with pytest.raises(ValueError, match=r"runs need|look-ahead"):
        Tier(1024, 512, 256, lookahead, Runs(*runs))


def test_runs_scale_with_the_sample_rate():
    assert OLD.scaled(2).runs == Runs(frames=8, step=512, every=4, age=3, partial=2)
