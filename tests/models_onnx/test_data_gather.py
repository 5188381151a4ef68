"""Sounds of others in the layout of recordings: Hydrogen's kits, named notes, sung syllables."""

import csv
import shutil
from functools import partial

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.data.rendering.commands import render
from models_onnx.data.sounds.commands import gather as gather_command
from models_onnx.data.sounds.gather import gather
from models_onnx.data.sounds.pitch import pitch_near
from models_onnx.data.sounds.recordings import Recordings
from models_onnx.data.sounds.soundfonts import SoundFont
from models_onnx.data.sounds.speech import spoken_pitch, sung
from realtime.errors import StemsteerError
from tests.support.commands import onnx_command

RATE_HZ = 44_100
KIT = """<?xml version="1.0"?>
<drumkit_info xmlns="http://www.hydrogen-music.org/drumkit">
 <name>Two layers</name>
 <instrumentList>{}</instrumentList>
</drumkit_info>
"""
INSTRUMENT = "<instrument><name>{}</name>{}</instrument>"
LAYER = "<layer><filename>{}</filename></layer>"


def tone(pitch: float, seconds: float = 0.8) -> np.ndarray:
    """Return a tone with harmonics whose first is weaker than its second, and silence after it."""
    n = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    parts = ((1, 0.1), (2, 0.2), (3, 0.15))
    sound = sum(level * np.sin(2 * np.pi * k * hz * n) for k, level in parts)
    return np.concatenate([sound, np.zeros(RATE_HZ)])


@pytest.fixture
def kits(tmp_path):
    kit = tmp_path / "kits" / "My Kit 1.0"
    kit.mkdir(parents=True)
    pieces = {"Kick (22)": ["k1", "k2"], "Snare Jazz": ["s1"], "Snare Rock": ["s2"],
              "Hi-Hat Semiopen": ["h"], "Closed HH": ["c"], "Rim Click": ["r"],
              "Gone": ["no"]}  # fmt: skip
    for number, file in enumerate(file for files in pieces.values() for file in files):
        if file != "no":
            soundfile.write(kit / f"{file}.wav", tone(50 + number), RATE_HZ)
    described = "".join(
        INSTRUMENT.format(name, "".join(LAYER.format(f"{file}.wav") for file in files))
        for name, files in pieces.items()
    )
    (kit / "drumkit.xml").write_text(KIT.format(described))
    return kit.parent


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    for instrument, files in {
        "bass-electric/package": {"E1": 28, "As1": 34, "Cs2": 37, "G2": 55},  # an octave too high
        "flute": {"C4": 60, "Eb4": 63, "F#4": 66, "A4": 69},
        "nobody-knows": {"C4": 60},
    }.items():
        (folder / instrument).mkdir(parents=True)
        for name, pitch in files.items():
            soundfile.write(folder / instrument / f"{name}.wav", tone(pitch), RATE_HZ)
        (folder / instrument / "README.md").write_text("not a note")
    return folder


def test_kits_and_notes_become_recordings(tmp_path, kits, notes):
    found = gather(tmp_path / "out", [kits], [notes])
    assert found == {"bass": 4, "drums": 7, "flute": 4}
    recordings = Recordings(tmp_path / "out")
    (kit,) = recordings.kits["drums"]
    pieces = [recording.piece for recording in kit.recordings]
    assert pieces == ["kick kick_22", "kick kick_22", "snare snare_jazz", "snare snare_rock",
                      "hihat_open hi_hat_semiopen", "hihat_closed closed_hh",
                      "sidestick rim_click"]  # fmt: skip
    (flute,) = recordings.instruments["flute"]
    assert [r.pitch for r in flute.recordings] == pytest.approx([60, 63, 66, 69], abs=0.02)
    assert "bass" not in recordings.instruments  # three notes left, too few to play


def test_a_note_whose_pitch_is_not_its_name_is_marked(tmp_path, notes):
    gather(tmp_path / "out", [], [notes])
    with (tmp_path / "out" / "INDEX.csv").open(newline="") as file:
        checked = {row["path"].rpartition("/")[2]: row for row in csv.DictReader(file)}
    assert checked["G2.flac"]["pitch_check"] == "no"
    assert float(checked["G2.flac"]["detected_midi"]) == pytest.approx(55, abs=0.02)
    assert checked["E1.flac"]["pitch_check"] == "ok"


def test_sounds_of_one_name_are_all_kept(tmp_path, kits):
    for number, place in enumerate(("one/flute", "two/flute/soft", "two/flute/loud"), 66):
        (tmp_path / place).mkdir(parents=True)
        for name, pitch in (("A4", number), ("a4", number + 3)):
            soundfile.write(tmp_path / place / f"{name}.wav", tone(pitch), RATE_HZ)
    shutil.copytree(kits, tmp_path / "more")
    folders = [tmp_path / name for name in ("one", "two")]
    found = gather(tmp_path / "out", [kits, tmp_path / "more"], folders)
    assert found == {"drums": 14, "flute": 6}
    with (tmp_path / "out" / "INDEX.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"].lower() for row in rows}) == 20
    flutes = [row for row in rows if row["class"] == "flute"]
    assert [row["path"].split("/", 2)[2] for row in flutes] == [
        "flute/A4.flac", "flute/a4_2.flac", "flute_2/A4.flac", "flute_2/a4_2.flac",
        "flute_2/A4_3.flac", "flute_2/a4_4.flac",
    ]  # fmt: skip
    for row in flutes:
        audio, _ = soundfile.read(tmp_path / "out" / row["path"])
        assert pitch_near(audio, 69) == pytest.approx(float(row["detected_midi"]), abs=0.02)
    assert len(Recordings(tmp_path / "out").kits["drums"]) == 2


