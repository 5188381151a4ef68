"""Stems of several instruments, each of which is asked for by itself."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.automation import Automation
from plugin_bridge.automation.lane import Lane
from plugin_bridge.cli import app as cli
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.target import Target
from plugin_bridge.offline.parts import Part, parts_of, summed, together
from realtime import load_model
from tests.support.models import timbre_model

CLASSES = {"guitar": (0.8, 0.6), "drums": (0.6, 0.8), "vocals": (1.0, 0.0), "choir": (0.0, 1.0)}
"""Of the model: guitar has a mask of 0.36, drums have 0.64, and the sum of both timbres 0.5."""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return timbre_model(tmp_path / "models" / "told.onnx", CLASSES)


def rendered(song, folder, targets, *words):
    (folder / "targets.json").write_text(json.dumps(targets))
    words = ("render", song, "--targets", folder / "targets.json", "--model", "told", *words)
    done = CliRunner().invoke(cli.app, [*map(str, words), "--out", str(folder / "out")])
    assert done.exit_code == 0, done.output
    paths = (folder / "out").iterdir()
    return {path.stem: soundfile.read(path)[0][4000:-4000] for path in paths}


def test_instruments_of_one_stem_are_asked_for_one_by_one_and_added(model, song, tmp_path):
    mix = soundfile.read(song)[0][4000:-4000]
    duo = {"name": "duo", "instrument": ["guitar", "drums"]}
    found = rendered(song, tmp_path, [duo, {"name": "kit", "instrument": "drums"}])
    np.testing.assert_allclose(found["duo"], mix, atol=1e-3)
    np.testing.assert_allclose(found["kit"], 0.64 * mix, atol=1e-3)
    np.testing.assert_allclose(sum(found.values()), mix, atol=1e-3)


def test_they_are_asked_for_with_the_strength_and_the_levels_of_the_stem(model, song, tmp_path):
    mix = soundfile.read(song)[0][4000:-4000]
    (tmp_path / "lanes.csv").write_text("seconds,target,control,value\n0,duo,gain,-6.0206\n")
    duo = {"name": "duo", "instrument": ["guitar", "drums"], "strength": 0.5}
    found = rendered(song, tmp_path, [duo], "--automation", tmp_path / "lanes.csv")
    half_told = (1 - 0.16) + (1 - 0.09)
    np.testing.assert_allclose(found["duo"], 0.5 * half_told * mix, atol=1e-3)


def test_a_family_is_told_as_a_family_and_others_one_by_one(model):
    spec = load_model("told").spec
    assert together(("choir", "guitar", "vocals"), spec) == [("vocals", "choir"), ("guitar",)]
    assert together((), spec) == [()]


def test_what_moves_or_is_an_example_is_one_part(model):
    spec = load_model("told").spec
    both = ("guitar", "drums")
    targets = [
        Target("moved", 0, instruments=both),
        Target("like", 0, instruments=both, like=("query.wav",)),
        Target("split", 0, instruments=both),
    ]
    numbers = [float(INSTRUMENTS.index(name)) for name in both]
    step = Lane.steps([0.0, 1.0], numbers)
    parts = parts_of(targets, spec, Automation({("moved", "instrument"): step}))
    assert parts == [Part(0, both), Part(1, both), Part(2, ("guitar",)), Part(2, ("drums",))]


def test_labels_are_told_together(model):
    label, activity = (load_model(name).spec for name in ("label-unet", "activity-unet"))
    targets = [Target("duo", 0, instruments=("violin", "cello"))]
    assert len(parts_of(targets, label, Automation({}))) == 1
    assert len(parts_of(targets, activity, Automation({}))) == 2


def test_stems_of_parts_are_those_of_their_targets():
    stems = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 2, 3), np.float32)
    parts = [Part(0, ("guitar",)), Part(1, ("drums",)), Part(1, ("bass",))]
    assert summed(stems, parts)[:, 0, 0].tolist() == [0, 3, 3]
