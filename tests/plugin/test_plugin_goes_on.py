"""What must not interrupt the sound of a track: a new name, and the state of another instance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.claphost import CONNECTED, HALF_DB, Run, played, stalls
from tests.support.engine_sandbox import noise
from tests.support.waiting import until

pytestmark = [pytest.mark.host, pytest.mark.realtime]
RATE_HZ, BLOCK = 44_100, 256
AT, LATE = 2 * RATE_HZ, 8
"""When it happens, and how many blocks may be late for what else the machine does."""
TRIES = 4
"""A busy machine may be late for longer; what is at fault is so every time."""


def lost(y, x, seconds=2):
    """Blocks after `AT` that were not processed: of the seconds that follow."""
    kinds = played(y, x, BLOCK)[AT // BLOCK - 4 :][: seconds * RATE_HZ // BLOCK]
    return int((kinds != 2).sum())


def processes_of(run, engine_sandbox):
    """The audio processes that have served a run when there are two, or at its end."""
    seen = set()

    def is_over():
        seen.update(engine_sandbox.workers())
        return len(seen) == 2 or run.process.poll() is not None

    until(is_over, "another process serves it")
    return seen


def test_a_new_name_of_the_track_leaves_its_sound_and_its_process(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(5 * RATE_HZ)
    for _ in range(TRIES):
        with stalls() as stalled:
            run = Run(tmp_path, x, f"blocks={BLOCK}", "paced=1", "track=old", f"rename={AT}:new",
                      gain=HALF_DB)  # fmt: skip
            until(engine_sandbox.workers, "the track is served")
            workers = engine_sandbox.workers()
            until(lambda: engine_sandbox.instances()[0]["name"] == "new", "it is called otherwise")
            assert engine_sandbox.workers() == workers
            y, facts = run.end()
        assert facts["outputs"][CONNECTED] == 1
        late = LATE + int(stalled["stalled_s"] * RATE_HZ / BLOCK)
        if lost(y, x) <= late:
            break
        until(lambda: not engine_sandbox.instances(), "the instance is gone")
    assert lost(y, x) <= late, "about a hundred are lost where the engine is greeted anew"


def test_the_state_of_another_instance_takes_over_without_a_hole(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x, state = noise(5 * RATE_HZ), tmp_path / "state"
    Run(tmp_path, x[:, :RATE_HZ], "offline=1", f"save={state}", gain=HALF_DB).end()
    words = state.read_bytes().split(b"\0")
    assert words[words.index(b"uuid") + 1].decode() not in ("", "0" * 32)
    for _ in range(TRIES):
        until(lambda: not engine_sandbox.instances(), "no instance is there")
        with stalls() as stalled:
            run = Run(tmp_path, x, f"blocks={BLOCK}", "paced=1", f"reload={AT}:{state}",
                      gain=HALF_DB)  # fmt: skip
            seen = processes_of(run, engine_sandbox)
            y, _ = run.end()
        late = LATE + int(stalled["stalled_s"] * RATE_HZ / BLOCK)
        if len(seen) == 2 and lost(y, x) <= late:
            break
    assert len(seen) == 2, "another process serves it"
    assert lost(y, x) <= late, "about a hundred are lost without the process before"
    assert np.isfinite(y).all()


def test_blocks_that_are_too_large_to_be_heard_processed_are_told(engine_sandbox, tmp_path):
    Run(tmp_path, noise(4 * 16_384), "blocks=8192", "paced=1").end()
    log = engine_sandbox.plugin_log
    assert not log.exists() or "too large" not in log.read_text()
    Run(tmp_path, noise(6 * 16_384), "blocks=16384", "paced=1").end()
    assert "blocks of 16384 samples are too large" in log.read_text()
