"""Plugins on stems: pedalboard's own, and a real VST3."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import pedalboard
import pytest
import soundfile
from bridge import built_plugin, need, until
from typer.testing import CliRunner

from plugin_bridge import cli
from plugin_bridge.automation import Automation, Lane, Point, Steering
from plugin_bridge.host import Chain, read_chain
from plugin_bridge.mixer import PIECE, Mixer, in_time
from realtime.spec import StemsteerError, Tier

RATE = 44_100
NOISE = np.random.default_rng(2).standard_normal((2, 2, 30_000)).astype(np.float32) * 0.1


def steering(lanes=None):
    tier = Tier(window=1024, synthesis=512, hop=128)
    return Steering(Automation(lanes or {}), ["guitar"], tier, RATE)


def chain(*plugins, gain_db=0.0):
    named = {type(plugin).__name__.lower(): plugin for plugin in plugins}
    return Chain(named, gain_db, RATE, 2, "test.json")


def run(mixer, block, stems=NOISE):
    blocks = (stems[:, :, k : k + block] for k in range(0, stems.shape[2], block))
    return np.concatenate(list(in_time(mixer, blocks)), axis=2)


def write(folder, content, name="chain.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


@pytest.mark.parametrize("block", [1, 441, 512, 8193, 30_000])
def test_a_chain_without_effects_nulls(block):
    stems = NOISE if block > 1 else NOISE[:, :, :700]
    out = run(Mixer({"guitar": chain()}, steering(), 2), block, stems)
    assert np.array_equal(out, stems)
    late = run(Mixer({"guitar": chain(pedalboard.Gain(0))}, steering(), 2), block, stems)
    assert np.array_equal(late, stems)


def test_a_chain_acts_on_its_stem_alone_and_leaves_the_rest_to_the_bit():
    mixer = Mixer({"guitar": chain(pedalboard.Reverb(), gain_db=-6)}, steering(), 2)
    out = run(mixer, 512)
    alone = pedalboard.Pedalboard([pedalboard.Reverb()])
    expected = alone.process(NOISE[0], RATE, reset=True) * 10 ** (-6 / 20)
    assert np.abs(out[0] - expected).max() < 1e-5
    assert np.array_equal(out[1], NOISE[1])


def test_stems_stay_in_step_when_a_plugin_is_late():
    """The latency is measured, not believed: pedalboard's own effects report none."""
    late = chain(pedalboard.MP3Compressor())
    assert late.latency > 1000
    mixer = Mixer({"guitar": late}, steering(), 2)
    clicks = np.zeros((2, 2, 6 * RATE), np.float32)
    clicks[:, :, 3 * RATE : 3 * RATE + 400] = np.hanning(400)
    out = run(mixer, 512, clicks)
    assert np.array_equal(out[1], clicks[1])
    match = np.correlate(out[0, 0, 2 * RATE : 4 * RATE], clicks[0, 0, 3 * RATE : 3 * RATE + 400])
    assert abs(int(np.argmax(np.abs(match))) - RATE) <= 64


def test_any_blocks_give_the_same_and_a_reset_mixer_is_a_new_one():
    def made():
        lanes = {("guitar", "reverb/wet_level"): Lane([Point(0, 0), Point(0.6, 1)]),
                 ("guitar", "gain"): Lane([Point(0, -20), Point(0.5, 0)])}  # fmt: skip
        return Mixer({"guitar": chain(pedalboard.Reverb())}, steering(lanes), 2)

    whole = run(made(), 30_000)
    mixer = made()
    assert np.array_equal(run(mixer, 700), whole)
    assert np.array_equal(run(mixer, 256), whole)
    assert mixer.latency == PIECE - 1
    assert Mixer({}, steering(), 2, block=512).latency == 0


def test_a_lane_moves_a_parameter_of_a_plugin():
    lanes = {("guitar", "gain/gain_db"): Lane([Point(0, 0, "step"), Point(0.3, -20)])}
    out = run(Mixer({"guitar": chain(pedalboard.Gain(0))}, steering(lanes), 2), 512)
    loud, soft = slice(0, 12_000), slice(15_000, 30_000)
    assert np.array_equal(out[0][:, loud], NOISE[0][:, loud])
    assert np.abs(out[0][:, soft] - 0.1 * NOISE[0][:, soft]).max() < 1e-3


