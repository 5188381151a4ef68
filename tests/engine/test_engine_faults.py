"""The plugin in real time while its engine comes late, stops, dies and comes back."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta

import numpy as np
import pytest

from plugin_bridge.plugin.bounces import last_loss
from tests.support.claphost import CONNECTED, DROPOUTS, HALF_DB, Run, played, stalls
from tests.support.engine_sandbox import noise
from tests.support.soak import is_soak
from tests.support.waiting import until

pytestmark = [pytest.mark.host, pytest.mark.realtime]
RATE_HZ, BLOCK = 44_100, 512


def served(engine_sandbox, hops=100):
    """Wait until a track is in the steady state; the pid of its audio process."""
    until(engine_sandbox.workers, "the track is served", 30)
    begun = engine_sandbox.busiest()["hops"]
    until(lambda: engine_sandbox.busiest()["hops"] > begun + hops, "it runs", 30)
    return engine_sandbox.workers()[0]


def shared_memory():
    """The names in /dev/shm, without those of JACK servers, which come and go."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("jack")}


def live(folder, seconds, *options):
    x = noise(int(seconds * RATE_HZ), scale=0.2)
    return Run(folder, x, "paced=1", f"blocks={BLOCK}", *options, gain=HALF_DB)


def blocks(seconds):
    return int(seconds * RATE_HZ / BLOCK)


def test_without_an_engine_the_track_plays_dry_in_time(engine_sandbox, tmp_path):
    run = live(tmp_path, 1.5)
    y, facts = run.end()
    assert (played(y, run.x, BLOCK) == 1).all()
    assert facts["outputs"][CONNECTED] == 0


def test_an_engine_that_is_started_late_is_taken_up_while_playing(engine_sandbox, tmp_path):
    run = live(tmp_path, 60)
    time.sleep(0.5)
    engine_sandbox.start(engine_sandbox.identity)
    served(engine_sandbox)
    y, facts = run.stop()
    kinds = played(y, run.x, BLOCK)
    assert (kinds[: blocks(0.4)] == 1).all()
    assert 2 in kinds[-60:]  # a shared machine may stand still for some blocks
    assert facts["outputs"][CONNECTED] == 1


@pytest.mark.soak
def test_in_the_steady_state_everything_is_processed_at_a_small_cost(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    for block in (128, 256, 512):
        with stalls() as still:
            x = noise(4 * RATE_HZ, scale=0.2)
            run = Run(tmp_path, x, "paced=1", f"blocks={block}", gain=HALF_DB)
            y, facts = run.end()
        kinds = played(y, x, block)
        kinds = kinds[np.argmax(kinds == 2) :]
        excused = still["stalled_s"] * RATE_HZ / block
        print(f"block {block}: {(kinds != 2).sum()} late of {kinds.size}", facts, still)
        assert kinds.size > 100
        late = facts["outputs"][DROPOUTS] - excused
        assert late <= (0 if is_soak() else 0.02 * kinds.size)  # beside other tests
        assert facts["latency"] == 1024
        assert facts["cost_us"]["median"] < 100


def test_a_stopped_engine_leaves_aligned_dry_sound_and_goes_on_when_it_is_continued(
    engine_sandbox, tmp_path
):
    engine_sandbox.start(engine_sandbox.identity)
    run = live(tmp_path, 60)
    worker = served(engine_sandbox)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(worker, signal.SIGCONT)
    served(engine_sandbox)
    y, facts = run.stop()
    kinds = played(y, run.x, BLOCK)
    assert (kinds == 1).sum() >= blocks(1.2)  # dry, and sample-aligned
    assert 2 in kinds[-60:]  # a shared machine may stand still for some blocks  # processed again
    assert (kinds == 0).sum() < 12  # fades are short
    assert facts["outputs"][DROPOUTS] >= blocks(1.2)


@pytest.mark.parametrize("victim", ["the audio process", "the engine"])
def test_a_killed_engine_leaves_aligned_dry_sound_and_a_new_one_is_taken_up(
    engine_sandbox, tmp_path, victim
):
    engine_sandbox.start(engine_sandbox.identity)
    run = live(tmp_path, 60)
    worker = served(engine_sandbox)
    if victim == "the engine":
        engine_sandbox.stop(signal.SIGKILL)
        time.sleep(0.5)
        engine_sandbox.start(engine_sandbox.identity)
    else:
        os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in engine_sandbox.workers(), "it is gone")
    served(engine_sandbox)
    y, _ = run.stop()
    kinds = played(y, run.x, BLOCK)
    processed = np.flatnonzero(kinds == 2)
    assert 1 in kinds[processed[0] : processed[-1]]  # processed, then dry, then processed
    assert 2 in kinds[-60:]  # a shared machine may stand still for some blocks
    assert (kinds == 0).sum() < 12


