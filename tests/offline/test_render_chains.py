"""`stemsteer render --chain`: plugins on stems from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pedalboard
import pytest

from plugin_bridge.hosting.chain_file import read_chain
from tests.support.chains import RATE, write
from tests.support.engine_sandbox import need
from tests.support.rendering import noise_song, render_song, sound


@pytest.fixture
def song(tmp_path):
    return noise_song(tmp_path)


def test_reverb_only_on_the_guitar_and_the_rest_untouched(song, tmp_path):
    path = write(tmp_path, [{"plugin": "Reverb", "parameters": {"wet_level": 0.5}}])
    targets = tmp_path / "targets.json"
    targets.write_text('[{"name": "guitar", "azimuth_deg": -30}]')
    plain = render_song(song, "--targets", targets, "--out", tmp_path / "a")
    done = render_song(
        song, "--targets", targets, "--chain", f"guitar={path}", "--out", tmp_path / "b"
    )
    assert plain.exit_code == done.exit_code == 0, done.output
    dry, wet = sound(tmp_path / "a" / "guitar.wav"), sound(tmp_path / "b" / "guitar.wav")
    rest = sound(tmp_path / "b" / "residual.wav")
    assert np.abs(rest - sound(tmp_path / "a" / "residual.wav")).max() <= 1e-6
    chain = pedalboard.Pedalboard([pedalboard.Reverb(wet_level=0.5)])
    assert np.abs(chain.process(dry, RATE) - wet).max() < 1e-4
    assert np.abs(sound(tmp_path / "b" / "mix.wav") - (wet + rest)).max() < 1e-6


def test_somebody_elses_vst3_acts_on_its_stem_in_step_with_the_rest(song, tmp_path):
    limiter = Path("/usr/lib/vst3/ZaMaximX2.vst3")  # Debian's zam-plugins
    need(str(limiter))
    parameters = {"threshold_db": -30, "output_ceiling_db": -10, "release_ms": 25}
    path = write(tmp_path, [{"plugin": str(limiter), "parameters": parameters}])
    assert read_chain(path, RATE, 2).latency == 480  # it looks ahead
    plain = render_song(song, "--azimuth", -30, "--out", tmp_path / "a")
    done = render_song(song, "--azimuth", -30, "--chain", f"target={path}", "--out", tmp_path / "b")
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


def test_a_lane_without_a_target_moves_the_plugins_and_is_refused_where_there_are_none(
    song, tmp_path
):
    path = write(tmp_path, [{"plugin": "Gain", "name": "gain"}])
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("seconds,target,control,value\n0,,gain/gain_db,-20\n")
    options = ("--azimuth", -30, "--automation", lanes, "--out", tmp_path / "out")
    alone = render_song(song, *options)
    assert alone.exit_code != 0
    assert "gain/gain_db of all stems, and no chain has it" in " ".join(alone.stderr.split())
    assert not (tmp_path / "out").exists()
    assert render_song(song, *options, "--chain", f"target={path}").exit_code == 0
    rest, whole = sound(tmp_path / "out" / "residual.wav"), sound(song)
    quiet = sound(tmp_path / "out" / "target.wav")
    assert np.abs(rest + 10 * quiet - whole).max() < 1e-3


def test_an_empty_chain_gives_back_the_mix(song, tmp_path):
    path = write(tmp_path, {"plugins": []})
    options = ("--azimuth", -30, "--chain", f"target={path}", "--out", tmp_path / "out")
    assert render_song(song, *options).exit_code == 0
    assert np.abs(sound(tmp_path / "out" / "mix.wav") - sound(song)).max() <= 2e-7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--chain", "guitar"), "expected STEM=FILE.json"),
        (("--chain", "drums=chain.json"), "no stem 'drums' for a chain"),
        (("--chain", "target=chain.json", "--mode", "remove"), "leave mode, mix and bypass out"),
        (("--chain", "target=none.json"), "none.json: no such file"),
    ],
)
def test_a_chain_that_does_not_fit_leaves_no_file(song, tmp_path, options, words):
    write(tmp_path, {"plugins": []})
    words_given = [o.replace("=", f"={tmp_path}/") for o in options]
    done = render_song(song, "--azimuth", 0, *words_given, "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_called_as_the_sum_of_all_stems_is_refused(song, tmp_path):
    path = write(tmp_path, {"plugins": []})
    options = ("--azimuth", "Mix=3", "--chain", f"Mix={path}", "--out", tmp_path / "out")
    done = render_song(song, *options)
    assert done.exit_code == 1
    assert "a target is called 'mix', as the sum of all stems is" in done.stderr
    assert not (tmp_path / "out").exists()
