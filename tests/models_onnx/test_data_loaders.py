"""Public data sets: a tiny folder in each layout is read as sources like those of the shards."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile
import yaml

from models_onnx.data import draw
from models_onnx.data.collections import open_collection
from models_onnx.data.naming import label_of, label_of_program
from models_onnx.data.sets.loaders import StemFolders
from models_onnx.data.stems import image
from realtime.errors import StemsteerError
from tests.support.aac import write_aac

RATE_HZ = 44_100


def sound(seed: int, gains=(1.0, 1.0), rate_hz: int = RATE_HZ) -> np.ndarray:
    mono = np.random.default_rng(seed).normal(0, 0.05, rate_hz).astype(np.float32)
    return np.outer(np.array(gains, np.float32), mono)


def write(path, audio: np.ndarray, rate_hz: int = RATE_HZ) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, rate_hz)


def musdb18(root):
    (root / "train").mkdir()
    write_aac(root / "train" / "A - B.stem.mp4", [sound(k) for k in range(5)])
    return "MUSDB18", [["drums", "bass", "other", "vocals"]]


def musdb18_hq(root):
    for name in ("mixture", "drums", "bass", "other", "vocals"):
        write(root / "train" / "A - B" / f"{name}.wav", sound(1))
        write(root / "test" / "C - D" / f"{name}.wav", sound(2))
    return "songs", [["bass", "drums", "other", "vocals"]]


def slakh(root):
    entries = {
        "S00": {"is_drum": False, "program_num": 40, "audio_rendered": True},
        "S01": {"is_drum": True, "program_num": 0, "audio_rendered": True},
        "S02": {"is_drum": False, "program_num": 0, "audio_rendered": False},
    }
    track = root / "train" / "Track00001"
    for name in ("S00", "S01"):
        write(track / "stems" / f"{name}.flac", sound(3)[:1])
    (track / "metadata.yaml").write_text(yaml.dump({"UUID": "x", "stems": entries}))
    return "Slakh2100", [["violin", "drums"]]


def medleydb(root):
    song = root / "Audio" / "Band_Song"
    entries = {}
    for number, instrument in enumerate(("female singer", "distorted electric guitar"), 1):
        name = f"Band_Song_STEM_{number:02}.wav"
        write(song / "Band_Song_STEMS" / name, sound(number))
        entries[f"S{number:02}"] = {"filename": name, "instrument": instrument}
    (song / "Band_Song_METADATA.yaml").write_text(yaml.dump({"stems": entries}))
    write(song / "Band_Song_MIX.wav", sound(9))
    return "MedleyDB", [["vocals", "guitar"]]


def urmp(root):
    song = root / "Dataset" / "01_Jupiter_vn_vc"
    write(song / "AuSep_1_vn_01_Jupiter.wav", sound(1, (1.0,), 48_000), 48_000)
    write(song / "AuSep_2_vc_01_Jupiter.wav", sound(2, (1.0,), 48_000), 48_000)
    write(song / "AuMix_01_Jupiter_vn_vc.wav", sound(3, (1.0,), 48_000), 48_000)
    return "URMP", [["violin", "cello"]]


def solos(root):
    for number, name in enumerate(("Violin", "DoubleBass", "Horn")):
        write(root / name / "abc.wav", sound(number, (1.0,)))
    songs = [["double_bass", "horn", "violin"]] * 3
    return "Solos", songs


def songs(root):
    for name in ("lead_guitar", "kick", "Piano"):
        write(root / "My song" / f"{name}.wav", sound(1, (1.0, 0.2)))
    write(root / "My song" / "mix.wav", sound(1))
    return "songs", [["piano", "drums", "guitar"]]


LAYOUTS = (musdb18, musdb18_hq, slakh, medleydb, urmp, solos, songs)


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_a_data_set_is_told_by_its_layout_and_gives_labelled_sources(make, tmp_path):
    layout, classes = make(tmp_path)
    collection = open_collection(tmp_path)
    assert isinstance(collection, StemFolders)
    assert collection.layout == layout
    assert len(collection) == len(classes)
    for index, expected in enumerate(classes):
        sources = collection.sources(index)
        assert sorted(s.label.name for s in sources) == sorted(expected)
        for source in sources:
            assert abs(source.samples - RATE_HZ) < 4096
            stem = source.read(1000, 20_000)
            assert stem.shape == (3, 20_000)
            assert stem.dtype == np.float32
            assert np.sqrt((image(stem, 0.0) ** 2).mean()) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_scenes_can_be_drawn_from_every_layout(make, tmp_path):
    make(tmp_path)
    collection = open_collection(tmp_path)
    for seed in range(3):
        scene = draw(np.random.default_rng(seed), collection.sources(0), 0.5)
        np.testing.assert_allclose(scene.mixture, scene.images.sum(0), atol=1e-5)


def test_a_stem_that_stands_to_one_side_is_turned_to_the_centre(tmp_path):
    songs(tmp_path)
    guitar = open_collection(tmp_path).sources(0)[2]
    stem = guitar.read(0, 40_000)
    assert np.abs(stem[1:]).max() < 1e-3 * np.abs(stem[0]).max()


def test_the_test_part_of_a_data_set_is_not_trained_on_unless_it_is_named(tmp_path):
    musdb18_hq(tmp_path)
    train = open_collection(tmp_path).songs[0][0].path
    test = open_collection(tmp_path / "test").songs[0][0].path
    assert (train.parts[-3], test.parts[-3]) == ("train", "test")


def _songs_read(folder, part):
    return [song[0].path.parent.name for song in open_collection(folder, part=part).songs]


def test_one_training_song_in_ten_is_for_validation_where_no_folder_is(tmp_path):
    names = [f"{k:02}" for k in range(12)]
    for name in names:
        for stem in ("bass", "drums"):
            write(tmp_path / "train" / name / f"{stem}.wav", sound(0)[:, :100])
    assert _songs_read(tmp_path, "validation") == ["01", "11"]
    assert _songs_read(tmp_path, "train") == [n for n in names if n not in ("01", "11")]
    assert _songs_read(tmp_path / "train", "train") == names
    for stem in ("bass", "drums"):
        write(tmp_path / "validation" / "other" / f"{stem}.wav", sound(0)[:, :100])
    assert _songs_read(tmp_path, "validation") == ["other"]
    assert _songs_read(tmp_path, "train") == names


@pytest.mark.parametrize(
    ("made", "part"), [("train", "test"), ("test", "train"), ("train", "validation")]
)
def test_a_part_that_a_data_set_lacks_is_named(made, part, tmp_path):
    for stem in ("bass", "drums"):
        write(tmp_path / made / "song" / f"{stem}.wav", sound(0)[:, :100])
    with pytest.raises(StemsteerError, match=f"no songs for {part}, only for {made}: add"):
        open_collection(tmp_path, part=part)


def test_folders_in_no_layout_are_told_what_is_expected(tmp_path):
    with pytest.raises(StemsteerError, match="not a folder"):
        open_collection(tmp_path / "missing")
    with pytest.raises(StemsteerError, match=r"(?s)Expected one of.*MUSDB18.*Slakh.*URMP"):
        open_collection(tmp_path)
    write(tmp_path / "song" / "only.wav", sound(0))
    with pytest.raises(StemsteerError, match="two stems or more"):
        open_collection(tmp_path)


def test_a_stem_that_is_listed_but_missing_is_named(tmp_path):
    slakh(tmp_path)
    (tmp_path / "train" / "Track00001" / "stems" / "S01.flac").unlink()
    with pytest.raises(StemsteerError, match=r"S01\.wav \(or \.flac\) is missing"):
        open_collection(tmp_path)


def test_metadata_without_stems_is_explained(tmp_path):
    slakh(tmp_path)
    for text in ("tracks: 3", "stems: [", "[]"):
        (tmp_path / "train" / "Track00001" / "metadata.yaml").write_text(text)
        with pytest.raises(StemsteerError, match="a map called stems"):
            open_collection(tmp_path)


def test_an_urmp_file_without_an_instrument_is_explained(tmp_path):
    urmp(tmp_path)
    write(tmp_path / "Dataset" / "01_Jupiter_vn_vc" / "AuSep_3_xx_01_Jupiter.wav", sound(0))
    with pytest.raises(StemsteerError, match=r"AuSep_<n>_<code>"):
        open_collection(tmp_path)


def test_a_musdb_file_with_too_few_streams_is_explained(tmp_path):
    write_aac(tmp_path / "A - B.stem.mp4", [sound(0), sound(1)])
    with pytest.raises(StemsteerError, match="2 audio streams, stream 2 is wanted"):
        open_collection(tmp_path).sources(0)


def shards(root):
    root.mkdir(parents=True, exist_ok=True)
    np.save(root / "0.npy", np.ones((1, 3, 100), np.int16))
    entry = {"file": "0.npy", "seed": 0, "samples": 100, "stems": [{"class": "piano", "role": ""}]}
    (root / "index.jsonl").write_text(json.dumps(entry) + "\n")


def test_a_folder_of_shards_is_opened_as_shards(tmp_path):
    shards(tmp_path)
    assert open_collection(tmp_path).sources(0)[0].label.name == "piano"


@pytest.mark.parametrize(
    ("make", "file"), [(songs, "My song/Piano.wav"), (shards, "0.npy")], ids=["songs", "shards"]
)
def test_songs_are_told_from_others_by_their_files(make, file, tmp_path):
    folder, file = tmp_path / "songs", tmp_path / "songs" / file
    make(folder)
    first = open_collection(folder).origin
    assert open_collection(folder).origin == first
    shutil.copytree(folder, tmp_path / "more" / "songs")  # with the times of the files
    assert open_collection(tmp_path / "more" / "songs").origin != first
    os.utime(file, (1, 1))
    changed = open_collection(folder).origin
    with file.open("ab") as end:
        end.write(b"longer")
    os.utime(file, (1, 1))
    assert len({first, changed, open_collection(folder).origin}) == 3


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("electric bass", "bass"),
        ("Double Bass", "double_bass"),
        ("bass clarinet", "clarinet"),
        ("bass drum", "drums"),
        ("french horn", "horn"),
        ("horn section", "brass"),
        ("violin section", "strings"),
        ("electric piano", "keys"),
        ("tenor saxophone", "saxophone"),
        ("harpsichord", "keys"),
        ("flute", "flute"),
        ("lute", "guitar"),
        ("harmonium", "organ"),
        ("male rapper", "vocals"),
        ("theremin", "other"),
    ],
)
def test_the_words_for_instruments_lead_to_their_class(words, name):
    assert label_of(words).name == name


def test_general_midi_programs_lead_to_classes():
    names = [label_of_program(p).name for p in (0, 40, 43, 60, 71, 47, 100)]
    assert names == ["piano", "violin", "double_bass", "horn", "clarinet", "percussion", "fx"]
    assert label_of_program(0, is_drum=True).name == "drums"
