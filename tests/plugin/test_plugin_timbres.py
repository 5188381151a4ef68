"""Timbres in a project: what was learned is in the plugin's state, and sounds again from there."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.engine.shared.kept_timbres import KeptTimbres
from tests.support.claphost import Run
from tests.support.engine_sandbox import noise
from tests.support.track_timbres import ENCODER, FIRST, drums_model, kept

pytestmark = [pytest.mark.host, pytest.mark.realtime]
RATE_HZ = 44_100
LEARN = BY_NAME["learn"].id


@pytest.fixture
def model(tmp_path):
    return drums_model(tmp_path)


def text_of(state):
    """What a state keeps of timbres."""
    words = state.split(b"\0")
    return words[words.index(b"timbres") + 1].decode()


def test_what_the_switch_has_learned_is_in_the_state(engine_sandbox, model, tmp_path):
    engine_sandbox.start(model)
    x, state = noise(9 * RATE_HZ), tmp_path / "state"
    Run(tmp_path, x, "paced=1", f"set={LEARN}:1:{4 * RATE_HZ}", f"save={state}", width=90).end()
    learned = KeptTimbres.from_text(text_of(state.read_bytes()))
    assert learned.words == {"like": "learned, 2 s"}
    assert learned.vectors["like"] @ ENCODER.encode(x[:, 4 * RATE_HZ : 6 * RATE_HZ]) > 0.9


def test_what_a_state_keeps_sounds_again_or_is_told_and_stays(engine_sandbox, model, tmp_path):
    engine_sandbox.start(model)
    x, state, again = noise(RATE_HZ), tmp_path / "state", tmp_path / "again"
    plain, _ = Run(tmp_path, x, "offline=1", f"save={state}", width=90).end()
    assert text_of(state.read_bytes()) == ""
    for text, sounds, words in (
        (kept(FIRST), False, ""),
        (kept(FIRST, "another"), True, "engine: the timbres that the project keeps were made by"),
        (
            kept(np.ones(1, np.float32)),
            True,
            "engine: a timbre that the project keeps has 1",
        ),
        ("{no JSON", True, "engine: the timbres that the project keeps are damaged"),
    ):
        other = state.read_bytes().replace(b"timbres\0\0", b"timbres\0" + text.encode() + b"\0")
        (tmp_path / "other").write_bytes(other)
        y, _ = Run(tmp_path, x, "offline=1", f"load={tmp_path / 'other'}", f"save={again}").end()
        if sounds:
            np.testing.assert_allclose(y, plain, atol=1e-6)
        else:
            assert np.abs(y[:, 4096:]).max() < 1e-5
        assert again.read_bytes() == other, "nothing is lost"
        log = engine_sandbox.plugin_log
        assert words in (log.read_text() if log.exists() else "")
