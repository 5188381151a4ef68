import contextlib
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from realtime import Separator, ThreadedProcessor
from tests.support.fakes import FakeModel, counting, crashing, identity, slow
from tests.support.signals import noise

RATE = 44_100
_OF_A_PROCESSOR = ("sample_rate", "channels", "block_multiple", "tier", "stems")
BLOCK = 256


def _engine(model, **options):
    separator = Separator(model, RATE, block_multiple=256)
    return ThreadedProcessor(separator, max_block=BLOCK, **options)


def _play(engine, signal, wait):
    """Blocks in, blocks out; `wait` is called between them."""
    outs = []
    for first in range(0, signal.shape[1], BLOCK):
        outs.append(engine.process(signal[:, first : first + BLOCK]))
        wait(engine)
    return np.concatenate(outs, axis=-1)


def _tone(samples):
    """A sine of 200 Hz on both channels; its largest step is 0.0285."""
    tone = np.sin(2 * np.pi * 200 / RATE * np.arange(samples)).astype(np.float32)
    return np.stack([tone, tone])


def _until_done(engine):
    """Wait for the worker, as the clock of a sound card would; at most a second."""
    for _ in range(1_000):
        if engine._written - engine._done < 256:
            return
        time.sleep(0.001)


def test_the_engine_gives_what_the_separator_gives_its_slack_later():
    signal = noise(2, 40_000)
    with _engine(counting()) as engine:
        out = _play(engine, signal, _until_done)
        assert engine.counters.late_blocks == 0
    separator = Separator(counting(), RATE)
    whole = separator.process(signal)
    shift = engine.latency - separator.latency
    np.testing.assert_array_equal(out[..., shift:], whole[..., :-shift])


@pytest.mark.parametrize("block", [1, 64, 100, 255])
def test_blocks_that_are_no_hop_come_through_too(block):
    signal = noise(2, 12_000)
    outs = []
    with _engine(identity()) as engine:
        for first in range(0, signal.shape[1], block):
            outs.append(engine.process(signal[:, first : first + block]))
            _until_done(engine)
        assert engine.counters.late_blocks == 0
    out = np.concatenate(outs, axis=-1)[0]
    np.testing.assert_allclose(out[:, engine.latency :], signal[:, : -engine.latency], atol=1e-6)


def test_a_model_that_is_too_slow_is_played_dry_and_aligned():
    signal = noise(2, 30_000)
    with _engine(slow(0.02)) as engine:
        out = _play(engine, signal, lambda _: time.sleep(0.0005))
        assert engine.counters.late_blocks > 50
    np.testing.assert_allclose(
        out.sum(0)[:, engine.latency :], signal[:, : -engine.latency], atol=1e-5
    )