def test_the_change_to_dry_sound_does_not_click(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = np.tile(0.5 * np.sin(2 * np.pi * 100 * np.arange(60 * RATE_HZ) / RATE_HZ), (2, 1))
    run = Run(tmp_path, x, "paced=1", f"blocks={BLOCK}", gain=HALF_DB)
    os.kill(served(engine_sandbox), signal.SIGKILL)
    time.sleep(1)
    y, _ = run.stop()
    assert np.abs(y).max() > 0.49  # it was dry
    # A late block leaves the difference of both, 0.25 at most, to fade.
    assert 0.24 < np.abs(y[:, 8 * BLOCK : 20 * BLOCK]).max() < 0.5 + 0.25
    assert np.abs(np.diff(y[:, 1024:])).max() < 3 * np.abs(np.diff(x)).max()


def test_an_offline_render_waits_for_an_engine_that_stands_still(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(60 * RATE_HZ, scale=0.2)
    run = Run(tmp_path, x, "offline=1", f"blocks={BLOCK}", gain=HALF_DB)
    until(engine_sandbox.workers, "the track is served")
    worker = engine_sandbox.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(1.5)
    assert run.process.poll() is None  # it waits
    os.kill(worker, signal.SIGCONT)
    y, facts = run.end()
    assert (played(y, x, BLOCK) == 2).all()
    assert facts["outputs"][DROPOUTS] == 0


def test_an_offline_render_goes_on_with_a_new_engine_when_one_comes(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(60 * RATE_HZ, scale=0.2)
    run = Run(tmp_path, x, "offline=1", f"blocks={BLOCK}", gain=HALF_DB)
    until(engine_sandbox.workers, "the track is served")
    os.kill(engine_sandbox.workers()[0], signal.SIGKILL)
    y, facts = run.end()
    assert (played(y, x, BLOCK) == 2).all()
    assert facts["outputs"][DROPOUTS] == 0


def test_an_offline_render_whose_engine_dies_ends_dry_and_shows_the_error(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(60 * RATE_HZ, scale=0.2)
    run = Run(tmp_path, x, "offline=1", f"blocks={BLOCK}", "track=Bass\nline", gain=HALF_DB)
    until(engine_sandbox.workers, "the track is served")
    assert engine_sandbox.instances()[0]["name"] == "Bass line"
    engine_sandbox.stop(signal.SIGKILL)
    begun_s = time.monotonic()
    y, facts = run.end()
    assert time.monotonic() - begun_s < 60  # nothing hangs
    kinds = played(y, x, BLOCK)
    assert kinds[-1] == 1
    assert (kinds == 0).sum() < 8
    assert facts["outputs"][DROPOUTS] >= (kinds == 1).sum() - 8 > 0
    assert "were not processed" in engine_sandbox.plugin_log.read_text()
    assert facts["log"].startswith("the offline render of Bass line has ")  # the host shows it
    assert "Bass line" in last_loss()  # so does the doctor
    engine_sandbox.plugin_log.rename(f"{engine_sandbox.plugin_log}.1")  # as it does when it is long
    engine_sandbox.plugin_log.write_text("2000-01-01 00:00:00 host: other\n")
    assert "Bass line" in last_loss()
    assert not last_loss(timedelta(0))


def test_a_killed_host_leaves_no_process_and_no_file(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    before = shared_memory()
    run = live(tmp_path, 20)
    until(engine_sandbox.workers, "the track is served")
    worker = engine_sandbox.workers()[0]
    run.process.kill()
    run.process.wait()
    until(lambda: not os.path.exists(f"/proc/{worker}"), "the audio process is gone")
    until(lambda: not engine_sandbox.instances(), "the instance is gone")
    until(lambda: shared_memory() <= before, "no file is left")  # those of others come and go
    assert sorted(os.listdir(engine_sandbox.runtime)) == ["engine.lock", "engine.sock"]


def test_a_plugin_starts_the_engine_once_audio_runs_when_it_was_told_how(engine_sandbox, tmp_path):
    autostart = engine_sandbox.folder / "XDG_CONFIG_HOME" / "stemsteer" / "autostart"
    autostart.parent.mkdir()
    words = [sys.executable, "-m", "plugin_bridge.cli", "serve", "--model", engine_sandbox.identity]
    autostart.write_text("\n".join(["/usr/bin/env", f"PYTHONPATH={os.getcwd()}", *map(str, words)]))
    autostart.chmod(0o600)
    run = live(tmp_path, 60)
    until(lambda: engine_sandbox.status() is not None, "an engine was started")
    pid = engine_sandbox.status()["pid"]
    try:
        served(engine_sandbox)
        y, _ = run.stop()
        assert 2 in played(y, run.x, BLOCK)[-60:]
        assert "started one" in engine_sandbox.plugin_log.read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the engine has stopped")


def test_an_autostart_file_that_others_can_write_is_not_obeyed(engine_sandbox, tmp_path):
    autostart = engine_sandbox.folder / "XDG_CONFIG_HOME" / "stemsteer" / "autostart"
    autostart.parent.mkdir()
    autostart.write_text(f"/usr/bin/touch\n{tmp_path / 'harm'}\n")
    autostart.chmod(0o666)
    live(tmp_path, 1.5).end()
    assert not (tmp_path / "harm").exists()
