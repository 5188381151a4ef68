"""Lanes where a session goes elsewhere, as in a file: they are those of the place."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.automation import Automation, Lane, LaneConditions
from plugin_bridge.control.target import Target
from plugin_bridge.control.target_timbres import TargetTimbres
from plugin_bridge.live.session import LiveSession, LiveSettings
from realtime import Separator
from realtime.spec import Tier
from tests.support.fakes import FakeModel, fake_spec
from tests.support.livesound import RATE
from tests.support.signals import noise

TIER = Tier(1024, 512, 256)
LANES = Automation({("guitar", "azimuth"): Lane.steps([0.0, 0.2], [-30.0, 40.0])})


def steered():
    """A model without memory, whose mask is told by the azimuth alone."""

    def rule(frames, spectrum, conditions):
        azimuth = conditions["direction"][:, :, 0]
        return (0.5 + azimuth / 100)[:, :, None, None].astype(np.float32)

    return FakeModel(rule, fake_spec(tiers={"live": TIER}))


@pytest.fixture
def session():
    return LiveSession(steered(), LiveSettings([Target("guitar", 0.0)], RATE, automation=LANES))


def played(session, mixture):
    """The stems of a mixture, in hops."""
    hops = np.split(mixture, mixture.shape[1] // TIER.hop, axis=1)
    return np.concatenate(
        [session.output_stage.process(np.ascontiguousarray(hop)) for hop in hops], axis=2
    )


def azimuth_at_the_end(session, hops=20):
    """By the share of the mixture that the target is, when so many hops more are played."""
    mixture = noise(2, TIER.hop * hops)
    stems = played(session, mixture)[:, :, -TIER.hop :]
    return 100 * (np.std(stems[0]) / np.std(stems.sum(0)) - 0.5)


@pytest.mark.parametrize("place", [0, 20 * 256, 40 * 256])
def test_after_a_jump_the_stems_are_those_of_the_place(session, place):
    mixture = noise(2, 80 * TIER.hop)
    separator = Separator(
        steered(),
        RATE,
        targets=["guitar"],
        conditions=LaneConditions(LANES, ["guitar"], TIER, RATE),
    )
    expected = separator.process(mixture)
    played(session, mixture)
    session.locate(place)
    end = place + (mixture.shape[1] - place) // TIER.hop * TIER.hop
    again = played(session, mixture[:, place:end])
    settled = separator.latency + TIER.window  # until then some of the sound is of before
    before = separator.latency - session.output_stage.latency  # the adapter of any block size
    aligned = expected[:, :, place + settled + before : end]
    assert np.abs(again[:, :, settled : settled + aligned.shape[2]] - aligned).max() <= 1e-6


def test_what_has_been_moved_stays_after_a_jump_back_and_can_be_moved_again(session):
    played(session, noise(2, 80 * TIER.hop))
    session.surface.set_value("guitar", "azimuth", 10.0)
    assert azimuth_at_the_end(session) == pytest.approx(10, abs=0.1)
    session.locate(0)
    assert azimuth_at_the_end(session) == pytest.approx(10, abs=0.1)
    session.surface.set_value("guitar", "azimuth", -20.0)
    assert azimuth_at_the_end(session) == pytest.approx(-20, abs=0.1)


def test_a_timbre_that_was_given_later_stays_after_a_jump_back():
    timbres, vector = TargetTimbres(2), np.array([0, 1], np.float32)
    timbres.set(0, "like", vector)
    timbres.at("like", np.array([9.0]))
    timbres.arrive()
    assert (timbres.at("like", np.array([1.0]))[0] == vector).all()
