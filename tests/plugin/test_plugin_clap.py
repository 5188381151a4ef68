"""The CLAP plugin in a small host, under sanitizers, and the ring's C++ under ThreadSanitizer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from plugin_bridge.control.controls import INSTRUMENTS
from tests.support.claphost import CONNECTED, DROPOUTS, HALF_DB, PARAMETERS, Run, played, stalls
from tests.support.engine_sandbox import (
    CPP,
    LATENCY,
    SANITIZED,
    compiled,
    level_db,
    need,
    noise,
    panned,
    sanitized_plugin,
)
from tests.support.models import source_model
from tests.support.waiting import until

pytestmark = pytest.mark.host
RATE_HZ = 44_100


def sanitized():
    """The CLAP plugins and their host under sanitizers."""
    return {
        "plugin": sanitized_plugin() / "StemsteerSplit.clap",
        "host": compiled("clap_player", flags=SANITIZED),
    }


@pytest.mark.parametrize(
    "options",
    [
        ("blocks=512",),
        ("blocks=1",),
        ("blocks=512,0,1,7,4096,9000,64",),
        ("blocks=441", "rate=96000"),
        ("blocks=256", "restart=30000", "restart=50000"),
    ],
)
def test_an_offline_render_is_exact_under_sanitizers_whatever_the_host_does(
    engine_sandbox, tmp_path, options
):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(2 * RATE_HZ)
    run = Run(tmp_path, x, "offline=1", *options, name="StemsteerSplit", **sanitized())
    y, facts = run.end()
    latency = 2048 if "rate=96000" in options else 1024
    assert facts["latency"] == latency
    assert facts["channels"] == 4
    assert (facts["outputs"][CONNECTED], facts["outputs"][DROPOUTS]) == (1, 0)
    late = np.concatenate([np.zeros((2, latency), np.float32), x], axis=1)[:, : x.shape[1]]
    wrong = np.flatnonzero(np.abs(y[:2] - late).max(0) > 1e-6)
    restarts = [int(o[8:]) for o in options if o.startswith("restart=")]
    # After a restart the stream begins anew: for the latency there is silence.
    assert all(any(r - 256 <= at < r + latency for r in restarts) for at in wrong)
    assert np.abs(y[2:]).max() < 1e-6  # nothing is left beside the identity


def test_the_second_output_of_the_sibling_is_what_was_taken_away(engine_sandbox, tmp_path):
    engine_sandbox.start()
    x = panned(RATE_HZ, [-30, 20]).sum(0)
    run = Run(tmp_path, x, "offline=1", name="StemsteerSplit", azimuth=-30)
    y, _ = run.end()
    sound, rest = y[:2, 1024:], y[2:, 1024:]
    np.testing.assert_allclose(sound + rest, x[:, :-1024], atol=1e-6)
    assert level_db(sound, x) < -1
    assert level_db(rest, x) < -0.3
    (tmp_path / "remove").mkdir()
    run = Run(tmp_path / "remove", x, "offline=1", name="StemsteerSplit", azimuth=-30, mode=1)
    swapped, _ = run.end()
    np.testing.assert_allclose(swapped[:2], y[2:], atol=1e-6)
    np.testing.assert_allclose(swapped[2:], y[:2], atol=1e-6)


@pytest.mark.realtime
def test_a_host_that_renders_without_saying_so_is_found_out_by_the_clock(engine_sandbox, tmp_path):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(60 * RATE_HZ, scale=0.2)
    run = Run(tmp_path, x, "blocks=512", gain=HALF_DB)
    y, _ = run.end()
    kinds = played(y, x, 512)
    assert (kinds[40:] == 2).all()  # the first blocks could have been live


@pytest.mark.realtime
@pytest.mark.parametrize("block", [512, 4096])
def test_the_beginning_that_a_render_without_a_flag_loses_is_told(engine_sandbox, tmp_path, block):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(20 * RATE_HZ)
    y, facts = Run(tmp_path, x, f"blocks={block}", gain=HALF_DB).end()
    kinds = played(y, x, block, facts["latency"])
    lost = int((kinds != 2).sum())
    assert kinds[-1] == 2, "it is known as a render"
    # A block of the latency at the beginning is not compared, and one fades in.
    assert lost - 1 <= facts["outputs"][DROPOUTS] <= lost + 2
    assert lost == 0 or "blocks that were not processed" in facts["log"]
    assert lost * block / RATE_HZ < 1, "it takes longer"


@pytest.mark.realtime
def test_a_live_host_that_processes_ahead_of_the_sound_card_is_no_bounce(engine_sandbox, tmp_path):
    x = noise(4 * RATE_HZ)
    _, facts = Run(tmp_path, x, "paced=1", "ahead=0.2").end()
    assert (facts["outputs"][DROPOUTS], facts["log"]) == (0, "")
    assert not engine_sandbox.plugin_log.exists()


@pytest.mark.realtime
def test_a_live_host_that_processes_ahead_waits_for_no_stalled_engine_too_long(
    engine_sandbox, tmp_path
):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(4 * RATE_HZ)
    for _ in range(4):  # a busy machine may be late; what is at fault is so every time
        with stalls() as stalled:
            run = Run(tmp_path, x, "paced=1", "ahead=0.2", gain=HALF_DB)
            until(engine_sandbox.workers, "the track is served")
            [worker] = engine_sandbox.workers()
            time.sleep(0.3)  # it is still as fast as one that renders
            os.kill(worker, signal.SIGSTOP)
            time.sleep(1)
            os.kill(worker, signal.SIGCONT)
            _, facts = run.end()
        if facts["margin_s"] > 0.04 - stalled["stalled_s"]:
            break
        until(lambda: not engine_sandbox.instances(), "the instance is gone")
    assert facts["margin_s"] > 0.04 - stalled["stalled_s"]
    assert facts["log"] == ""


def test_an_instrument_that_the_host_automates_is_taken_in_time(engine_sandbox, tmp_path):
    known = source_model(tmp_path / "known.onnx", {"vocals": 0.5, "drums": 0.25})
    engine_sandbox.start(known)
    vocals, drums = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
    x, half = noise(2 * RATE_HZ), RATE_HZ
    moved = f"set={PARAMETERS['instrument']}:{drums}:{half}"
    y, _ = Run(tmp_path, x, "offline=1", moved, instrument=vocals, width=90).end()
    np.testing.assert_allclose(y[:, 2048:half], 0.5 * x[:, 1024 : half - 1024], atol=1e-5)
    after = y[:, half + 4096 :]
    np.testing.assert_allclose(after, 0.25 * x[:, half + 3072 : -1024], atol=1e-5)


def test_automation_begins_where_the_host_says_and_sounds_the_same_in_any_blocks(
    engine_sandbox, tmp_path
):
    engine_sandbox.start(engine_sandbox.identity)
    x = np.full((2, RATE_HZ), 0.5, np.float32)
    at, gain, bypass = 20_000, PARAMETERS["gain"], PARAMETERS["bypass"]
    moves = [(gain, -12, at), (gain, -30, at + 300), (gain, -6, 30_001), (bypass, 1, 40_005)]
    moves += [(gain, -6 - k / 10, 32_000 + 100 * k) for k in range(50)]
    options = [f"set={control}:{value}:{frame}" for control, value, frame in moves]
    sounds = [
        Run(tmp_path, x, "offline=1", f"blocks={block}", *options).end()[0][0]
        for block in (64, 512, 4096)
    ]
    begun = np.flatnonzero(np.abs(sounds[2][2 * LATENCY :] - 0.5) > 1e-4)[0] + LATENCY
    assert at <= begun <= at + 32
    done = at + 300 + 300 + LATENCY  # it follows the move before as that followed its own
    np.testing.assert_allclose(
        sounds[2][done : 30_001 + LATENCY], 0.5 * 10 ** (-30 / 20), atol=1e-5
    )
    for sound in sounds[:2]:
        np.testing.assert_allclose(sound, sounds[2], atol=1e-5)


def test_a_state_is_saved_and_loaded_with_the_name_of_the_track(engine_sandbox, tmp_path):
    engine_sandbox.start()
    x = panned(RATE_HZ // 2, [-30, 20]).sum(0)
    state = tmp_path / "state"
    expected, _ = Run(tmp_path, x, "offline=1", f"save={state}", azimuth=17.5, width=33).end()
    assert b"schema" in state.read_bytes()
    assert b"azimuth\x0017.5" in state.read_bytes()
    again, _ = Run(tmp_path, x, "offline=1", f"load={state}", f"save={tmp_path / 'again'}").end()
    np.testing.assert_allclose(again, expected, atol=1e-6)
    assert (tmp_path / "again").read_bytes() == state.read_bytes()  # the identity stays


def test_the_rings_code_has_no_data_race():
    need("g++", "setarch")
    program = compiled("ring_race", CPP / "stream.cpp", flags=("-fsanitize=thread",))
    assert shutil.which("setarch")  # ThreadSanitizer needs a memory layout that does not vary
    done = subprocess.run(["setarch", "-R", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING: ThreadSanitizer" not in done.stderr


def test_the_clock_of_an_instance_knows_its_own_waits_and_hosts_that_process_ahead():
    done = subprocess.run(
        [compiled("lead", CPP / "stream.cpp")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


def said_of_a_link(program: str) -> str:
    """What a program that has a link of its own prints of it."""
    sources = [CPP / f"{name}.cpp" for name in ("link", "stream", "paths", "text", "state")]
    done = subprocess.run(
        [compiled(program, *sources)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_link_that_runs_out_of_memory_leaves_nothing_open(engine_sandbox):
    assert said_of_a_link("link_memory") == ""


def test_the_thread_of_a_link_reads_nothing_of_an_environment_that_the_host_changes(engine_sandbox):
    assert said_of_a_link("link_settings") == ""


def test_lanes_follow_the_song_of_the_host_in_seconds(engine_sandbox, tmp_path):
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("seconds,gain\n10,-20\n12,-20\n12,0\n")
    engine_sandbox.start(engine_sandbox.identity, "--automation", str(lanes))
    x = np.ones((2, 2 * RATE_HZ), np.float32)
    y, _ = Run(tmp_path, x, "offline=1", "song=11", "blocks=441,64").end()
    edge = RATE_HZ + LATENCY  # second 12 of the song, as late as the sound
    np.testing.assert_allclose(y[0, LATENCY : edge - 882], 0.1, atol=1e-5)
    np.testing.assert_allclose(y[0, edge + 882 :], 1, atol=1e-5)
