"""The law of mix, mode, gain and bypass: what it says, and that it stands for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.automation import Automation, Lane, LaneConditions, Point
from plugin_bridge.control.levels import LEVELS, SILENCE_DB, UNITY, OutputLevels
from realtime import Separator
from tests.support.fakes import FakeModel
from tests.support.ring_rig import RATE_HZ, RingRig
from tests.support.signals import noise

SIX_DB = 10 ** (-6 / 20)
SECOND = [  # lanes that jump, slope and rest, over each other
    ("mix", [Point(0.0, 1, "step"), Point(0.31, 0.25), Point(0.62, 0.8)]),
    ("mode", [Point(0.0, 0, "step"), Point(0.4, 1, "step"), Point(0.7, 0)]),
    ("gain", [Point(0.1, 0, "smooth"), Point(0.5, -30, "step"), Point(0.55, 3)]),
    ("bypass", [Point(0.0, 0, "step"), Point(0.2, 1, "step"), Point(0.25, 0)]),
]


@pytest.fixture
def sounds():
    """A mixture, a target and the rest of it."""
    target, rest = noise(2, 300, seed=1), noise(2, 300, seed=2)
    return target + rest, target, rest


@pytest.mark.parametrize(
    ("values", "shares", "other"),
    [
        (UNITY, (0, 1, 0), (0, 1)),
        ((1, 1, 0, 0), (0, 0, 1), (1, 0)),
        ((0, 0, 0, 0), (1, 0, 0), (0, 1)),
        ((0.5, 1, -6, 0), (0.5 * SIX_DB, 0, 0.5 * SIX_DB), (SIX_DB, 0)),
        ((1, 0, SILENCE_DB, 0), (0, 0, 0), (0, 0)),
        ((0.3, 1, -6, 1), (1, 0, 0), (0, 0)),
    ],
)
def test_each_control_does_what_it_says(sounds, values, shares, other):
    levels = OutputLevels(*map(float, values))
    expected = sum(share * sound for share, sound in zip(shares, sounds, strict=True))
    np.testing.assert_allclose(levels.output(*sounds), expected, atol=1e-6)
    second = sum(share * sound for share, sound in zip(other, sounds[1:], strict=True))
    np.testing.assert_allclose(levels.other(*sounds[1:]), second, atol=1e-6)


def test_what_is_left_as_it_is_is_left_bit_by_bit(sounds):
    mixture, target, rest = sounds
    assert np.array_equal(OutputLevels(*UNITY).output(*sounds), target)
    assert np.array_equal(OutputLevels(0.0, 1.0, 0.0, 0.0).output(*sounds), mixture)
    assert np.array_equal(OutputLevels(1.0, 1.0, 0.0, 0.0).output(*sounds), rest)


def test_one_value_for_all_samples_and_one_for_each_give_the_same_bits(sounds):
    values = (0.7, 0.4, -7.3, 0.2)
    each = OutputLevels(*(np.full(300, value) for value in values))
    one = OutputLevels(*values)
    assert np.array_equal(one.output(*sounds), each.output(*sounds))
    assert np.array_equal(one.other(*sounds[1:]), each.other(*sounds[1:]))
    assert one.output(*sounds).dtype == each.output(*sounds).dtype == np.float32


@pytest.mark.parametrize("names", [(name,) for name in LEVELS] + [LEVELS])
def test_a_plugin_and_a_render_give_the_same_samples(names):
    """The promise live = render: lanes in an audio process, and the same lanes offline."""
    lanes = {name: Lane(points) for name, points in SECOND if name in names}
    model = FakeModel(lambda frames, spectrum, conditions: np.full((1, 1, 1, 1), 0.3, np.float32))
    mixture = noise(2, RATE_HZ)
    rig = RingRig(model, lanes=lanes)
    rig.record(512)
    played = rig.play(mixture)

    automation = Automation({("target", name): lane for name, lane in lanes.items()})
    tier = model.spec.tier_at("live", RATE_HZ)
    conditions = LaneConditions(automation, ["target"], tier, RATE_HZ)
    separator = Separator(model, RATE_HZ, block_multiple=tier.hop, conditions=conditions)
    hops = mixture.shape[1] // tier.hop * tier.hop
    stems = separator.process(mixture[:, :hops])[:, :, separator.latency :]
    (rendered,) = conditions.outputs(0, stems)
    size = min(played.shape[1], rendered.shape[1])
    assert size > 0.98 * RATE_HZ
    np.testing.assert_allclose(played[:, :size], rendered[:, :size], atol=5e-7)
