"""The evaluation by timbre, on songs that the test makes."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models_onnx.data.sets.shards import INDEX
from models_onnx.data.stems import pan_gains
from models_onnx.evaluation import timbre_scenes
from models_onnx.evaluation.by_timbre import evaluate, main, measure, separated
from models_onnx.evaluation.coded import CODECS, coded
from models_onnx.evaluation.timbre_scenes import TimbreScene, made_scenes, real_songs
from models_onnx.evaluation.timbre_ways import Question, again, questions, ways_off
from models_onnx.export.command import main as export_main
from models_onnx.export.gains import main as gains_main
from models_onnx.networks import registry
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_task import TimbreTask
from realtime.encoder import LONGEST_S
from realtime.errors import StemsteerError
from realtime.model import load_model
from tests.support.commands import onnx_command
from tests.support.timbres import FAMILIES, RATE_HZ, Songs, sound
from tests.support.unets import unet_file

INSTRUMENTS = {"01": "drum set", "02": "electric bass", "03": "male singer"}
BANDS = {"01": "drums", "02": "bass", "03": "vocals"}


def write_songs(folder: Path, seconds: float = 2.0) -> Path:
    """Write two songs in the layout of MedleyDB's excerpts."""
    for seed, song in enumerate(("One", "Two")):
        lines = ["stems:"]
        for number, instrument in INSTRUMENTS.items():
            rng = np.random.default_rng([seed, int(number)])
            mono = sound(rng, BANDS[number], int(seconds * RATE_HZ)).astype(np.float32)
            place = folder / song / f"stem_{number}.flac"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, np.stack([mono, mono], 1), RATE_HZ)
            lines += [f"  S{number}:", f"    instrument: {instrument}"]
        (folder / song / "METADATA.yaml").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network, spec, about = registry.build("timbre", "tiny")
    folder = tmp_path_factory.mktemp("run")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), about).save(folder)
    command = ["timbre", "--checkpoint", str(folder), "--out", str(folder / "steer.onnx")]
    assert onnx_command(export_main, *command).exit_code == 0
    return folder / "steer.onnx"


def test_real_songs_are_the_sums_of_their_stems_by_class(songs: Path) -> None:
    one, two = real_songs(songs)
    assert one.classes == two.classes == ("drums", "bass", "vocals")
    assert np.allclose(one.mixture, one.images.sum(0))
    assert one.judged() == [0, 1, 2]
    clip = one.clip("vocals", 0)
    correlation = [
        np.abs(np.correlate(s.images[2][0], clip[0][:20_000], "valid")).max() for s in (one, two)
    ]
    assert correlation[1] > 5 * correlation[0], "an example is of the other song"
    assert one.clip("violin", 0) is None


@pytest.mark.parametrize("codec", CODECS)
def test_a_coded_mixture_is_in_time_and_nearly_the_same(songs: Path, codec: str) -> None:
    scene = real_songs(songs)[0]
    mixture = coded(scene, codec).mixture
    assert mixture.shape == scene.mixture.shape
    assert mixture.dtype == np.float32
    difference = np.square(mixture - scene.mixture).sum() / np.square(scene.mixture).sum()
    assert 1e-5 < difference < 0.1, "a delay of one sample makes it 0.4"


def write_named(folder: Path, songs: Path) -> Path:
    """Write the stems of songs as <song>/<instrument>.wav, and a mix that is none of them."""
    for scene in real_songs(songs):
        (folder / scene.name).mkdir(parents=True)
        for name, audio in zip(
            ("mix", *scene.classes), (scene.mixture, *scene.images), strict=True
        ):
            soundfile.write(folder / scene.name / f"{name}.wav", audio.T, RATE_HZ, subtype="FLOAT")
    return folder


def test_stems_that_are_named_by_instruments_are_the_songs_that_they_are_of(
    songs: Path, tmp_path: Path
) -> None:
    folder = write_named(tmp_path, songs)
    short = folder / "Two" / "second bass.wav"
    soundfile.write(short, np.full((1000, 2), 0.01, np.float32), RATE_HZ, subtype="FLOAT")
    one, two = real_songs(folder)
    same, other = real_songs(songs)
    assert (one.name, two.name) == (same.name, other.name)
    for found, expected in ((one, same), (two, other)):
        assert sorted(found.classes) == sorted(expected.classes)
        for name in found.classes:
            image = found.images[found.classes.index(name)]
            difference = image - expected.images[expected.classes.index(name)]
            added = 0.01 if found is two and name == "bass" else 0.0
            assert np.allclose(difference[:, :1000], added, atol=1e-6)
            assert np.allclose(difference[:, 1000:], 0, atol=1e-6)
    assert one.clip("vocals", 0) is not None


