"""`stemsteer catalogue --all`: each song has the instruments that are heard in it."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cli import catalogue_hearing
from plugin_bridge.cli.catalogue import WorkerOptions
from realtime.model import WEIGHTS
from tests.support.catalogues import lines, write_song
from tests.support.commands import stemsteer
from tests.support.models import source_model, timbre_model
from tests.support.rendering import left_over

HEARD = {"song.wav": ["vocals"], "band.flac": ["drums", "vocals"], "quiet.wav": []}


class HereAtOnce:
    """Workers that are this process: what they are given goes through pickle as to others."""

    threads, dashboard = 1, ""

    def __init__(self):
        self.client = self

    def submit(self, function, *given, **_):
        future = Future()
        future.set_result(function(*pickle.loads(pickle.dumps(given))))
        return future

    def mend(self):
        pass

    def made_progress(self):
        pass


@pytest.fixture
def music(tmp_path, monkeypatch):
    """Three songs, in which this and that is heard, and a model that knows two instruments."""
    for place in ("models", "shipped"):
        (tmp_path / place).mkdir()
    source_model(tmp_path / "models" / "halves.onnx", {"vocals": 0.5, "drums": 0.25})
    (tmp_path / "shipped" / "encoders").symlink_to(WEIGHTS / "encoders")
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("realtime.model.WEIGHTS", tmp_path / "shipped")
    monkeypatch.setattr(
        "plugin_bridge.cli.hearing.heard_in",
        lambda path: [SimpleNamespace(instrument=name) for name in HEARD[path.name]],
    )
    monkeypatch.setattr(
        WorkerOptions, "start", lambda self: lambda _: contextlib.nullcontext(HereAtOnce())
    )
    catalogue_hearing._identity.cache_clear()
    for seed, name in enumerate(HEARD):
        write_song(tmp_path / "music" / name, seed)
    return tmp_path / "music"


def test_each_song_has_what_is_heard_in_it_and_one_without_is_named(music, tmp_path):
    out = tmp_path / "stems"
    done = stemsteer("catalogue", music, "--all", "--out", out)
    assert done.exit_code == 1
    assert "no instrument is heard in" in done.stderr
    assert {line["song"]: line["state"] for line in lines(out)} == {
        "song.wav": "done", "band.flac": "done", "quiet.wav": "failed",
    }  # fmt: skip
    for name in ("song.wav", "band.flac"):
        rendered = stemsteer("render", music / name, "--all", "--out", tmp_path / "alone" / name)
        assert rendered.exit_code == 0, rendered.output
        files = left_over(tmp_path / "alone" / name)
        assert len(files) == len(HEARD[name]) + 1
        assert left_over(out / name) == files
        for file in files:
            assert (out / name / file).read_bytes() == (
                tmp_path / "alone" / name / file
            ).read_bytes()


def test_a_model_that_is_named_takes_what_is_heard_of_what_it_knows(music, tmp_path):
    timbre_model(tmp_path / "models" / "told.onnx", {"vocals": (1.0, 0.0)})
    out, words = tmp_path / "stems", ("--all", "--model", "told")
    stemsteer("catalogue", music, *words, "--out", out)
    assert {line["song"]: line.get("model") for line in lines(out) if line["state"] == "done"} == {
        "song.wav": "told", "band.flac": "told",
    }  # fmt: skip
    assert [file.split(".")[0] for file in left_over(out / "band.flac")] == ["residual", "vocals"]
    again = stemsteer("catalogue", music, *words, "--out", out, "--dry-run")
    assert again.stderr == "0 to do, 2 done, 1 failed before\n"
    other = stemsteer("catalogue", music, "--all", "--out", out, "--dry-run")
    assert "has stems of 2 of the songs" in other.output


def test_a_second_run_does_nothing_and_other_options_replace_nothing(music, tmp_path):
    out = tmp_path / "stems"
    stemsteer("catalogue", music, "--all", "--out", out)
    again = stemsteer("catalogue", music, "--all", "--out", out, "--dry-run")
    assert again.stderr == "0 to do, 2 done, 1 failed before\n"
    for words in (("--strength", "0.5"), ("--tier", "live"), ("--azimuth", "drums=30")):
        other = stemsteer("catalogue", music, "--all", "--out", out, *words, "--dry-run")
        assert "has stems of 2 of the songs" in other.output, words


def test_another_model_here_than_where_it_was_begun_is_refused(music, tmp_path, monkeypatch):
    identities = iter(["here", "there", "there", "there"])
    monkeypatch.setattr(catalogue_hearing, "_identity", lambda tier: next(identities))
    stemsteer("catalogue", music, "--all", "--out", tmp_path / "stems")
    assert {line["state"] for line in lines(tmp_path / "stems")} == {"failed"}
    assert "other models are on this worker" in lines(tmp_path / "stems")[0]["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--instrument", "drums"), "leave --instrument, --like and --picture out"),
        (("--targets", "targets.json"), "leave --all out"),
        (("--mode", "both"), "mode is 'both'"),
    ],
)
def test_what_does_not_go_with_all_is_refused_before_anything_is_done(music, words, said):
    (music / "targets.json").write_text("[]")
    done = stemsteer("catalogue", music, "--all", "--out", music / "stems", *words)
    assert done.exit_code != 0
    assert said in " ".join(done.output.replace("│", " ").split())
    assert not (music / "stems").exists()
