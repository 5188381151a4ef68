"""What is wrong with plugins on stems: what is refused, what is said, and what goes on."""

from __future__ import annotations

import pedalboard
import pytest
from test_host import RATE, chain, run, steering, write
from test_live import GUITAR, panned, play

from plugin_bridge.automation import Lane, Point
from plugin_bridge.live import Live, Settings
from plugin_bridge.mixer import Mixer
from realtime import StemsteerError, load_model


def test_effects_are_moved_within_the_range_that_they_take():
    controls = chain(pedalboard.Reverb(), pedalboard.Gain(), pedalboard.Bitcrush()).controls()
    ranges = {name: (row.low, row.high) for name, row in controls.items()}
    assert ranges["reverb/wet_level"] == (0, 1)
    assert ranges["bitcrush/bit_depth"] == (0, 32)
    assert ranges["gain/gain_db"] == (-120, 60)


def refused():
    """A chain and a lane that soon asks for what the effect does not take."""
    lanes = {("guitar", "reverb/wet_level"): Lane([Point(0, 0.5, "step"), Point(0.2, 500)])}
    return {"guitar": chain(pedalboard.Reverb())}, steering(lanes)


def test_a_value_that_a_plugin_refuses_keeps_the_last_one_live_and_fails_offline():
    with pytest.raises(StemsteerError, match=r"wet_level cannot be 500.*between 0.0 and 1.0"):
        run(Mixer(*refused(), 2), 512)
    mixer = Mixer(*refused(), 2, live=True)
    level = {("guitar", "reverb/wet_level"): Lane.level(0.5)}
    expected = run(Mixer({"guitar": chain(pedalboard.Reverb())}, steering(level), 2), 512)
    assert (run(mixer, 512) == expected).all()
    assert "wet_level cannot be 500.0" in mixer.fault
    assert "stays as it was" in mixer.fault


def test_a_value_that_a_plugin_refuses_is_told_and_costs_no_hop(tmp_path):
    chains = {"guitar": write(tmp_path, [{"plugin": "Reverb"}])}
    with Live(load_model("panorama"), Settings(GUITAR, RATE, chains=chains)) as session:
        session.board.play("guitar", "reverb/wet_level", 500.0)
        play(session, panned(20, RATE // 2))
        assert session.engine.counters.faults == 0
        assert "wet_level cannot be 500.0" in session.strip.fault
