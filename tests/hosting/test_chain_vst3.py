"""Real plugins on stems: in step when they load, given up when they crash or never finish."""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.hosting.chain_file import read_chain
from plugin_bridge.hosting.stem_mixer import StemMixer
from realtime.errors import StemsteerError
from tests.support.chains import NOISE, RATE, conditions, run, write
from tests.support.engine_sandbox import built_plugin, need
from tests.support.waiting import until


@pytest.fixture(scope="module")
def vst3():
    """The project's own, which without an engine is a delay by its latency."""
    need("g++", "make")
    return next(built_plugin().glob("**/Stemsteer.vst3"))


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMSTEER_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("STEMSTEER_AUTOSTART", str(tmp_path / "nothing"))


@pytest.mark.usefixtures("quiet")
def test_a_real_vst3_is_in_step_with_the_other_stems(vst3, tmp_path):
    entry = {"plugin": str(vst3), "name": "own", "parameters": {"gain_db": -6.0, "bypass": True}}
    loaded = read_chain(write(tmp_path, [entry]), RATE, 2)
    assert loaded.latency == 1024
    stems = np.concatenate([NOISE, NOISE], axis=2)
    out = run(StemMixer({"guitar": loaded}, conditions(), 2), 512, stems)
    assert np.array_equal(out[1], stems[1])
    assert np.abs(out[0] - stems[0])[:, 8192:].max() < 1e-6
    again = run(StemMixer({"guitar": loaded}, conditions(), 2), 700, stems)
    assert np.abs(again[0] - stems[0])[:, 8192:].max() < 1e-6


@pytest.mark.usefixtures("quiet")
def test_a_wrong_parameter_of_a_vst3_is_said_and_its_change_of_latency_too(vst3, tmp_path):
    entry = {"plugin": str(vst3), "parameters": {"azimuth": 3}}
    with pytest.raises(StemsteerError, match=r"no parameter 'azimuth'; there are .*azimuth_deg"):
        read_chain(write(tmp_path, [entry]), RATE, 2)
    loaded = read_chain(write(tmp_path, [{"plugin": str(vst3), "name": "own"}]), RATE, 2)
    loaded.plugins["own"].latency_mode = "4096"
    mixer = StemMixer({"guitar": loaded}, conditions(), 2)
    with pytest.raises(StemsteerError, match="changed its latency from 1024 to 4096"):
        run(mixer, 512)


CRASH = """
#include <stdlib.h>
int ModuleEntry(void *module) { abort(); return module != NULL; }
int ModuleExit(void) { return 1; }
void *GetPluginFactory(void) { return NULL; }
"""
HANG = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int ModuleEntry(void *module) { return module != NULL; }
int ModuleExit(void) { return 1; }
void *GetPluginFactory(void) {
    if (fork() == 0) {
        FILE *file = fopen(getenv("HELPER"), "w");
        fprintf(file, "%d", getpid());
        fclose(file);
        for (;;) pause();
    }
    for (;;) puts("still busy");
}
"""


def compiled_vst3(folder, name, source):
    """Compile C into a VST3 bundle of this machine."""
    need("gcc")
    (folder / f"{name}.c").write_text(source)
    binary = folder / f"{name}.vst3" / "Contents" / f"{platform.machine()}-linux" / f"{name}.so"
    binary.parent.mkdir(parents=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", binary, folder / f"{name}.c"], check=True)


def test_a_plugin_that_crashes_at_load_is_said_and_takes_nothing_along(tmp_path):
    compiled_vst3(tmp_path, "crash", CRASH)
    with pytest.raises(StemsteerError, match=r"crashes when it is loaded \(signal 6\)"):
        read_chain(write(tmp_path, [{"plugin": "crash.vst3"}]), RATE, 2)


def test_a_plugin_that_never_finishes_loading_is_given_up_with_all_it_has_started(
    tmp_path, monkeypatch
):
    compiled_vst3(tmp_path, "hang", HANG)
    monkeypatch.setenv("HELPER", str(tmp_path / "pid"))
    path = write(tmp_path, [{"plugin": "hang.vst3", "load_s": 3}])
    begun_s = time.monotonic()
    with pytest.raises(StemsteerError, match=r"hang.vst3 did not finish loading within 3 s; leave"):
        read_chain(path, RATE, 2)
    assert time.monotonic() - begun_s < 30  # it would never
    helper = Path("/proc") / (tmp_path / "pid").read_text()
    until(lambda: not helper.exists() or "(zombie)" in (helper / "status").read_text(), "it ended")


def test_somebody_elses_vst3_that_takes_minutes_to_load_is_given_up(tmp_path):
    reverb = "/usr/lib/vst3/ZamVerb.vst3"  # convolves anew for each value that a host looks at
    need(reverb)
    path = write(tmp_path, [{"plugin": reverb, "load_s": 2}])
    with pytest.raises(StemsteerError, match=r"ZamVerb.vst3 did not finish loading within 2 s"):
        read_chain(path, RATE, 2)
