"""Plugins on stems: pedalboard's own, and chains that are none."""

from __future__ import annotations

import numpy as np
import pedalboard
import pytest
import soundfile

from plugin_bridge.automation import Lane, Point
from plugin_bridge.hosting.chain_file import read_chain
from plugin_bridge.hosting.stem_mixer import CHUNK, StemMixer
from realtime.errors import StemsteerError
from tests.support.chains import NOISE, RATE, chain, conditions, run, write


@pytest.mark.parametrize("block", [1, 441, 512, 8193, 30_000])
def test_a_chain_without_effects_nulls(block):
    stems = NOISE if block > 1 else NOISE[:, :, :700]
    out = run(StemMixer({"guitar": chain()}, conditions(), 2), block, stems)
    assert np.array_equal(out, stems)
    late = run(StemMixer({"guitar": chain(pedalboard.Gain(0))}, conditions(), 2), block, stems)
    assert np.array_equal(late, stems)


def test_a_chain_acts_on_its_stem_alone_and_leaves_the_rest_to_the_bit():
    mixer = StemMixer({"guitar": chain(pedalboard.Reverb(), gain_db=-6)}, conditions(), 2)
    out = run(mixer, 512)
    alone = pedalboard.Pedalboard([pedalboard.Reverb()])
    expected = alone.process(NOISE[0], RATE, reset=True) * 10 ** (-6 / 20)
    assert np.abs(out[0] - expected).max() < 1e-5
    assert np.array_equal(out[1], NOISE[1])


def test_stems_stay_in_step_when_a_plugin_is_late():
    """The latency is measured, not believed: pedalboard's own effects report none."""
    late = chain(pedalboard.MP3Compressor())
    assert late.latency > 1000
    mixer = StemMixer({"guitar": late}, conditions(), 2)
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
        return StemMixer({"guitar": chain(pedalboard.Reverb())}, conditions(lanes), 2)

    whole = run(made(), 30_000)
    mixer = made()
    assert np.array_equal(run(mixer, 700), whole)
    assert np.array_equal(run(mixer, 256), whole)
    assert mixer.latency == CHUNK - 1
    assert StemMixer({}, conditions(), 2, block_multiple=512).latency == 0


def test_a_lane_moves_a_parameter_of_a_plugin():
    lanes = {("guitar", "gain/gain_db"): Lane([Point(0, 0, "step"), Point(0.3, -20)])}
    out = run(StemMixer({"guitar": chain(pedalboard.Gain(0))}, conditions(lanes), 2), 512)
    loud, soft = slice(0, 12_000), slice(15_000, 30_000)
    assert np.array_equal(out[0][:, loud], NOISE[0][:, loud])
    assert np.abs(out[0][:, soft] - 0.1 * NOISE[0][:, soft]).max() < 1e-3


def test_a_lane_for_all_stems_moves_every_chain_that_has_its_parameter():
    lanes = {("*", "gain/gain_db"): Lane.level(-20)}
    one = run(StemMixer({"guitar": chain(pedalboard.Gain(0))}, conditions(lanes), 2), 512)
    assert np.abs(one[0] - 0.1 * NOISE[0]).max() < 1e-3
    assert np.array_equal(one[1], NOISE[1])
    lanes["residual", "gain/gain_db"] = Lane.level(0)  # its own comes first
    gains = {stem: chain(pedalboard.Gain(0)) for stem in ("guitar", "residual")}
    both = run(StemMixer(gains, conditions(lanes), 2), 512)
    assert np.array_equal(both, one)


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
        ('{"plugins": [], "gain_db": NaN}', "NaN is no number"),
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
        StemMixer({"drums": chain()}, conditions(), 2)
    lanes = {("guitar", "reverb/size"): Lane.level(1)}
    with pytest.raises(ValueError, match="moves reverb/size of guitar, whose chain has no plugin"):
        StemMixer({}, conditions(lanes), 2)
    lanes = {("*", "reverb/size"): Lane.level(1)}
    with pytest.raises(ValueError, match="moves reverb/size of all stems, and no chain has it"):
        StemMixer({"guitar": chain(pedalboard.Reverb())}, conditions(lanes), 2)


def test_an_impulse_response_is_read_beside_the_chain_by_our_own_decoder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        pedalboard.io, "AudioFile", lambda *_: pytest.fail("pedalboard opened the file")
    )
    room = np.exp(-np.arange(2000) / 300) * np.random.default_rng(1).standard_normal((2, 2000))
    room = room.astype(np.float32)
    soundfile.write(tmp_path / "room.wav", room.T, RATE, subtype="FLOAT")
    entry = {"plugin": "Convolution", "parameters": {"impulse_response_filename": "room.wav"}}
    echo = read_chain(write(tmp_path, [entry]), RATE, 2)
    out = run(StemMixer({"guitar": echo}, conditions(), 2), 512)
    alone = pedalboard.Pedalboard([pedalboard.Convolution(room, 1.0, RATE)])
    assert np.abs(out[0] - alone.process(NOISE[0], RATE)).max() < 1e-4
    assert np.abs(out[0] - NOISE[0]).max() > 0.01


@pytest.mark.parametrize(
    ("write_file", "told"),
    [
        (lambda path: path.write_text("no sound"), "no audio|not audio"),
        (lambda path: soundfile.write(path, np.zeros((61 * RATE, 1)), RATE), "longer than 60 s"),
        (lambda path: None, "does not exist"),
    ],
)
def test_an_impulse_response_that_is_none_is_said(tmp_path, write_file, told):
    write_file(tmp_path / "room.wav")
    entry = {"plugin": "Convolution", "parameters": {"impulse_response_filename": "room.wav"}}
    with pytest.raises(StemsteerError, match=told):
        read_chain(write(tmp_path, [entry]), RATE, 2)
