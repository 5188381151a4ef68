"""The renderer and the shards it writes, with the smallest of the soundfonts."""

import json

import numpy as np
import pytest

from tests.support.engine_sandbox import absent, need

pytest.importorskip("fluidsynth", reason="needs libfluidsynth3", exc_type=ImportError)

from contextlib import nullcontext
from functools import partial

from models_onnx.data import draw
from models_onnx.data.rendering import render as render_module
from models_onnx.data.rendering.commands import render as render_command
from models_onnx.data.rendering.song_renderer import SongRenderer
from models_onnx.data.sets.shards import INDEX, Shards
from models_onnx.data.songs.parts import Note
from models_onnx.data.songs.scores import Scores, is_held_out
from models_onnx.data.sounds.soundfonts import HELD_OUT, TRAINING, Player, SoundFont
from models_onnx.data.stems import image
from realtime.errors import StemsteerError
from tests.support.commands import onnx_command

SMALL = tuple(font for font in TRAINING if font.file == "TimGM6mb.sf2")
RATE_HZ = 44_100


@pytest.fixture(scope="module")
def player() -> Player:
    try:
        assert SMALL[0].path
    except StemsteerError as error:
        absent(str(error))
    return Player(SMALL)


@pytest.fixture(scope="module")
def song(player):
    return SongRenderer(player).render_song(3)


@pytest.fixture
def folder(tmp_path, song):
    stems, info = song
    np.save(tmp_path / "3.npy", stems)
    (tmp_path / INDEX).write_text(json.dumps({"file": "3.npy", **info}) + "\n")
    return tmp_path


def test_a_seed_renders_to_the_same_samples_whatever_was_rendered_before(player, song):
    SongRenderer(player).render_song(4)
    again, info = SongRenderer(player).render_song(3)
    assert np.array_equal(song[0], again)
    assert song[1] == info


def test_every_stem_sounds_and_does_not_clip(song):
    stems, info = song
    assert stems.dtype == np.int16
    assert stems.shape == (len(info["stems"]), 3, info["samples"])
    for stem in stems / 32767:
        assert 0.01 < np.abs(image(stem, 0.0)).max() < 0.98


