"""Instruments that are heard now, by the sound of pictures; and the library that is shown."""

from __future__ import annotations

import time

import numpy as np
import pytest

from plugin_bridge.control.surface import Sound
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.panel import heard_now, timbre_list
from plugin_bridge.panel.heard_now import HeardNow
from plugin_bridge.panel.timbre_list import TimbreList
from plugin_bridge.timbre import Timbre, TimbreLibrary
from realtime.encoder import load_encoder
from tests.support.engine_sandbox import ROOT
from tests.support.waiting import until

STEP = 1470  # from picture to picture


@pytest.fixture
def listening():
    heard = HeardNow()
    yield heard
    heard.stop()


def play(heard, song, encoder, name="guitar", first=0):
    """Let it see a song as pictures do: overlapping, newest last."""
    nothing = np.zeros((2, 2048), np.float32)
    for end in range(2048, song.shape[1], STEP):
        sound = Sound(first + end, 44_100, song[:, end - 2048 : end], nothing, nothing)
        heard.take(name, encoder, sound)


def test_the_song_is_put_together_of_its_pictures(listening, monkeypatch):
    pieces = []
    monkeypatch.setattr(heard_now, "_heard", lambda *job: pieces.append(job[2]) or [("bass", 1.0)])
    song = np.random.default_rng(1).standard_normal((2, 5 * 44_100)).astype(np.float32)
    play(listening, song, load_encoder().spec.encoder)
    until(lambda: pieces)
    assert 0 <= pieces[0].shape[1] - heard_now.EVERY_S * 44_100 <= STEP
    np.testing.assert_array_equal(pieces[0], song[:, : pieces[0].shape[1]])
    until(lambda: listening.chances("guitar") == [("bass", 1.0)])
    listening.keep({"bass"})
    assert listening.chances("guitar") == []


def test_the_instruments_of_the_bundled_song_are_heard_and_silence_is_none(listening):
    with AudioReader(ROOT / "build" / "demo" / "mix.flac") as reader:
        song = np.concatenate(list(reader.blocks(65_536)), axis=1)[:, : 6 * reader.sample_rate]
    encoder = load_encoder().spec.encoder
    play(listening, song, encoder)
    until(lambda: listening.chances("guitar"))
    assert all(0.1 <= chance <= 1 for _, chance in listening.chances("guitar"))
    play(listening, np.zeros((2, 4 * 44_100), np.float32), encoder, "silent")
    time.sleep(0.3)
    assert listening.chances("silent") == []


def test_without_the_encoder_nothing_is_heard_and_nothing_fails(listening):
    play(listening, np.ones((2, 4 * 44_100), np.float32), "of-nobody")
    time.sleep(0.2)
    assert listening.chances("guitar") == []


def test_the_library_is_told_with_its_encoders_but_for_what_is_no_timbre(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path))
    vector = np.eye(1, 4, dtype=np.float32)[0]
    library = TimbreLibrary()
    library.save("solo", Timbre(vector, "one"))
    library.save("broken", Timbre(vector, "one")).write_text("{}")
    shown = TimbreList()

    def told():
        shown._next_s = 0.0
        return shown.told()

    assert shown.told() == {"timbres": [["solo", "one"]], "n_more": 0}
    library.save("later", Timbre(vector, "two"))
    assert shown.told()["timbres"] == [["solo", "one"]]
    assert told()["timbres"] == [["later", "two"], ["solo", "one"]]
    library.save("solo", Timbre(vector, "three"), replace=True)
    library.save("broken", Timbre(vector, "one"), replace=True)  # it is mended
    mended = [["broken", "one"], ["later", "two"], ["solo", "three"]]
    assert told()["timbres"] == mended
    monkeypatch.setattr(timbre_list, "MOST", 2)
    assert told() == {"timbres": mended[:2], "n_more": 1}
