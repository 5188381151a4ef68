"""Real recordings: the index, the sampler and the stems of songs, on tones made by the test."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from models_onnx.data.songs.parts import Note
from models_onnx.data.sounds.recordings import COLUMNS, Recordings
from models_onnx.data.sounds.sampler import play_kit, play_library, play_recording
from models_onnx.data.sounds.songstems import draw_stretch
from realtime.errors import StemsteerError

RATE_HZ = 44_100


def tone(pitch: float, seconds: float = 1.0) -> np.ndarray:
    frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
    return 0.4 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def pitch_of(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), 8 * audio.size))
    return float(69 + 12 * np.log2(spectrum.argmax() * RATE_HZ / (8 * audio.size) / 440))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    rows = []

    def add(path: str, kind: str, name: str, audio: np.ndarray, **more) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, audio, RATE_HZ)
        seconds = len(audio) / RATE_HZ
        rows.append({"path": path, "kind": kind, "class": name, "seconds": seconds, **more})

    for pitch in (48, 55, 60, 67, 72):
        path = f"instruments/flute/one/{pitch}.flac"
        add(path, "note", "flute", tone(pitch), midi_note=pitch, detected_midi=pitch)
    add("instruments/flute/one/bad.flac", "note", "flute", tone(40), midi_note=64,
        pitch_check="octave")  # fmt: skip
    for piece, pitch in (("kick", 30), ("snare", 60), ("hihat_closed", 100), ("hihat_open", 99)):
        path = f"instruments/drums/kit/{piece}.flac"
        add(path, "note", "drums", tone(pitch, 0.2), dynamic=piece)
    for number, offset in enumerate((0, 3, 4)):
        name = ("vocals", "drums", "bass")[number]
        path = f"stems/song/{name}.flac"
        add(path, "stem", name, tone(60 + number, 12), song="song", offset_seconds=offset)
    with (root / "INDEX.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted(COLUMNS), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def recordings(folder):
    return Recordings(folder)


def test_notes_found_at_a_wrong_pitch_are_left_out(recordings):
    (flute,) = recordings.instruments["flute"]
    assert [r.pitch for r in flute.recordings] == [48, 55, 60, 67, 72]
    assert list(recordings.kits) == ["drums"]


@pytest.mark.parametrize("pitch", [47, 57, 64, 79])
def test_the_sampler_plays_a_note_at_its_pitch_for_its_length(recordings, pitch):
    (flute,) = recordings.instruments["flute"]
    notes = [Note(0.5, 1.1, pitch, 100)]
    audio = play_library(np.random.default_rng(0), flute, notes, 2 * RATE_HZ)
    assert not audio[:, : RATE_HZ // 2].any()
    assert not audio[:, round(1.4 * RATE_HZ) :].any()
    assert pitch_of(audio[0, round(0.55 * RATE_HZ) : RATE_HZ]) == pytest.approx(pitch, abs=0.05)


def test_a_note_longer_than_its_recording_is_held(recordings):
    (flute,) = recordings.instruments["flute"]
    audio = play_library(np.random.default_rng(0), flute, [Note(0, 5, 60, 100)], 5 * RATE_HZ)
    level = np.sqrt((audio[0].reshape(50, -1) ** 2).mean(1))
    assert level[1:-1].min() > 0.5 * level[1:-1].max()


def test_a_note_out_of_reach_is_played_octaves_away(recordings):
    (flute,) = recordings.instruments["flute"]
    audio = play_library(np.random.default_rng(0), flute, [Note(0, 0.5, 96, 100)], RATE_HZ)
    assert pitch_of(audio[0, 2000:20_000]) == pytest.approx(72, abs=0.05)


def test_a_kit_plays_the_piece_that_a_stroke_names(recordings):
    (kit,) = recordings.kits["drums"]
    for stroke, pitch in ((36, 30), (38, 60), (42, 100), (46, 99)):
        audio = play_kit(np.random.default_rng(1), kit, [Note(0, 0.2, stroke, 100)], RATE_HZ)
        heard = pitch_of(audio[0, : round(0.15 * RATE_HZ)])
        assert heard == pytest.approx(pitch, abs=2.8), stroke


def test_a_loop_keeps_the_time_it_is_given(recordings):
    loop = recordings.kits["drums"][0].recordings[0]
    audio = play_recording(np.random.default_rng(0), loop, RATE_HZ, every_s=0.25)
    np.testing.assert_array_equal(audio[:, :11_025], audio[:, 11_025:22_050])


def test_stems_of_a_stretch_are_aligned_by_their_offsets(recordings):
    for seed in range(6):
        stretch = draw_stretch(np.random.default_rng(seed), recordings, 20.0)
        assert all(a.shape == (2, 20 * RATE_HZ) for _, a in stretch)
        end_s = {g[0].name: np.flatnonzero(np.abs(a[0]) > 1e-3)[-1] / RATE_HZ for g, a in stretch}
        assert end_s["bass"] - end_s["drums"] == pytest.approx(1.0, abs=0.01)


def test_a_folder_without_an_index_is_explained(tmp_path):
    with pytest.raises(StemsteerError, match=r"no INDEX\.csv"):
        Recordings(tmp_path)
    (tmp_path / "INDEX.csv").write_text("path,kind\n")
    with pytest.raises(StemsteerError, match="lacks the columns class"):
        Recordings(tmp_path)


def test_a_number_that_is_none_is_named_by_its_row(folder, tmp_path):
    text = (folder / "INDEX.csv").read_text().replace("12.0", "long")
    (tmp_path / "INDEX.csv").write_text(text)
    with pytest.raises(StemsteerError, match=r"row of stems/song/vocals\.flac.*'long'"):
        Recordings(tmp_path)


def test_without_voices_and_loops_soundfonts_sing_and_drum(monkeypatch):
    song_renderer = pytest.importorskip(
        "models_onnx.data.rendering.song_renderer",
        reason="needs libfluidsynth3",
        exc_type=ImportError,
    )
    shelf = SimpleNamespace(songs={}, voices=[], loops=[], kits={}, instruments={}, phrases={})

    class Soundfonts:
        def choose(self, rng, program):
            return SimpleNamespace(file="any.sf2"), 0, 0

        def render(self, voice, notes, samples, **_):
            return np.ones((2, samples), np.float32)

    monkeypatch.setattr(song_renderer, "LOOP_CHANCE", 1.0)
    monkeypatch.setattr(song_renderer, "REAL_VOICE_CHANCE", 1.0)
    roles = set()
    for seed in range(12):
        song = song_renderer.compose(np.random.default_rng(seed))
        for part in song.parts:
            song_renderer.SongRenderer(Soundfonts(), shelf)._take(
                np.random.default_rng(0), song, part, doubled=False
            )
            roles.add(part.role)
    assert {"voice", "drums"} <= roles


def test_phrases_follow_one_another_with_rests(monkeypatch):
    song_renderer = pytest.importorskip(
        "models_onnx.data.rendering.song_renderer",
        reason="needs libfluidsynth3",
        exc_type=ImportError,
    )
    monkeypatch.setattr(song_renderer, "sound_of", lambda recording: np.full((2, 5000), recording))
    out = song_renderer._phrases(np.random.default_rng(0), [0.25, 0.5], 100_000)
    assert out.shape == (2, 100_000)
    assert set(np.unique(out)) == {0.0, 0.25, 0.5}
    edges = np.flatnonzero(np.diff(out[0]) != 0)
    assert len(edges) > 4
