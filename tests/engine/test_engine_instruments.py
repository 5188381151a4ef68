"""The control `instrument` on a track: it acts, crosses over, and does not reset the stream."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.automation import Lane
from plugin_bridge.automation.lane import Point
from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS, MAX_INSTRUMENTS
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.shared.ring import VALUES, SharedRing, make_ring
from plugin_bridge.engine.worker.processor import choose_tier
from plugin_bridge.engine.worker.timeline import SHORTEST_RAMP, ControlTimeline
from realtime import load_model
from tests.support.engine_sandbox import noise
from tests.support.models import source_model
from tests.support.tracks import through

VOCALS, DRUMS = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
AZIMUTH, INSTRUMENT = BY_NAME["azimuth"].id, BY_NAME["instrument"].id
BLOCK = 512
SHARES = {"vocals": 0.5, "drums": 0.25}


@pytest.fixture
def model(tmp_path):
    return source_model(tmp_path / "halves.onnx", SHARES)


def played(track, x, instrument_of):
    """Feed `x` with an instrument for each block; return what comes back, aligned with it."""
    return through(track, x, BLOCK, lambda at: {"instrument": instrument_of(at), "width": 90})


def test_the_instrument_of_a_track_is_taken_and_a_switch_crosses_over(engine_sandbox, model):
    engine_sandbox.start(model)
    track = PluginClient(offline=True)
    x, half = noise(40 * BLOCK), 20 * BLOCK
    y = played(track, x, lambda at: VOCALS if at < half else DRUMS)
    x = x[:, : y.shape[1]]
    before, after = slice(2048, half - 1024), slice(half + 1024, y.shape[1])
    np.testing.assert_allclose(y[:, before], 0.5 * x[:, before], atol=2e-6)
    np.testing.assert_allclose(y[:, after], 0.25 * x[:, after], atol=2e-6)
    switch = slice(half - 256, half + 768)
    share = (y[:, switch] * x[:, switch]).sum(0) / (x[:, switch] ** 2).sum(0)
    assert share.min() > 0.24, "nothing between, as silence or the mixture, is heard"
    assert share.max() < 0.51
    track.close()


def test_any_instrument_is_the_mixture_and_strength_leads_there(engine_sandbox, model):
    engine_sandbox.start(model)
    track = PluginClient(offline=True)
    x = noise(20 * BLOCK)
    y = played(track, x, lambda at: 0)
    np.testing.assert_allclose(y[:, 1024:], x[:, 1024 : y.shape[1]], atol=2e-6)
    track.close()


def timeline(*records):
    """A timeline of records (position, samples, instrument) of a stream that begins at 0."""
    ring = SharedRing(make_ring(44_100))
    made = ControlTimeline(ring)
    for number, (position, samples, instrument) in enumerate(records):
        values = np.zeros(16, np.float32)
        values[2] = instrument
        ring.records[number] = (position, samples, 0, 0, values)
    ring["recorded"] = len(records)
    made.update(0)
    return made


def test_a_switch_shares_two_instruments_and_none_between_their_numbers():
    made = timeline((0, 512, VOCALS), (1000, 512, DRUMS))
    shares = made.instrument_shares(np.array([900, 1000, 1256, 1512, 3000]))
    assert shares.shape == (5, MAX_INSTRUMENTS)
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(shares[:, VOCALS], [1, 1, 0.5, 0, 0])
    np.testing.assert_allclose(shares[:, DRUMS], [0, 0, 0.5, 1, 1])


def test_a_switch_that_is_interrupted_goes_on_from_the_nearer_instrument():
    made = timeline((0, 512, VOCALS), (1000, 512, DRUMS), (1400, 512, 0))
    shares = made.instrument_shares(np.array([1400, 1656, 1912]))
    np.testing.assert_allclose(shares[:, DRUMS], [1, 0.5, 0])
    np.testing.assert_allclose(shares[:, 0], [0, 0.5, 1])


@pytest.mark.parametrize("samples", [32, 64, 127, 256])
def test_a_switch_is_done_in_its_time_while_another_control_is_automated(samples):
    ring = SharedRing(make_ring(44_100))
    made = ControlTimeline(ring)
    switch, end = 20 * samples, 60 * samples
    for number, position in enumerate(range(0, end, samples)):
        values = np.zeros(VALUES, np.float32)
        values[:3] = position / end, 90, DRUMS if position >= switch else VOCALS
        ring.records[number] = (position, samples, 0, 0, values)
        ring["recorded"] = number + 1
        made.update(0)
    shares = made.instrument_shares(np.arange(switch, end))
    expected = np.minimum(np.arange(end - switch) / SHORTEST_RAMP, 1)
    np.testing.assert_allclose(shares[:, DRUMS], expected, atol=1e-6)
    np.testing.assert_allclose(shares[:, VOCALS], 1 - expected, atol=1e-6)


def test_a_switch_from_outside_is_done_in_its_time_while_another_control_is_moved_from_there():
    made = timeline((0, 512, VOCALS))
    made.override(INSTRUMENT, DRUMS, 1000)
    for position in range(1128, 9000, 128):
        made.override(AZIMUTH, position / 9000, position)
    smoothing = round(0.05 * 44_100)
    shares = made.instrument_shares(np.arange(1000, 9000))
    expected = np.minimum(np.arange(8000) / smoothing, 1)
    np.testing.assert_allclose(shares[:, DRUMS], expected, atol=1e-6)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)


def test_nothing_counts_as_at_rest_before_a_switch_is_done():
    made = timeline((0, 512, VOCALS))
    made.override(INSTRUMENT, DRUMS, 1000)
    values = np.zeros(VALUES, np.float32)
    values[:3] = 10, 0, VOCALS
    made._ring.records[1] = (1064, 64, 0, 0, values)
    made._ring["recorded"] = 2
    made.update(0)
    done = 1000 + round(0.05 * 44_100)
    assert made.constant_between(done - 1, done, [INSTRUMENT]) is None
    assert made.constant_between(done, done + 1, [INSTRUMENT]) == [DRUMS]


def test_a_switch_from_the_instrument_of_a_lane_begins_where_the_lane_is():
    lane = Lane([Point(0, DRUMS)])
    ring = SharedRing(make_ring(44_100))
    made = ControlTimeline(ring, {INSTRUMENT: lane})
    for number, (position, azimuth) in enumerate([(0, 0), (512, 1)]):
        values = np.zeros(VALUES, np.float32)
        values[:3] = azimuth, 0, VOCALS
        ring.records[number] = (position, 512, 1, position, values)
    ring["recorded"] = 2
    made.update(0)
    made.override(INSTRUMENT, VOCALS, 2000)  # the plugin's own, which the lane had kept from it
    smoothing = round(0.05 * 44_100)
    shares = made.instrument_shares(np.array([1900, 2000, 2000 + smoothing]))
    np.testing.assert_allclose(shares[:, DRUMS], [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(shares[:, VOCALS], [0, 0, 1], atol=1e-6)


def test_a_plugin_takes_a_model_with_sources_of_its_own(model):
    assert choose_tier(load_model(model).spec, 44_100, 1024, 512) == "live"
