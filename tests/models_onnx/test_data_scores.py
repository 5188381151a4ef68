"""Songs of a folder of scores: stretches, instruments, and bands with a human drummer."""

from pathlib import Path

import mido
import numpy as np
import pytest

from models_onnx.data.classes import DRUM_KIT, ORCHESTRA_13
from models_onnx.data.songs.scores import SINGER, Scores, read_parts
from realtime.errors import StemsteerError

NOTES = 60


def write_score(path: Path, programs: list[int], pitch: int = 62, channel: int = 0) -> None:
    """Write a score of one track a program, a note every half second at 120 bpm, then at 60."""
    file = mido.MidiFile(ticks_per_beat=480)
    for number, program in enumerate(programs):
        track = mido.MidiTrack()
        if number == 0:
            track.append(mido.MetaMessage("set_tempo", tempo=500_000, time=0))
        use = channel or number
        track.append(mido.Message("program_change", channel=use, program=program, time=0))
        for k in range(NOTES):
            track.append(mido.Message("note_on", channel=use, note=pitch + k % 3, time=0))
            track.append(mido.Message("note_off", channel=use, note=pitch + k % 3, time=480))
        file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_score(tmp_path / "midi" / "quartet.mid", [40, 40, 41, 42])
    write_score(tmp_path / "midi" / "groove" / "drummer1_s_1_rock_100_beat_4-4.mid", [0], 22, 9)
    (tmp_path / "midi" / "INDEX.csv").write_text("path,title\nmidi/quartet.mid,Quartet\n")
    return tmp_path


def test_a_stretch_of_a_score_has_its_instruments(folder: Path) -> None:
    song, title = Scores(folder).song(np.random.default_rng(0))
    assert title == "quartet"
    assert sorted(p.instrument.name for p in song.parts) == ["cello", "viola", "violin", "violin"]
    for part in song.parts:
        starts = np.array([note.start_s for note in part.notes])
        assert np.allclose(np.diff(starts), 0.5, atol=1e-6)
        assert starts.min() >= 0
        assert max(note.end_s for note in part.notes) <= 26


def test_notes_are_at_the_time_that_the_tempo_says(tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=100)
    track = mido.MidiTrack([
        mido.MetaMessage("set_tempo", tempo=1_000_000, time=0),
        mido.Message("note_on", note=60, velocity=80, time=100),
        mido.MetaMessage("set_tempo", tempo=500_000, time=50),
        mido.Message("note_on", note=60, velocity=0, time=100),
    ])  # fmt: skip
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    ((key, (note,)),) = read_parts(tmp_path / "a.mid").items()
    assert key == (0, 0)
    assert (note.start_s, note.end_s) == pytest.approx((1.0, 2.0))
    assert (note.pitch, note.velocity) == (60, 80)


def test_parts_without_instruments_are_given_some(tmp_path: Path) -> None:
    write_score(tmp_path / "midi" / "fugue.mid", [0, 0, 0, 0])
    (tmp_path / "midi" / "INDEX.csv").write_text("path\nmidi/fugue.mid\n")
    song, _ = Scores(tmp_path).song(np.random.default_rng(0))
    assert {part.instrument.name for part in song.parts} <= set(ORCHESTRA_13)


def test_a_band_has_a_human_drummer_and_sings(folder: Path) -> None:
    scores = Scores(folder)
    bands = [scores.band(np.random.default_rng(seed)) for seed in range(12)]
    roles = [part.role for band in bands for part in band.parts]
    assert roles.count(SINGER) >= 6
    assert roles.count("drums") >= 8
    drums = [part for band in bands for part in band.parts if part.program == DRUM_KIT]
    human = [part for part in drums if {note.pitch for note in part.notes} == {42, 23, 24}]
    assert human, "the hi-hat of the drummer's kit is that of General MIDI"
    for band in bands:
        assert all(note.start_s < band.plan.seconds for p in band.parts for note in p.notes)


def test_a_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StemsteerError, match=r"no midi/INDEX\.csv"):
        Scores(tmp_path)
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "INDEX.csv").write_text("path\n")
    with pytest.raises(StemsteerError, match="names no score"):
        Scores(tmp_path)


def test_training_and_held_out_songs_have_no_score_and_no_drummer_in_common(
    tmp_path: Path,
) -> None:
    names = [f"midi/{k:03}.mid" for k in range(200)]
    grooves = tmp_path / "midi" / "groove"
    grooves.mkdir(parents=True)
    for k in range(200):
        (grooves / f"drummer1_s_{k}_rock_100_beat_4-4.mid").touch()
    (tmp_path / "midi" / "INDEX.csv").write_text("\n".join(["path", *names]))
    training, held_out = Scores(tmp_path), Scores(tmp_path, held_out=True)
    for own, kept in ((training.scores, held_out.scores), (training.grooves, held_out.grooves)):
        assert not set(own) & set(kept)
        assert len(own) + len(kept) == 200
        assert 10 <= len(kept) <= 30
    (tmp_path / "midi" / "INDEX.csv").write_text("\n".join(["path", *names[:100]]))
    assert set(Scores(tmp_path, held_out=True).scores) < set(held_out.scores)


def test_a_folder_too_small_to_hold_a_score_out_is_refused(folder: Path) -> None:
    with pytest.raises(StemsteerError, match="names none is held out: one in 10"):
        Scores(folder, held_out=True)


def test_a_file_that_is_no_score_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"MThd nonsense")
    with pytest.raises(StemsteerError, match=r"cannot read .*a\.mid"):
        read_parts(tmp_path / "a.mid")