def test_a_note_sounds_at_its_pitch_and_ends(player):
    voice = player.choose(np.random.default_rng(0), 73)
    audio = player.render(voice, [Note(0.1, 1.0, 69, 100)], 2 * RATE_HZ)
    assert np.abs(audio[:, : RATE_HZ // 11]).max() < 1e-4
    assert np.abs(audio[:, RATE_HZ * 7 // 4 :]).max() < 1e-2
    spectrum = np.abs(np.fft.rfft(audio[0, RATE_HZ // 4 : RATE_HZ]))
    assert spectrum.argmax() / 0.75 == pytest.approx(440, rel=0.01)


def test_shards_give_back_what_was_rendered(folder, song):
    shards = Shards(folder)
    stems, info = shards.song(0)
    assert len(shards) == 1
    assert np.array_equal(np.rint(stems * 32767).astype(np.int16), song[0])
    piece = shards.sources(0)[1].read(500, 70)
    assert np.array_equal(piece, stems[1, :, 500:570])
    assert [s.label.name for s in shards.sources(0)] == [e["class"] for e in info["stems"]]


def test_a_scene_drawn_from_shards_is_the_sum_of_its_images(folder):
    scene = draw(np.random.default_rng(0), Shards(folder).sources(0), 2.0)
    assert scene.mixture.shape == (2, 2 * RATE_HZ)
    np.testing.assert_allclose(scene.mixture, scene.images.sum(0), atol=1e-6)


def test_rendering_goes_on_where_it_was_stopped(tmp_path, monkeypatch, player):
    monkeypatch.setattr(render_module, "TRAINING", SMALL)
    hours = list(render_module.render(tmp_path, 0.001, workers=1))
    assert hours[0] == 0
    played = {stem.get("soundfont") for stem in Shards(tmp_path).songs[0]["stems"]}
    assert played == {SMALL[0].file}, "the workers have the soundfonts of the rendering"
    before = (tmp_path / "00000000.npy").stat().st_mtime_ns
    more = list(render_module.render(tmp_path, hours[-1] + 0.001, workers=1))
    assert more[0] == hours[-1]
    assert (tmp_path / "00000000.npy").stat().st_mtime_ns == before
    assert [song["seed"] for song in Shards(tmp_path).songs] == [0, 1]
    assert not list(tmp_path.glob("*.part"))


def test_a_line_of_the_index_that_was_cut_off_is_rendered_again(tmp_path, song):
    _, info = song
    line = json.dumps({"file": "3.npy", **info})
    (tmp_path / INDEX).write_text(line + "\n" + line[:40])
    hours = list(render_module.render(tmp_path, 0.001, workers=1))
    assert hours == [info["samples"] / RATE_HZ / 3600]
    assert (tmp_path / INDEX).read_text() == line + "\n"


def test_a_soundfont_that_is_not_installed_is_named_with_its_package_before_any_work(
    tmp_path, monkeypatch
):
    absent_font = SoundFont("none.sf2", "no-soundfont", 1)
    monkeypatch.setattr(render_module, "TRAINING", (absent_font,))
    with pytest.raises(StemsteerError, match=r"none\.sf2 not found.* apt-get install no-soundfont"):
        list(render_module.render(tmp_path, 0.001, workers=1))


@pytest.mark.parametrize("font", TRAINING, ids=lambda font: font.file)
def test_a_soundfont_has_the_drum_kits_it_is_drawn_for(font):
    need(f"/usr/share/sounds/{font.file[-3:]}/{font.file}")
    player = Player([font])
    assert [kit for kit in font.kits if not player._has(font, *kit)] == []


def test_the_held_out_soundfont_never_trains():
    assert not {f.file for f in HELD_OUT} & {f.file for f in TRAINING}


def test_a_folder_without_shards_is_explained(tmp_path):
    with pytest.raises(StemsteerError, match=r"models_onnx render"):
        Shards(tmp_path)


def test_a_shard_that_is_not_what_the_index_says_is_explained(folder):
    np.save(folder / "3.npy", np.zeros((1, 3, 10), np.int16))
    with pytest.raises(StemsteerError, match=r"3\.npy holds int16"):
        Shards(folder).song(0)
    (folder / "3.npy").write_bytes(b"nothing")
    with pytest.raises(StemsteerError, match="cannot read"):
        Shards(folder).song(0)


asked = partial(onnx_command, render_command)


def test_training_and_held_out_songs_do_not_mix(folder):
    found = asked("--hours", "1", "--held-out", "--out", str(folder))
    assert found.exit_code == 1
    assert "has training songs, which must not mix" in found.output
    assert asked("--hours", "1", "--first-seed", "10000000", "--out", str(folder)).exit_code == 2


@pytest.mark.parametrize("held_out", [False, True])
def test_training_songs_end_before_the_first_seed_of_held_out_ones(tmp_path, monkeypatch, held_out):
    class Silence:
        def render_song(self, seed):
            samples = RATE_HZ * 36
            info = {"seed": seed, "samples": samples, "stems": []}
            return np.zeros((0, 3, samples), np.int16), info

    class Here:
        imap = staticmethod(map)

    for name in ("TRAINING", "HELD_OUT"):
        monkeypatch.setattr(render_module, name, ())
    monkeypatch.setattr(render_module, "_renderer", Silence())
    monkeypatch.setattr(render_module, "_pool", lambda *_: nullcontext(Here()))
    songs = partial(render_module.render, tmp_path, first_seed=9_999_997, held_out=held_out)
    assert list(songs(0.03)) == pytest.approx([0, 0.01, 0.02, 0.03])
    with pytest.raises(StemsteerError, match=r"used up after 0\.030 of 0\.05 hours"):
        list(songs(0.05))
    base = render_module.HELD_OUT_SEED if held_out else 0
    seeds = [song["seed"] - base for song in Shards(tmp_path).songs]
    assert seeds == [9_999_997, 9_999_998, 9_999_999]


SONG = '{"file": "3.npy", "seed": 3, "samples": 9, "stems": [{"class": "piano", "role": ""}]}'


@pytest.mark.parametrize(
    "line",
    ["not json", "[1]", '{"file": "3.npy"}', SONG.replace("piano", "kazoo"),
     SONG.replace("role", "rule"), SONG.replace('"seed": 3', '"seed": "3"'),
     SONG.replace('"piano"', "[]"), SONG.replace('"role"', '"weight": "much", "role"'),
     SONG.replace("file", "fill"), SONG.replace('""', "null")],
)  # fmt: skip
def test_a_broken_line_of_the_index_is_named(folder, line):
    with (folder / INDEX).open("a") as index:
        index.write(line + "\n")
    with pytest.raises(StemsteerError, match=r"index\.jsonl, line 2 is no song"):
        Shards(folder)
    found = asked("--hours", "1", "--out", str(folder))
    assert found.exit_code == 1
    assert "line 2 is no song" in found.output


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    found = asked("--hours", "1", "--out", str(tmp_path / "file"))
    assert found.exit_code == 1
    assert found.output.strip().endswith("file: file exists")


def test_songs_begun_ahead_are_gone_when_rendering_stops(tmp_path, monkeypatch, player):
    monkeypatch.setattr(render_module, "TRAINING", SMALL)
    going = render_module.render(tmp_path, 1.0, workers=1)
    assert [next(going), next(going) > 0][1]
    (tmp_path / "00000005.npy.part").write_bytes(b"half")
    going.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {INDEX, "00000000.npy"}


def test_scores_and_bands_need_a_folder_of_scores(tmp_path):
    with pytest.raises(StemsteerError, match="give --scores"):
        next(render_module.render(tmp_path, 0.01, kinds=(0.5, 0.0, 0.5, 0.0)))
    with pytest.raises(StemsteerError, match="expected to sum to 1"):
        next(render_module.render(tmp_path, 0.01, kinds=(0.5, 0.0, 0.0, 0.0)))


@pytest.mark.parametrize(("option", "value"), [("--real", 2), ("--score", -1), ("--band", "nan")])
def test_a_chance_is_between_0_and_1(tmp_path, option, value):
    found = asked("--hours", "1", "--out", tmp_path, option, value)
    assert found.exit_code == 2
    assert option in found.output


def test_chances_that_sum_to_1_but_for_rounding_are_taken(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(render_module, "render", lambda *_, kinds, **__: told.append(kinds) or [])
    words = ("--hours", "1", "--out", tmp_path, "--real", "0.9", "--band", "0.1")
    assert asked(*words).exit_code == 0
    assert told == [(0.0, 0.9, 0.0, 0.1)]  # 1 - 0.9 - 0.1 is below 0


def test_a_chance_below_0_or_no_number_is_said(tmp_path):
    with pytest.raises(StemsteerError, match="expected to sum to 1, none below 0"):
        next(render_module.render(tmp_path, 0.01, kinds=(-0.25, 1.25, 0.0, 0.0)))
    with pytest.raises(StemsteerError, match="none below 0"):
        next(render_module.render(tmp_path, 0.01, kinds=(float("nan"), 0.0, 0.0, 0.0)))


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_songs_have_held_out_scores(tmp_path, monkeypatch, held_out):
    (tmp_path / "midi").mkdir()
    names = [f"midi/{k}.mid" for k in range(40)]
    (tmp_path / "midi" / "INDEX.csv").write_text("\n".join(["path", *names]))
    told = []

    def pool(*about):
        told.extend(about)
        raise InterruptedError

    monkeypatch.setattr(render_module, "_pool", pool)
    songs = render_module.render(
        tmp_path / "out", 1, held_out=held_out, scores=tmp_path, kinds=(0.0, 0.0, 1.0, 0.0)
    )
    assert next(songs) == 0
    with pytest.raises(InterruptedError):
        next(songs)
    (scores,) = (about for about in told if isinstance(about, Scores))
    assert {is_held_out(path) for path in scores.scores} == {held_out}


def test_a_song_of_a_score_says_which(player, tmp_path):
    from tests.models_onnx.test_data_scores import write_score

    write_score(tmp_path / "midi" / "duo.mid", [40, 42])
    (tmp_path / "midi" / "INDEX.csv").write_text("path\nmidi/duo.mid\n")
    kinds = (0.0, 0.0, 1.0, 0.0)
    stems, info = SongRenderer(player, None, Scores(tmp_path), kinds).render_song(1)
    assert (info["kind"], info["score"]) == ("score", "duo")
    assert sorted(stem["class"] for stem in info["stems"]) == ["cello", "violin"]
    assert np.abs(stems).max() > 1000
    again, _ = SongRenderer(player, None, Scores(tmp_path), kinds).render_song(1)
    assert np.array_equal(stems, again)