def test_the_parameters_of_a_chain_are_controls():
    controls = chain(pedalboard.Reverb(), pedalboard.Gain()).controls()
    assert {"reverb/room_size", "reverb/wet_level", "gain/gain_db"} <= set(controls)
    assert "reverb/is_effect" not in controls
    assert controls["reverb/room_size"].default == 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no chain of plugins"),
        ({"plugin": "Reverb"}, "is no chain of plugins"),
        ([{"plugin": "Reverbb"}], "is no effect of pedalboard, and there is no file"),
        ([{"plugin": "/no/such.vst3"}], "there is no file /no/such.vst3"),
        ([{"plugin": "Reverb", "parameters": {"size": 1}}], "Reverb cannot be made so"),
        ([{"plugin": "Reverb", "parameters": {"room_size": 7}}], "Reverb cannot be made so"),
        ([{"plugin": "PitchShift"}], "cannot be used on a stream"),
        ([{"plugin": "Reverb"}, {"plugin": "Reverb"}], "two plugins have the same name"),
        ([{"plugin": "Reverb", "volume": 1}], "unknown word 'volume'"),
        ([{"plugin": "Reverb", "name": "a/b"}], "expected one without /"),
        ({"plugins": [], "gain_db": "loud"}, "is no chain of plugins"),
        ('{"plugins": [], "gain_db": NaN}', "gain_db is nan"),
        ([{"plugin": "chain.json"}], "is no plugin that can be used"),
        ([{"plugin": "chain.json", "load_s": 0}], "load_s is 0, expected seconds"),
    ],
)
def test_a_chain_that_is_none_gets_a_clear_answer(tmp_path, content, words):
    with pytest.raises(StemsteerError, match=words):
        read_chain(write(tmp_path, content), RATE, 2)


def test_a_missing_file_of_a_chain_gets_a_clear_answer(tmp_path):
    with pytest.raises((StemsteerError, OSError), match="No such file"):
        read_chain(tmp_path / "none.json", RATE, 2)


def test_a_chain_or_lane_for_nothing_is_refused():
    with pytest.raises(ValueError, match="no stem 'drums' for a chain; there are guitar, residual"):
        Mixer({"drums": chain()}, steering(), 2)
    lanes = {("guitar", "reverb/size"): Lane.level(1)}
    with pytest.raises(ValueError, match="moves reverb/size of guitar, whose chain has no plugin"):
        Mixer({}, steering(lanes), 2)


# --- a real VST3: the project's own, which without an engine is a delay by its latency ---


@pytest.fixture(scope="module")
def vst3():
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
    out = run(Mixer({"guitar": loaded}, steering(), 2), 512, stems)
    assert np.array_equal(out[1], stems[1])
    assert np.abs(out[0] - stems[0])[:, 8192:].max() < 1e-6
    again = run(Mixer({"guitar": loaded}, steering(), 2), 700, stems)
    assert np.abs(again[0] - stems[0])[:, 8192:].max() < 1e-6


@pytest.mark.usefixtures("quiet")
def test_a_wrong_parameter_of_a_vst3_is_said_and_its_change_of_latency_too(vst3, tmp_path):
    entry = {"plugin": str(vst3), "parameters": {"azimuth": 3}}
    with pytest.raises(StemsteerError, match=r"no parameter 'azimuth'; there are .*azimuth_deg"):
        read_chain(write(tmp_path, [entry]), RATE, 2)
    loaded = read_chain(write(tmp_path, [{"plugin": str(vst3), "name": "own"}]), RATE, 2)
    loaded.plugins["own"].latency_mode = "4096"
    mixer = Mixer({"guitar": loaded}, steering(), 2)
    with pytest.raises(StemsteerError, match="changed its latency from 1024 to 4096"):
        run(mixer, 512)


