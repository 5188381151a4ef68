"""Songs that models are judged on by timbre: real ones by their stems, and made ones."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from models_onnx.data.stems import pan_gains
from models_onnx.evaluation import timbre_scenes
from models_onnx.evaluation.by_timbre import measure
from models_onnx.evaluation.coded import CODECS, coded
from models_onnx.evaluation.timbre_scenes import made_scenes, real_songs
from realtime.errors import StemsteerError
from tests.support.timbre_songs import write_named, write_shards, write_songs
from tests.support.timbres import RATE_HZ, sound


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stems: [", "does not list stems"),
        ("stems: {}", "lists no stems"),
        ("stems: {S01: drums}", "stem S01 lacks all of its fields"),
        ("stems: {S01: {name: x}}", "the instrument of a stem is None, expected its name"),
        ("stems: {S09: {instrument: drum set}}", "stem_09.flac"),
    ],
)
def test_a_song_that_is_described_wrongly_is_named(tmp_path: Path, text: str, told: str) -> None:
    write_songs(tmp_path)
    (tmp_path / "Two" / "METADATA.yaml").write_text(text)
    with pytest.raises(StemsteerError, match="Two") as found:
        real_songs(tmp_path)
    assert told in str(found.value)


def test_a_stem_of_several_instruments_and_a_folder_that_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_songs(tmp_path)
    described = tmp_path / "Two" / "METADATA.yaml"
    text = described.read_text().replace("drum set", "[drum set, tambourine]")
    described.write_text(text)
    assert real_songs(tmp_path)[1].classes == ("drums", "bass", "vocals")
    monkeypatch.setattr(timbre_scenes, "MOST_STEMS_S", 11.9)
    with pytest.raises(StemsteerError, match="minutes of stems, expected at most"):
        real_songs(tmp_path)


@pytest.mark.parametrize("codec", CODECS)
def test_a_coded_mixture_is_in_time_and_nearly_the_same(songs: Path, codec: str) -> None:
    scene = real_songs(songs)[0]
    mixture = coded(scene, codec).mixture
    assert mixture.shape == scene.mixture.shape
    assert mixture.dtype == np.float32
    difference = np.square(mixture - scene.mixture).sum() / np.square(scene.mixture).sum()
    assert 1e-5 < difference < 0.1, "a delay of one sample makes it 0.4"


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
