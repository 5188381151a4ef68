"""Instruments are heard where they sound, when, and how surely."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.timbre.heard import (
    Classifier,
    Heard,
    instruments_heard,
    load_classifier,
    read_classifier,
)
from realtime.encoder import EncoderSpec, load_encoder
from realtime.errors import StemsteerError
from tests.support.commands import stemsteer

RATE_HZ = 8000


class Ear:
    """An encoder whose vector says which side is louder, and which refuses silence."""

    spec = EncoderSpec("ear", 2, sample_rate=RATE_HZ)

    def encode(self, audio):
        power = np.square(audio, dtype=np.float64).sum(1)
        if power.sum() < 1e-6:
            raise ValueError("silent")
        return np.sqrt(power / power.sum()).astype(np.float32)


SIDES = Classifier("ear", ("drums", "vocals"), np.array([[20, 0, -12], [0, 20, -12]], np.float32))


def heard(audio, block=12_345):
    blocks = (audio[:, k : k + block] for k in range(0, audio.shape[1], block))
    return instruments_heard(blocks, audio.shape[1] / RATE_HZ, RATE_HZ, Ear(), SIDES)


def noise(*parts):
    """Noise on the (left, right) gains of parts of some seconds."""
    rng = np.random.default_rng(0)
    pieces = [rng.normal(0, 0.1, (1, s * RATE_HZ)) * np.array(g)[:, None] for s, g in parts]
    return np.concatenate(pieces, axis=1).astype(np.float32)


def test_an_instrument_is_heard_when_it_sounds():
    audio = noise((40, (1, 0)), (40, (0, 1)), (20, (0, 0)))
    found = {one.instrument: one for one in heard(audio)}
    assert set(found) == {"drums", "vocals"}
    ((start_s, end_s),) = found["vocals"].stretches_s
    assert start_s == pytest.approx(40, abs=4)
    assert end_s == pytest.approx(80, abs=4)
    assert found["drums"].stretches_s[0][0] == 0
    assert found["drums"].sure > 0.9


def test_what_is_heard_does_not_depend_on_the_blocks():
    audio = noise((30, (1, 0.2)), (25, (0.3, 1)))
    assert heard(audio, 1000) == heard(audio, 77_777) == heard(audio, audio.shape[1])


def test_long_pauses_part_stretches_and_silence_is_nobody():
    audio = noise((20, (1, 0)), (30, (0, 1)), (20, (1, 0)))
    drums = next(one for one in heard(audio) if one.instrument == "drums")
    assert len(drums.stretches_s) == 2
    assert heard(noise((30, (0, 0)))) == []


def test_a_sound_shorter_than_a_piece_is_heard():
    assert [one.instrument for one in heard(noise((2, (1, 0))))] == ["drums"]


def test_a_classifier_survives_its_file(tmp_path):
    SIDES.save(tmp_path / "ear.heard.json")
    found = read_classifier(tmp_path / "ear.heard.json")
    assert (found.encoder, found.instruments) == ("ear", ("drums", "vocals"))
    assert np.array_equal(found.weights, SIDES.weights)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": "x"}', '{"format": "stemsteer-heard-1", "encoder": "a"}',
     '{"format": "stemsteer-heard-1", "encoder": "a", "instruments": {"a": [1], "b": [1, 2]}}',
     '{"format": "stemsteer-heard-1", "encoder": "a", "instruments": {"a": ["x", 2]}}'],
)  # fmt: skip
def test_a_file_that_is_no_classifier_is_refused_in_words(tmp_path, content):
    (tmp_path / "a.heard.json").write_text(content)
    with pytest.raises(StemsteerError, match="is no classifier of instruments"):
        read_classifier(tmp_path / "a.heard.json")


def test_the_shipped_classifier_is_that_of_the_shipped_encoder():
    found = load_classifier(load_encoder().spec)
    assert set(found.instruments) <= set(INSTRUMENTS)
    assert {"vocals", "drums", "bass", "guitar"} <= set(found.instruments)


def test_an_encoder_without_a_classifier_is_said(tmp_path):
    with pytest.raises(StemsteerError, match="no classifier of instruments is here"):
        load_classifier(EncoderSpec("another", 64))


@pytest.fixture
def song(tmp_path, monkeypatch):
    found = [Heard("vocals", 0.9, ((0.0, 3.0),)), Heard("drums", 0.6, ((1.0, 2.0),))]
    monkeypatch.setattr("plugin_bridge.cli.hearing.heard_in", lambda path: found)
    monkeypatch.setattr("plugin_bridge.cli.scan.heard_in", lambda path: found)
    tone = 0.1 * np.sin(np.arange(3 * 44_100) / 9)[:, None] * [1, 1]
    soundfile.write(tmp_path / "song.wav", tone, 44_100)
    return tmp_path / "song.wav"


def test_scan_names_the_instruments_unless_told_not_to(song):
    said = CliRunner().invoke(cli.app, ["scan", str(song)]).stdout
    assert "vocals" in said
    assert "90%" in said
    assert "0:01–0:02" in said
    assert (
        "vocals" not in CliRunner().invoke(cli.app, ["scan", str(song), "--no-instruments"]).stdout
    )


def test_scan_gives_instruments_as_targets_when_asked(song):
    done = CliRunner().invoke(cli.app, ["scan", str(song), "--json", "--instruments"])
    entries = json.loads(done.stdout)
    assert [(e["name"], e["instrument"]) for e in entries] == [
        ("vocals", ["vocals"]),
        ("drums", ["drums"]),
    ]
    directions = json.loads(CliRunner().invoke(cli.app, ["scan", str(song), "--json"]).stdout)
    assert [entry["name"] for entry in directions] == ["centre"]


@pytest.mark.parametrize("name", ["timbre-unet", "steer"])
def test_render_all_with_a_model_that_knows_instruments_takes_those_that_are_heard(
    song, tmp_path, name
):
    out = tmp_path / "o"
    done = stemsteer("render", song, "--all", "--model", name, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"] == name
    assert {f.stem for f in out.iterdir()} == {"vocals", "drums", "residual"}


def test_render_all_leaves_out_what_the_model_does_not_know(song, tmp_path, monkeypatch):
    found, out = [Heard("violin", 0.9, ((0.0, 3.0),))], tmp_path / "o"
    found.append(Heard("drums", 0.9, ((0.0, 3.0),)))
    monkeypatch.setattr("plugin_bridge.cli.hearing.heard_in", lambda path: found)
    done = stemsteer("render", song, "--all", "--model", "label-unet", "--out", out)
    assert done.exit_code == 0, done.output
    assert {f.stem for f in out.iterdir()} == {"violin", "residual"}
    assert "model 'label-unet' does not know drums, which stay in the residual" in done.stderr
    found.pop(0)
    done = stemsteer("render", song, "--all", "--model", "label-unet", "--out", tmp_path / "none")
    assert done.exit_code == 2
    told = " ".join(done.stderr.replace("│", " ").split())
    assert "no instrument that model 'label-unet' knows is heard in" in told


def test_render_all_takes_every_instrument_that_is_heard(song, tmp_path):
    done = CliRunner().invoke(cli.app, ["render", str(song), "--all", "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert {f.stem for f in (tmp_path / "o").iterdir()} == {"vocals", "drums", "residual"}