def test_silence_after_a_sound_is_left_out(tmp_path, notes):
    gather(tmp_path / "out", [], [notes])
    audio, rate_hz = soundfile.read(
        tmp_path / "out" / "instruments" / "flute" / "flute" / "C4.flac"
    )
    assert rate_hz == RATE_HZ
    assert audio.shape == pytest.approx((0.8 * RATE_HZ,), abs=300)
    assert abs(audio[-1]) < 1e-3


@pytest.mark.parametrize("pitch", [28, 40.3, 69, 84.5, 96])
def test_the_pitch_of_a_note_is_found_though_its_first_partial_is_weak(pitch):
    assert pitch_near(tone(pitch), round(pitch)) == pytest.approx(pitch, abs=0.05)


def test_noise_and_short_sounds_have_no_pitch():
    assert pitch_near(np.random.default_rng(0).standard_normal(RATE_HZ), 60) is None
    assert pitch_near(tone(60)[:1000], 60) is None


asked = partial(onnx_command, gather_command)


def test_what_is_no_folder_of_sounds_is_explained_and_leaves_nothing(tmp_path, kits):
    out = tmp_path / "out"
    assert "nothing to gather: give --drumkits" in asked(out).output
    for folder, words in ((tmp_path / "none", "is not a folder"), (tmp_path, "A3, Fs4")):
        found = asked(out, "--drumkits", kits, "--notes", folder)
        assert found.exit_code == 1
        assert words in found.output
    (kits / "My Kit 1.0" / "drumkit.xml").write_text("<kit>")
    found = asked(out, "--drumkits", kits)
    assert "is not the description of a kit" in found.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kits"]


def test_a_folder_that_exists_is_kept(tmp_path, kits):
    found = asked(tmp_path, "--drumkits", kits)
    assert found.exit_code == 1
    assert "exists: give a folder that does not" in found.output
    found = asked(tmp_path / "out", "--drumkits", kits)
    assert found.output.strip() == f"{tmp_path / 'out'}: 7 drums"


def syllable(pitch: float, seconds: float = 0.4) -> np.ndarray:
    """Return a hiss, as of an s, and a buzz with a formant at 700 Hz, as of an a."""
    rng = np.random.default_rng(0)
    n = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    levels = [(k, 1 / (1 + ((k * hz - 700) / 150) ** 2)) for k in range(1, 40)]
    buzz = sum(level * np.cos(2 * np.pi * k * hz * n) for k, level in levels)
    hiss = 0.05 * rng.standard_normal(RATE_HZ // 8)
    return np.concatenate([np.zeros(2000), hiss, 0.2 * buzz, np.zeros(4000)])


def test_spoken_syllables_are_sung(tmp_path):
    speech = tmp_path / "speech"
    for speaker, pitch, count in (("anna", 57, 13), ("too_few", 50, 4)):
        (speech / speaker / "syllables").mkdir(parents=True)
        for number in range(count):
            sound = syllable(pitch + number % 3, 0.3 + 0.02 * number)
            soundfile.write(speech / speaker / "syllables" / f"{number}.wav", sound, RATE_HZ)
    found = gather(tmp_path / "out", speech=[speech])
    assert found == {"vocals": 51}  # 17 notes, three times
    (anna,) = Recordings(tmp_path / "out").instruments["vocals"]
    assert anna.title == "anna"
    assert len(anna.recordings) > 35
    assert {round(recording.pitch) for recording in anna.recordings} >= set(range(55, 70))
    again = gather(tmp_path / "again", speech=[speech])
    assert again == found
    one, two = (tmp_path / name / "INDEX.csv" for name in ("out", "again"))
    assert one.read_text() == two.read_text()


def test_a_sung_syllable_keeps_its_formant_and_has_the_length_of_the_note():
    note = sung(np.random.default_rng(1), syllable(57), 64, 1.5)
    assert note is not None
    assert note.size / RATE_HZ == pytest.approx(1.5 + 0.125 + 0.06 + 6000 / RATE_HZ, abs=0.15)
    held = note[RATE_HZ // 2 : RATE_HZ]
    assert pitch_near(held, 64) == pytest.approx(64, abs=0.7)  # within its vibrato
    power = np.abs(np.fft.rfft(held * np.hanning(held.size))) ** 2
    hz = np.fft.rfftfreq(held.size, 1 / RATE_HZ)
    assert (hz * power).sum() / power.sum() == pytest.approx(700, rel=0.2)


def test_what_has_no_vowel_is_not_sung():
    hiss = 0.1 * np.random.default_rng(0).standard_normal(RATE_HZ // 2)
    assert spoken_pitch(hiss) is None or sung(np.random.default_rng(0), hiss, 60, 1.0) is None
    assert spoken_pitch(np.zeros(500)) is None
    assert sung(np.random.default_rng(0), np.zeros(500), 60, 1.0) is None


def test_two_folders_of_recordings_play_together(tmp_path, kits, notes):
    gather(tmp_path / "one", [kits], [])
    gather(tmp_path / "two", [], [notes])
    recordings = Recordings(tmp_path / "one", tmp_path / "two")
    assert (list(recordings.kits), list(recordings.instruments)) == (["drums"], ["flute"])


def test_a_file_that_is_no_soundfont_is_explained(tmp_path):
    (tmp_path / "a.sf2").write_bytes(b"RIFF1234WAVE")
    with pytest.raises(StemsteerError, match="is not a soundfont"):
        SoundFont.of_file(tmp_path / "a.sf2")
    words = ["--out", str(tmp_path / "out"), "--hours", "0.01", "--soundfont"]
    found = CliRunner().invoke(commands.app(render), [*words, str(tmp_path / "b.sf2")])
    assert found.exit_code == 1
    assert "No such file" in found.output