def test_named_stems_stand_where_their_song_has_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "One").mkdir()
    for name, azimuth_deg in (("bass", -30.0), ("vocals", 20.0)):
        mono = sound(rng, name, RATE_HZ).astype(np.float32)
        sides = np.outer(mono, pan_gains(azimuth_deg))
        soundfile.write(tmp_path / "One" / f"{name}.wav", sides, RATE_HZ)
    (scene,) = real_songs(tmp_path)
    places = {name: scene.azimuth_deg(k) for k, name in enumerate(scene.classes)}
    assert places == pytest.approx({"bass": -30.0, "vocals": 20.0}, abs=0.5)


def test_named_stems_are_judged_by_the_command(songs: Path, model: Path, tmp_path: Path) -> None:
    folder = write_named(tmp_path / "named", songs)
    words = ("--model", str(model), "--real", str(folder), "--by", "name")
    result = asked(*words, "--out", str(tmp_path / "rows.json"))
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "rows.json").read_text())
    named = [row for row in rows if row["system"] == "name" and not row["absent"]]
    assert {row["instrument"] for row in named} == {"drums", "bass", "vocals"}
    assert len(named) == 6


def test_what_is_no_folder_of_songs_is_said(
    songs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    nobody = tmp_path / "nobody" / "song"
    nobody.mkdir(parents=True)
    for number in range(2):
        noise = np.random.default_rng(number).normal(0, 0.1, 20_000)
        soundfile.write(nobody / f"stem_0{number}.wav", noise, RATE_HZ)
    for folder, told in (
        ("missing", "missing is not a folder"),
        ("empty", "empty has no <song>/METADATA.yaml"),
        ("empty", "<song>/<stem>.wav"),
        ("shards", "holds songs of the renderer: give it as --data"),
        ("nobody", "nothing to judge: in no song do two different instruments sound"),
    ):
        result = asked("--model", str(model), "--real", str(tmp_path / folder))
        assert result.exit_code == 1
        assert told in result.output
    monkeypatch.setattr(timbre_scenes, "MOST_STEMS_S", 0.5)
    with pytest.raises(StemsteerError, match="minutes of stems, expected at most"):
        real_songs(tmp_path / "nobody")


def write_shards(folder: Path) -> Path:
    """Write songs as the renderer does."""
    lines = []
    for number in range(3):
        sources = Songs(3, 2.0).sources(number)
        stems = np.stack([s.read(0, s.samples) for s in sources])
        np.save(folder / f"{number}.npy", np.rint(stems * 32767).astype(np.int16))
        labels = [
            {"class": s.label.name, "family": FAMILIES[s.label.name], "role": ""} for s in sources
        ]
        lines.append({"file": f"{number}.npy", "seed": number, "samples": stems.shape[2],
                      "stems": labels})  # fmt: skip
    (folder / INDEX).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("produced", [True, False])
def test_made_scenes_are_the_same_for_a_seed(tmp_path: Path, produced: bool) -> None:
    folder = write_shards(tmp_path)
    one, same, other = (
        made_scenes(folder, 3, 1.0, produced=produced, seed=seed) for seed in (0, 0, 1)
    )
    assert len(one) == 3
    assert all(np.array_equal(a.mixture, b.mixture) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0].mixture, other[0].mixture)
    assert np.allclose(one[0].images.sum(0), one[0].mixture, atol=1e-5)
    assert np.array_equal(one[0].clip("bass", 1), same[0].clip("bass", 1))
    told = {measure("mix", s, 0, "bass", s.mixture).song for s in (*one, *other)}
    assert told == {"song 1", "song 2"}, "six scenes are of two of the songs"


def test_the_true_source_gains_what_the_mixture_lacks(songs: Path) -> None:
    scene = real_songs(songs)[0]
    perfect = measure("true", scene, 1, "bass", scene.images[1])
    nothing = measure("mix", scene, 1, "bass", scene.mixture)
    assert perfect.gain_db > 60
    assert nothing.gain_db == pytest.approx(0, abs=1e-6)
    assert perfect.level_difference_error_db == pytest.approx(0, abs=1e-6)
    absent = measure("name", scene, -1, "organ", scene.mixture * 0.1)
    assert perfect.song == absent.song == "One"
    assert absent.level_db == pytest.approx(-20, abs=1e-3)
    assert np.isnan(absent.gain_db)


def test_every_way_of_asking_is_in_the_table(songs: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = ["--model", str(model), "--real", str(songs), "--out", str(out)]
    result = asked(*command)
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())
    found = {row["system"] for row in rows}
    assert found == {"direction", "name", "together", "query", "few", "few, against", "both",
                     "learned", "iterative", "true", "mix", "mix/N", "panorama",
                     "oracle"}  # fmt: skip
    for system in found:
        own = [r for r in rows if r["system"] == system and not r["absent"]]
        assert {r["instrument"] for r in own} == {"drums", "bass", "vocals"}
        assert len(own) == 6
    gains = {s: np.mean([r["gain_db"] for r in rows if r["system"] == s and not r["absent"]])
             for s in found}  # fmt: skip
    assert gains["mix"] == pytest.approx(0, abs=1e-6)
    assert gains["oracle"] > 5
    absent = {row["instrument"] for row in rows if row["absent"]}
    assert "violin" in absent
    assert "drums" not in absent
    assert "not there" in result.output


