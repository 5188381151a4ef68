"""Targets fade out where they do not sound, and the sum stays the mix."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.control.target import Target
from plugin_bridge.files.targets import read_targets
from plugin_bridge.offline.presence import FADE_IN_S, FADE_OUT_S, presence, within_stretches
from realtime.errors import StemsteerError

RATE_HZ = 44_100


def test_a_target_is_whole_in_its_stretches_and_silent_away_from_them():
    gain = presence([(2.0, 4.0), (8.0, 9.0)], 0, 12 * RATE_HZ, RATE_HZ)
    time_s = np.arange(gain.size) / RATE_HZ
    inside = ((time_s >= 2) & (time_s <= 4)) | ((time_s >= 8) & (time_s <= 9))
    away = (time_s < 2 - FADE_IN_S) | (time_s > 9 + FADE_OUT_S)
    away |= (time_s > 4 + FADE_OUT_S) & (time_s < 8 - FADE_IN_S)
    assert (gain[inside] == 1).all()
    assert (gain[away] == 0).all()
    assert np.abs(np.diff(gain)).max() < 1e-3  # no click


def test_the_fades_do_not_depend_on_the_blocks():
    stretches = [(0.3, 0.8), (2.1, 2.2)]
    whole = presence(stretches, 0, 5 * RATE_HZ, RATE_HZ)
    sizes = [1, 7, 441, 8193, 100_000, 2 * RATE_HZ]
    starts = np.cumsum([0, *sizes])
    parts = [presence(stretches, int(at), n, RATE_HZ) for at, n in zip(starts, sizes, strict=False)]
    joined = np.concatenate(parts)
    assert (joined == whole[: joined.size]).all()


def test_what_is_taken_from_a_target_is_in_the_residual():
    rng = np.random.default_rng(0)
    stems = rng.uniform(-0.3, 0.3, (3, 2, 6 * RATE_HZ)).astype(np.float32)
    mixture = stems.sum(0)
    ((same, out),) = within_stretches(iter([(mixture, stems)]), [[(1, 2)], []], RATE_HZ)
    assert same is mixture
    assert np.abs(out.sum(0) - mixture).max() < 3e-7
    assert (out[0, :, 4 * RATE_HZ :] == 0).all()
    assert (out[1] == stems[1]).all()


def test_targets_of_a_file_sound_in_their_stretches_alone_and_add_up_to_the_mix(tmp_path):
    tone = np.sin(np.arange(6 * RATE_HZ) / 9)[:, None] * [0.3, 0.1]
    soundfile.write(tmp_path / "song.wav", tone, RATE_HZ, subtype="PCM_16")
    entry = {"name": "tone", "azimuth_deg": -26.6, "width_deg": 30, "stretches_s": [[0, 1.5]]}
    (tmp_path / "targets.json").write_text(json.dumps([entry]))
    options = ["--targets", str(tmp_path / "targets.json"), "--out", str(tmp_path / "out")]
    command = ["render", str(tmp_path / "song.wav"), *options, "--model", "panorama"]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    mix, *stems = (
        soundfile.read(path, dtype="int16")[0].astype(int)
        for path in (tmp_path / "song.wav", *sorted((tmp_path / "out").iterdir()))
    )
    assert (sum(stems) == mix).all()
    residual, target = stems
    assert np.abs(target[:RATE_HZ]).max() > 5000
    assert not target[4 * RATE_HZ :].any()
    assert (residual[4 * RATE_HZ :] == mix[4 * RATE_HZ :]).all()


@pytest.mark.parametrize("stretches", [5, "1-2", [1, 2], [[1]], [[2, 1]], [[-1, 2]], [["a", 2]]])
def test_stretches_that_are_none_are_refused_in_words(tmp_path, stretches):
    entry = {"name": "a", "azimuth_deg": 0, "stretches_s": stretches}
    (tmp_path / "targets.json").write_text(json.dumps([entry]))
    with pytest.raises(StemsteerError, match=r"target 1: .*stretch"):
        read_targets(tmp_path / "targets.json")


def test_a_target_without_stretches_sounds_throughout(tmp_path):
    (tmp_path / "targets.json").write_text('[{"name": "a", "azimuth_deg": 0}]')
    assert read_targets(tmp_path / "targets.json") == [Target("a", 0.0)]