def test_an_engine_that_is_not_started_plays_dry():
    signal = noise(2, 9_000)
    engine = _engine(counting())
    out = _play(engine, signal, lambda _: None)
    settled = engine.latency + BLOCK
    expected = signal[:, settled - engine.latency : -engine.latency]
    np.testing.assert_allclose(out[0, :, settled:], expected, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("slack", [256, 32_768])
def test_dry_sound_is_aligned_with_stems_of_any_latency(seconds, slack):
    signal, separator = noise(2, 9 * RATE), Separator(identity(), RATE, block_multiple=256)
    behind = SimpleNamespace(**{name: getattr(separator, name) for name in _OF_A_PROCESSOR})
    behind.latency = int(seconds * RATE)  # as that of chains of plugins behind the separator
    engine = ThreadedProcessor(behind, max_block=BLOCK, slack=slack)
    out = _play(engine, signal, lambda _: None)  # nobody separates: all of it is dry
    np.testing.assert_array_equal(out[0, :, engine.latency :], signal[:, : -engine.latency])


def test_a_worker_that_is_given_much_time_does_not_skip_ahead_within_it():
    engine = _engine(identity(), slack=2 * RATE)
    for _ in range(0, int(2.5 * RATE), BLOCK):
        engine.process(noise(2, BLOCK))
    while engine._written - engine._done >= 256:
        engine._advance()
    assert engine.counters.jumps == 0


def test_dry_targets_share_the_mixture():
    signal = noise(2, 9_000)
    separator = Separator(counting(), RATE, block_multiple=256, targets=2)
    out = _play(ThreadedProcessor(separator, max_block=BLOCK), signal, lambda _: None)
    assert np.array_equal(out[0], out[1])
    settled = 6_000
    latency = ThreadedProcessor(separator, max_block=BLOCK).latency
    np.testing.assert_allclose(
        out.sum(0)[:, settled:], signal[:, settled - latency : -latency], atol=1e-6
    )


def test_going_dry_and_coming_back_makes_no_click():
    signal = _tone(40_000)
    turns, works = iter(range(10_000)), threading.Event()

    def rule(*_):
        works.wait()
        return np.zeros((1, 1, 1, 1), np.float32)

    def wait(engine):
        turn = next(turns)
        if 60 <= turn < 70:
            works.clear()  # the worker falls behind: dry, where it would be silent
            return
        works.set()
        _until_done(engine)

    works.set()
    with _engine(FakeModel(rule)) as engine:
        out = _play(engine, signal, wait)
    steps = np.abs(np.diff(out[0, 0, engine.latency :]))
    assert np.abs(out[0]).max() > 0.9, "it was dry for a while"
    assert steps.max() < 0.0285 + 1 / 64 + 0.01  # the tone's own, and the fade's


@pytest.mark.parametrize("block", [16, 32, 100])
@pytest.mark.parametrize("held", [310, 2_000])
def test_a_fade_goes_on_in_the_next_blocks_where_they_are_shorter(block, held):
    separator = Separator(slow(0, mask=0.0), RATE, block_multiple=256)
    engine, outs = ThreadedProcessor(separator, max_block=block, slack=0), []
    for first in range(0, 24_000, block):
        outs.append(engine.process(np.full((2, block), 0.5, np.float32)))
        while engine._written - engine._done >= 256 and not 12_000 < first < 12_000 + held:
            engine._advance()
    assert engine.counters.late_blocks
    target = np.concatenate(outs, axis=-1)[0]  # silent where it is separated, the mixture where not
    assert np.abs(np.diff(target)).max() < 0.5 / 64 + 1e-6


def test_a_crash_of_the_model_is_counted_and_never_heard():
    signal = _tone(60_000)
    with _engine(crashing(40)) as engine:
        out = _play(engine, signal, _until_done)
        counters = engine.counters
    assert counters.faults == 1
    assert counters.jumps == 1
    # the fades begin at the sample before: once more the tone's own step
    np.testing.assert_allclose(
        out.sum(0)[:, engine.latency :], signal[:, : -engine.latency], atol=0.03
    )


def test_after_a_crash_the_model_starts_anew():
    seen = []

    def rule(frames, spectrum, conditions):
        seen.append(int(frames[0]))
        if len(seen) == 41:
            raise RuntimeError("the model crashed")
        return np.ones((1, 1, 1, 1), np.float32)

    with _engine(FakeModel(rule)) as engine:
        _play(engine, noise(2, 60 * 256), _until_done)
    assert seen[:41] == list(range(41))
    assert seen[41:50] == list(range(9))


def test_a_worker_far_behind_skips_ahead():
    signal = noise(2, 120_000)
    with _engine(slow(0.05)) as engine:
        _play(engine, signal, lambda _: None)
        patience = 5.0
        while not engine.counters.jumps and (patience := patience - 0.01) > 0:
            time.sleep(0.01)
        assert engine.counters.jumps >= 1


def test_wrong_blocks_are_counted_and_answered_with_silence():
    with _engine(identity()) as engine:
        for block in (noise(1, 64), noise(2, BLOCK + 1)):
            assert not engine.process(block).any()
        assert engine.counters.late_blocks == 2
        assert engine.process(noise(2, 0)).shape == (2, 2, 0)


def test_an_engine_starts_once_and_stops_when_asked():
    engine = _engine(identity())
    engine.start()
    with pytest.raises(RuntimeError, match="already"):
        engine.start()
    engine.stop()
    engine.start()
    engine.stop()


def test_a_separator_that_takes_any_block_is_refused():
    with pytest.raises(ValueError, match="block_multiple=separator"):
        ThreadedProcessor(Separator(identity(), RATE), max_block=BLOCK)


@pytest.mark.parametrize("sizes", [{"max_block": 0}, {"max_block": BLOCK, "slack": -1}])
def test_a_block_or_a_slack_that_cannot_be_is_refused(sizes):
    with pytest.raises(ValueError, match="expected samples > 0 and >= 0"):
        ThreadedProcessor(Separator(identity(), RATE, block_multiple=256), **sizes)


class _Fragile:
    """A separator whose `reset` raises as often as it is told to, and whose model fails once."""

    def __init__(self, resets_fail, fails_at):
        self._inner = Separator(identity(), RATE, block_multiple=256)
        self.resets_fail, self._fails_at, self._calls = resets_fail, fails_at, 0

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def process(self, block):
        self._calls += 1
        if self._calls == self._fails_at:
            raise RuntimeError("a weight is missing")
        return self._inner.process(block)

    def reset(self):
        if self.resets_fail:
            self.resets_fail -= 1
            raise ValueError("a state has no start")
        self._inner.reset()


def test_a_reset_that_fails_is_counted_and_the_sound_comes_back_when_it_works():
    signal = noise(2, 60 * 256)
    engine = ThreadedProcessor(_Fragile(resets_fail=3, fails_at=10), max_block=BLOCK)
    with engine:
        out = _play(engine, signal, _until_done)
        late = engine.counters.late_blocks
        more = _play(engine, signal, _until_done)
        assert engine.counters.late_blocks == late, "it separates again"
        counters = engine.counters
    assert counters.faults == 4
    assert late > 3
    np.testing.assert_allclose(
        out.sum(0)[:, engine.latency :], signal[:, : -engine.latency], atol=0.3
    )
    assert np.isfinite(more).all()
    assert np.abs(more[0, :, -BLOCK:]).max() > 0.01


def test_the_reason_of_a_fault_is_kept():
    engine = ThreadedProcessor(_Fragile(resets_fail=0, fails_at=10), max_block=BLOCK)
    with engine:
        assert engine.fault == ""
        _play(engine, noise(2, 30 * 256), _until_done)
        assert engine.fault == "a weight is missing"
    engine = ThreadedProcessor(_Fragile(resets_fail=2, fails_at=10), max_block=BLOCK)
    with engine:
        _play(engine, noise(2, 30 * 256), _until_done)
        assert engine.fault == "a weight is missing", "what failed first is what to look at"


@pytest.mark.parametrize("value", [np.nan, -np.inf, 3e38])
@pytest.mark.parametrize("runs", [False, True], ids=["dry", "separated"])
def test_damaged_samples_are_silenced_where_sound_comes_in(value, runs):
    signal, seen = noise(2, 20_000), []
    engine = _engine(identity())
    separate = engine.separator.process
    engine.separator.process = lambda block: seen.append(block) or separate(block)
    signal[0, 9_000:9_003] = value
    with engine if runs else contextlib.nullcontext():
        out = _play(engine, signal, _until_done if runs else lambda _: None)
    signal[0, 9_000:9_003] = 0
    np.testing.assert_allclose(
        out.sum(0)[:, engine.latency :], signal[:, : -engine.latency], atol=1e-6
    )
    assert not runs or np.isfinite(seen).all(), "so is what follows the separator"
    assert engine.counters.invalid_samples == 3
    assert engine.separator.invalid_samples == 0, "they are counted once"


def test_a_callback_makes_no_counters(monkeypatch):
    engine = _engine(identity())
    monkeypatch.setattr("realtime.threaded.Counters", None)
    for _ in range(3):
        engine.process(noise(2, BLOCK))
    assert engine.counters.blocks == 3