def test_one_way_may_be_asked_for_and_an_unknown_one_is_named(songs: Path, model: Path) -> None:
    command = ["--model", str(model), "--real", str(songs), "--by", "name"]
    result = asked(*command, "--codec", "mp3")
    assert result.exit_code == 0, result.output
    assert "query" not in result.output
    result = asked(*command, "--codec", "wma")
    assert "--codec wma: expected mp3 or ogg" in result.output
    result = asked(*command, "--by", "smell")
    assert result.exit_code == 1
    assert "--by smell" in result.output
    result = asked("--model", "panorama", "--real", str(songs))
    assert "takes no timbre" in result.output


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a model that is told names, and has no encoder."""
    return unet_file(tmp_path_factory.mktemp("named"), "activity")


def test_a_model_without_an_encoder_is_asked_by_names(
    songs: Path, named: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.json"
    result = asked("--model", str(named), "--real", str(songs), "--out", str(out))
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())
    assert {r["system"] for r in rows} == {"name", "together", "mix", "mix/N", "panorama", "oracle"}
    by_name = [r for r in rows if r["system"] == "name" and not r["absent"]]
    assert {r["instrument"] for r in by_name} == {"drums", "bass", "vocals"}
    found = onnx_command(gains_main, named, "--measured", out)
    assert found.exit_code == 0, found.output
    assert set(load_model(named).spec.gains_db["live"]) == {"drums", "bass", "vocals"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--by", "query"),
            "--by query: MODEL takes no examples, it can be asked by name, together",
        ),
        (("--by", "name", "--by", "few, against"), "--by few, against: MODEL takes no examples"),
        (
            ("--by", "both"),
            "--by both: MODEL takes no direction, it can be asked by name, together",
        ),
        (("--off", "4"), "--off: MODEL takes no direction"),
        (("--encoder", "listen"), "MODEL is told names alone: leave out --encoder"),
    ],
)
def test_what_a_model_without_an_encoder_cannot_be_asked_is_said(
    songs: Path, named: Path, words: tuple[str, ...], told: str
) -> None:
    result = asked("--model", str(named), "--real", str(songs), *words)
    assert result.exit_code == 1
    assert told.replace("MODEL", str(named)) in result.output


def test_songs_without_the_instruments_of_a_model_are_said(songs: Path, tmp_path: Path) -> None:
    model = unet_file(tmp_path, "label-none")
    result = asked("--model", str(model), "--real", str(songs))
    assert result.exit_code == 1
    assert "the songs have none, but bass, drums, vocals" in result.output


def test_a_class_without_a_name_in_the_model_is_asked_for_in_other_ways(
    songs: Path, model: Path
) -> None:
    scene = real_songs(songs)[0]
    strange = replace(scene, classes=("theremin", *scene.classes[1:]))
    found = questions(load_model(model), None, strange, ["direction", "name"])
    assert [q.way for q in found if q.index == 0] == ["direction"]
    assert [q.way for q in found if q.index == 1] == ["direction", "name"]


asked = partial(onnx_command, main)


def test_what_was_separated_is_heard_and_asked_for_again() -> None:
    class Ear:
        def encode(self, clip: np.ndarray) -> np.ndarray:
            if not clip.any():
                raise ValueError("silent")
            heard.append(clip)
            return np.array([1.0, 0.0], np.float32)

        def encode_separated(self, target: np.ndarray, residual: np.ndarray) -> np.ndarray:
            assert np.allclose(target + residual, 0.75)
            return self.encode(target)

    heard: list[np.ndarray] = []
    nothing = np.zeros(2, np.float32)
    asked = [
        Question("direction", 0, "bass", (10.0, 20.0), nothing, nothing),
        Question("direction", 1, "drums", (0.0, 20.0), nothing, nothing),
        Question("query", 0, "bass", (0.0, 90.0), nothing, nothing),
    ]
    estimates = np.zeros((3, 2, 4 * RATE_HZ), np.float32)
    estimates[0, :, 2 * RATE_HZ :] = 0.5
    estimates[2] = 0.1
    images = np.zeros((2, 2, 4 * RATE_HZ), np.float32)
    images[0, :, int(1.5 * RATE_HZ) : int(3.5 * RATE_HZ)] = 0.2
    mixture = np.full((2, 4 * RATE_HZ), 0.75, np.float32)
    scene = TimbreScene("s", mixture, ("bass", "drums"), images, lambda name, number: None)
    more = again(Ear(), scene, asked, estimates, ("direction", "learned", "iterative"))
    assert [(q.way, q.index, q.direction) for q in more] == [
        ("learned", 0, (0.0, 90.0)),
        ("iterative", 0, (0.0, 90.0)),
    ]
    expected = estimates[0, :, int(1.5 * RATE_HZ) : int(3.5 * RATE_HZ)]
    assert np.array_equal(heard[0], expected), "the two seconds in which the source is loudest"
    assert heard[1].shape == (2, 4 * RATE_HZ)


def test_of_a_long_song_the_loudest_stretch_is_heard_and_silence_is_not_asked_for(
    songs: Path, model: Path
) -> None:
    class Ear:
        def encode(self, clip: np.ndarray) -> np.ndarray:
            if not clip.any() or clip.shape[1] > LONGEST_S * RATE_HZ:
                raise ValueError("silent, or too long")
            return np.full(8, 8**-0.5, np.float32)

    late = np.zeros((2, 2, 64 * RATE_HZ), np.float32)
    late[:, :, 40 * RATE_HZ :] = np.random.default_rng(0).normal(0, 0.1, late[..., :1].shape)
    scene = TimbreScene("s", late.sum(0), ("bass", "drums"), late, lambda *_: 0 * late[0])
    asked = questions(load_model(model), Ear(), scene, ["true", "query"])
    assert [(q.way, q.index) for q in asked] == [("true", 0), ("true", 1)]
    once = [replace(question, way="query") for question in asked]
    more = again(Ear(), scene, once, late, ["iterative"])
    assert [q.index for q in more] == [0, 1]


def test_questions_are_streamed_side_by_side(songs: Path, model: Path) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    vectors = [np.array(loaded.spec.classes[n], np.float32) for n in ("bass", "drums")]
    nothing = np.zeros(8, np.float32)
    asked = [Question("name", 0, "", (0.0, 90.0), v, nothing) for v in vectors]
    both = separated(loaded, "live", scene.mixture, asked)
    alone = separated(loaded, "live", scene.mixture, asked[1:])
    assert both.shape == (2, 2, scene.mixture.shape[1])
    assert np.allclose(both[1], alone[0], atol=1e-5)


class Deaf:
    """An encoder that hears nothing in anything."""

    def encode(self, clip: np.ndarray) -> np.ndarray:
        return np.zeros(8, np.float32)


def test_of_a_scene_without_a_class_to_judge_only_absent_ones_are_measured(
    songs: Path, model: Path
) -> None:
    scene = real_songs(songs)[0]
    alone = replace(scene, classes=("drums",), images=scene.images[:1], mixture=scene.images[0])
    assert alone.judged() == []
    rows = list(evaluate(load_model(model), "live", Deaf(), [alone], ["name"]))
    assert rows
    assert all(row.absent for row in rows)


def test_directions_that_are_off_are_ways_of_their_own(songs: Path, model: Path) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    off = ways_off([4.0])
    assert list(off) == ["direction, 4° off", "both, 4° off"]

    ways = ["direction", "both", *off]
    asked = questions(loaded, Deaf(), scene, ways, off)
    by_way = {way: [q for q in asked if q.way == way] for way in ways}
    for way, (called, off_deg) in off.items():
        for right, wrong in zip(by_way[called], by_way[way], strict=True):
            assert abs(wrong.direction[0] - right.direction[0]) == pytest.approx(off_deg)
            assert wrong.direction[1] == right.direction[1]
            assert np.array_equal(wrong.timbre, right.timbre)
    sides = {q.direction[0] > 0 for q in by_way["direction, 4° off"]}
    assert sides == {True, False}, "all stand in the middle: to the left and to the right in turn"


def test_a_direction_alone_is_answered_as_if_no_timbre_were_asked_beside_it(
    songs: Path, model: Path
) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    nothing = np.zeros(8, np.float32)
    named = np.array(loaded.spec.classes["bass"], np.float32)
    alone = Question("direction", 0, "", (10.0, 20.0), nothing, nothing)
    beside = Question("name", 0, "", (0.0, 90.0), named, nothing)
    both = separated(loaded, "live", scene.mixture, [beside, alone])
    assert np.array_equal(both[1], separated(loaded, "live", scene.mixture, [alone])[0])
    assert not np.array_equal(both[0], both[1])


def test_the_table_has_directions_that_are_off(songs: Path, model: Path) -> None:
    command = ["--model", str(model), "--real", str(songs), "--by", "direction", "--off", "8"]
    result = asked(*command)
    assert result.exit_code == 0, result.output
    assert "both, 8° off" in " ".join(result.output.replace("│", " ").split())
