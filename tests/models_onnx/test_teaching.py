"""Voices and accompaniments out of finished mixes: where a teacher is sure, and what is written."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.data.collections import open_collection
from models_onnx.data.rendering import render as rendering
from models_onnx.data.sets.shards import INDEX
from models_onnx.data.sources import Pool, Source
from models_onnx.data.stems import RATE_HZ, Label, image
from models_onnx.data.teaching import commands as teaching
from models_onnx.data.teaching import stretches
from models_onnx.data.teaching.certainty import LOOK, SURE, look_at
from models_onnx.data.teaching.mixes import find_mixes
from models_onnx.data.teaching.stretches import FEWEST, MOST, load_teacher, weight_of
from models_onnx.data.teaching.teach import DONE, Taught, teach
from realtime.errors import StemsteerError
from tests.support.fakes import STUDIO, FakeModel, fake_spec

SPEC = fake_spec(tiers={"offline": STUDIO}, conditions={}, targets=("vocals",), name="divider")
SPLIT = 120  # bin of 1024 above which the voice is: 5 kHz


def divider(doubt=0.0):
    """A teacher that takes what is high for the voice, with a doubt of 0 to 0.5."""

    def rule(frames, spectrum, conditions):
        return np.where(np.arange(spectrum.shape[2]) >= SPLIT, 1 - doubt, doubt)

    return FakeModel(rule, SPEC)


def band(low_hz, high_hz, seconds, seed=0):
    """Noise (2, samples) of a band, a little to the left."""
    samples = round(seconds * RATE_HZ)
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    noise[(hz < low_hz) | (hz > high_hz)] = 0
    mono = np.fft.irfft(noise, samples)
    return (0.1 * mono / mono.std() * np.array([[1.0], [0.8]])).astype(np.float32)


def band_song(seconds=8.0):
    """An accompaniment throughout, a voice in the second half: both (2, samples)."""
    accompaniment, voice = band(100, 3000, 2 * seconds), band(8000, 12000, 2 * seconds, seed=1)
    voice[:, : voice.shape[1] // 2] = 0
    return accompaniment, voice


def write_song(path, *sounds):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sum(sounds).T, RATE_HZ, subtype="FLOAT")
    return path


def taught(folder, out, teacher=None):
    return list(teach(find_mixes(folder)[0], out, teacher or divider()))


def index_of(out):
    return [json.loads(line) for line in (out / INDEX).read_text().splitlines()]


def correlation(one, other):
    return float((one * other).sum() / np.sqrt(np.square(one).sum() * np.square(other).sum()))


def test_sure_stretches_become_songs_that_training_reads(tmp_path):
    accompaniment, voice = band_song()
    write_song(tmp_path / "songs" / "one.wav", accompaniment, voice)
    (found,) = taught(tmp_path / "songs", tmp_path / "out")
    assert isinstance(found, Taught)
    songs = open_collection(tmp_path / "out")
    kinds = [{s.label.name for s in songs.sources(k)} for k in range(len(songs))]
    assert kinds == [{"accompaniment"}, {"vocals", "accompaniment"}]
    for k, entry in enumerate(index_of(tmp_path / "out")):
        start = round(entry["start_s"] * RATE_HZ)
        for source in songs.sources(k):
            assert 0.9 < source.weight <= 1
            true = voice if source.label.name == "vocals" else accompaniment
            part = true[:, start : start + source.samples]
            assert correlation(image(source.read(0, source.samples), 0.0), part) > 0.98
    assert found.vocals_s == pytest.approx(songs.sources(1)[0].samples / RATE_HZ, abs=0.1)
    assert 6 < found.vocals_s < 9 < found.accompaniment_s < 16


def test_a_teacher_in_doubt_gives_nothing_and_the_song_counts_as_done(tmp_path):
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    (found,) = taught(tmp_path / "songs", tmp_path / "out", divider(doubt=0.4))
    assert (found.vocals_s, found.accompaniment_s) == (0, 0)
    assert index_of(tmp_path / "out") == []
    assert taught(tmp_path / "songs", tmp_path / "out", divider(doubt=0.4)) == []


@pytest.mark.parametrize("doubt", [0.0, 0.1, 0.3, 0.5])
def test_purity_is_the_share_that_a_mask_claims(doubt):
    mixture = band(100, 15_000, LOOK / RATE_HZ)
    look = look_at(mixture, mixture * np.float32(1 - doubt))
    assert look.voice == pytest.approx(1 - doubt, abs=1e-3)
    if doubt:
        assert look.accompaniment == pytest.approx(doubt, abs=1e-3)
        assert look.accompaniment_db == pytest.approx(20 * np.log10(doubt), abs=0.01)
    assert look.voice_db == pytest.approx(20 * np.log10(1 - doubt), abs=0.01)


def test_silence_is_nothing_to_learn_from():
    silence = np.zeros((2, LOOK), np.float32)
    assert look_at(silence, silence).sure == frozenset()


def test_a_stretch_ends_where_it_is_too_long_and_short_ones_are_left_out(tmp_path):
    seconds = LOOK / RATE_HZ
    long = band(100, 3000, (MOST + FEWEST) * seconds)
    short = band(100, 3000, (FEWEST - 1) * seconds, seed=3)
    write_song(tmp_path / "songs" / "long.wav", long)
    write_song(tmp_path / "songs" / "short.wav", short)
    taught(tmp_path / "songs", tmp_path / "out")
    assert [e["samples"] for e in index_of(tmp_path / "out")] == [MOST * LOOK, FEWEST * LOOK]


def test_weights_go_from_little_to_one_with_the_confidence():
    assert weight_of(SURE) == 0.05
    assert weight_of((1 + SURE) / 2) == 0.5
    assert weight_of(1.0) == 1.0


def test_a_run_that_was_stopped_goes_on_and_writes_nothing_twice(tmp_path):
    out = tmp_path / "out"
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    taught(tmp_path / "songs", out)
    before = (out / INDEX).read_text()
    (out / DONE).unlink()  # it was killed between the two files
    with (out / INDEX).open("a") as file:
        file.write('{"file": "ha')
    shutil.copy(tmp_path / "songs" / "one.wav", tmp_path / "songs" / "the same again.wav")
    assert len(taught(tmp_path / "songs", out)) == 1
    assert (out / INDEX).read_text() == before


@pytest.mark.parametrize("line", ["not json", '{"song": "one.wav"}', "[1]"])
def test_a_damaged_line_of_what_was_gone_through_is_named(tmp_path, line):
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / DONE).write_text(line + "\n")
    with pytest.raises(StemsteerError, match=r"taught\.jsonl, line 1 is no song that was gone"):
        taught(tmp_path / "songs", tmp_path / "out")


def test_a_broken_song_is_told_and_stops_no_other(tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.wav").write_bytes(b"no sound")
    write_song(tmp_path / "songs" / "b.wav", *band_song())
    broken, good = taught(tmp_path / "songs", tmp_path / "out")
    assert isinstance(broken, StemsteerError)
    assert "a.wav" in str(broken)
    assert good.vocals_s > 0


def test_stems_that_do_not_sum_to_the_mix_are_an_error(tmp_path, monkeypatch):
    def shifted(blocks, separator):
        for mixture, stems in aligned(blocks, separator):
            yield mixture, np.roll(stems, 1, axis=2)

    aligned = stretches.aligned_stems
    monkeypatch.setattr(stretches, "aligned_stems", shifted)
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    (found,) = taught(tmp_path / "songs", tmp_path / "out")
    assert "do not sum" in str(found)


def test_true_stems_are_left_to_be_trained_on_themselves(tmp_path):
    sound = band(100, 3000, 0.1)
    for name in ("a/mix.wav", "a/x.wav", "b/drums.wav", "b/bass.wav", "c/One.wav", "c/Two.wav",
                 "d/mix.wav", "top.wav"):  # fmt: skip
        write_song(tmp_path / name, sound)
    mixes, stems = find_mixes(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in mixes]
    assert names == ["top.wav", "c/One.wav", "c/Two.wav", "d/mix.wav"]
    assert [path.name for path in stems] == ["a", "b"]


def test_a_folder_without_sound_is_told(tmp_path):
    with pytest.raises(StemsteerError, match="holds no sound"):
        find_mixes(tmp_path)


def test_taught_and_rendered_songs_do_not_mix(tmp_path):
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    taught(tmp_path / "songs", tmp_path / "out")
    with pytest.raises(StemsteerError, match="taken out of finished mixes"):
        next(rendering.render(tmp_path / "out", 0.1))
    (tmp_path / "rendered").mkdir()
    line = '{"file": "1.npy", "seed": 1, "samples": 9, "stems": []}'
    (tmp_path / "rendered" / INDEX).write_text(line + "\n")
    with pytest.raises(StemsteerError, match="songs of the renderer"):
        taught(tmp_path / "songs", tmp_path / "rendered")


def test_a_song_of_little_weight_is_drawn_as_often_as_it_says():
    def songs(name, weight):
        class One:
            normalised = True

            def __len__(self):
                return 1

            def sources(self, index):
                label = Label(name, "voice")
                return [Source(label, 9, partial(np.zeros, (3, 9)), weight)]

        return One()

    pool = Pool([songs("vocals", 0.2), songs("choir", 1.0)], [1.0, 1.0])
    rng = np.random.default_rng(0)
    names = [pool.draw(rng)[0].label.name for _ in range(600)]
    assert names.count("vocals") / 600 == pytest.approx(0.2 / 1.2, abs=0.04)


def test_the_command_says_what_came_of_each_song_and_fails_if_one_did(tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "load_teacher", lambda name: divider())
    write_song(tmp_path / "songs" / "one.wav", *band_song())
    write_song(tmp_path / "songs" / "stems" / "drums.wav", band(100, 3000, 0.1))
    write_song(tmp_path / "songs" / "stems" / "vocals.wav", band(100, 3000, 0.1))
    command = partial(CliRunner().invoke, commands.app(teaching.main))
    done = command([str(tmp_path / "songs"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "one.wav: 8 s vocals, 15 s accompaniment" in done.output
    assert "stems: has true stems" in done.output
    (tmp_path / "songs" / "two.wav").write_bytes(b"no sound")
    done = command([str(tmp_path / "songs"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "two.wav" in done.output


def test_a_model_that_takes_no_voice_is_no_teacher():
    with pytest.raises(StemsteerError, match="models add spleeter"):
        load_teacher("panorama")