def test_a_plugin_that_crashes_at_load_is_said_and_takes_nothing_along(tmp_path, monkeypatch):
    crash = tmp_path / "sitecustomize.py"
    crash.write_text("import os, sys\nif 'crash.vst3' in ' '.join(sys.argv): os.abort()\n")
    (tmp_path / "crash.vst3").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "usercustomize.py").write_text(
        "import sys, os\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pedalboard': os.abort()\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    crash.write_text((tmp_path / "usercustomize.py").read_text())
    with pytest.raises(StemsteerError, match=r"crashes when it is loaded \(signal 6\)"):
        read_chain(write(tmp_path, [{"plugin": "crash.vst3"}]), RATE, 2)


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


def test_a_plugin_that_never_finishes_loading_is_given_up_with_all_it_has_started(
    tmp_path, monkeypatch
):
    need("gcc")
    (tmp_path / "hang.c").write_text(HANG)
    binary = tmp_path / "hang.vst3" / "Contents" / f"{platform.machine()}-linux" / "hang.so"
    binary.parent.mkdir(parents=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", binary, tmp_path / "hang.c"], check=True)
    monkeypatch.setenv("HELPER", str(tmp_path / "pid"))
    path = write(tmp_path, [{"plugin": "hang.vst3", "load_s": 3}])
    begun_s = time.monotonic()
    with pytest.raises(StemsteerError, match=r"hang.vst3 did not finish loading within 3 s; leave"):
        read_chain(path, RATE, 2)
    assert time.monotonic() - begun_s < 5
    helper = Path("/proc") / (tmp_path / "pid").read_text()
    until(lambda: not helper.exists() or "(zombie)" in (helper / "status").read_text(), "it ended")


def test_somebody_elses_vst3_that_takes_minutes_to_load_is_given_up(tmp_path):
    reverb = "/usr/lib/vst3/ZamVerb.vst3"  # convolves anew for each value that a host looks at
    need(reverb)
    path = write(tmp_path, [{"plugin": reverb, "load_s": 2}])
    with pytest.raises(StemsteerError, match=r"ZamVerb.vst3 did not finish loading within 2 s"):
        read_chain(path, RATE, 2)


# --- from the command line ---


@pytest.fixture
def song(tmp_path):
    samples = 0.1 * np.random.default_rng(3).standard_normal((2 * RATE, 2))
    soundfile.write(tmp_path / "song.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "song.wav"


def stemsteer(*arguments):
    return CliRunner().invoke(cli.app, ["render", *map(str, arguments)])


def sound(path):
    return soundfile.read(path, dtype="float32")[0].T


def test_reverb_only_on_the_guitar_and_the_rest_untouched(song, tmp_path):
    path = write(tmp_path, [{"plugin": "Reverb", "parameters": {"wet_level": 0.5}}])
    targets = tmp_path / "targets.json"
    targets.write_text('[{"name": "guitar", "azimuth_deg": -30}]')
    plain = stemsteer(song, "--targets", targets, "--out", tmp_path / "a")
    done = stemsteer(
        song, "--targets", targets, "--chain", f"guitar={path}", "--out", tmp_path / "b"
    )
    assert plain.exit_code == done.exit_code == 0, done.output
    dry, wet = sound(tmp_path / "a" / "guitar.wav"), sound(tmp_path / "b" / "guitar.wav")
    rest = sound(tmp_path / "b" / "residual.wav")
    assert np.abs(rest - sound(tmp_path / "a" / "residual.wav")).max() <= 1e-6
    board = pedalboard.Pedalboard([pedalboard.Reverb(wet_level=0.5)])
    assert np.abs(board.process(dry, RATE) - wet).max() < 1e-4
    assert np.abs(sound(tmp_path / "b" / "mix.wav") - (wet + rest)).max() < 1e-6


def test_somebody_elses_vst3_acts_on_its_stem_in_step_with_the_rest(song, tmp_path):
    limiter = Path("/usr/lib/vst3/ZaMaximX2.vst3")  # Debian's zam-plugins
    need(str(limiter))
    parameters = {"threshold_db": -30, "output_ceiling_db": -10, "release_ms": 25}
    path = write(tmp_path, [{"plugin": str(limiter), "parameters": parameters}])
    assert read_chain(path, RATE, 2).latency == 480  # it looks ahead
    plain = stemsteer(song, "--azimuth", -30, "--out", tmp_path / "a")
    done = stemsteer(song, "--azimuth", -30, "--chain", f"target={path}", "--out", tmp_path / "b")
    assert plain.exit_code == done.exit_code == 0, done.output
    dry, wet = sound(tmp_path / "a" / "target.wav"), sound(tmp_path / "b" / "target.wav")
    rest = sound(tmp_path / "b" / "residual.wav")
    assert np.abs(rest - sound(tmp_path / "a" / "residual.wav")).max() <= 1e-6
    assert np.abs(sound(tmp_path / "b" / "mix.wav") - (wet + rest)).max() < 1e-6
    middle = slice(RATE // 2, RATE)
    moved = (wet[:, RATE // 2 + k : RATE + k] for k in range(-600, 600))
    shifts = [float((m * dry[:, middle]).sum()) for m in moved]
    assert int(np.argmax(shifts)) == 600
    assert np.abs(wet).max() <= 10 ** (-10 / 20) * 1.05
    gain_db = 10 * np.log10((wet**2).sum() / (dry**2).sum())
    assert gain_db > 3  # a maximizer


def test_an_empty_chain_gives_back_the_mix(song, tmp_path):
    path = write(tmp_path, {"plugins": []})
    options = ("--azimuth", -30, "--chain", f"target={path}", "--out", tmp_path / "out")
    assert stemsteer(song, *options).exit_code == 0
    assert np.abs(sound(tmp_path / "out" / "mix.wav") - sound(song)).max() <= 2e-7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--chain", "guitar"), "expected STEM=FILE.json"),
        (("--chain", "drums=chain.json"), "no stem 'drums' for a chain"),
        (("--chain", "target=chain.json", "--mode", "remove"), "leave mode, mix and bypass out"),
        (("--chain", "target=none.json"), "none.json"),
    ],
)
def test_a_chain_that_does_not_fit_leaves_no_file(song, tmp_path, options, words):
    write(tmp_path, {"plugins": []})
    words_given = [o.replace("=", f"={tmp_path}/") for o in options]
    done = stemsteer(song, "--azimuth", 0, *words_given, "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
