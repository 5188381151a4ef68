"""Models that never end, when they are loaded or when they are run: they are not waited for."""

import os
import signal
import subprocess
import sys
import time

import pytest

from plugin_bridge import model_library, trial
from realtime.errors import StemsteerError
from tests.support.commands import stemsteer
from tests.support.models import crash, endless_model, source_model


@pytest.fixture
def folder(models):
    models.mkdir(parents=True, exist_ok=True)
    return models


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("in_loading", [False, True], ids=["run", "load"])
def test_adding_a_model_that_never_ends_is_ended_by_a_signal(folder, tmp_path, number, in_loading):
    path = endless_model(tmp_path / "x.onnx", in_loading=in_loading)
    words = [sys.executable, "-m", "plugin_bridge.cli", "models", "add", str(path)]
    command = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(4)
        assert command.poll() is None
        command.send_signal(number)
        assert command.wait(5) == 128 + number
        assert command.stderr.read() == "stemsteer: stopped\n"
    finally:
        command.kill()
        command.wait()
    assert os.listdir(folder) == []


@pytest.mark.parametrize("in_loading", [False, True], ids=["run", "load"])
def test_a_model_that_never_ends_is_refused_after_a_while(
    folder, tmp_path, monkeypatch, in_loading
):
    monkeypatch.setattr(trial, "RUN_S", 3.0)
    monkeypatch.setattr("plugin_bridge.conversion.files.LOAD_S", 3.0)
    done = stemsteer("models", "add", endless_model(tmp_path / "x.onnx", in_loading=in_loading))
    assert done.exit_code == 1
    assert "this model has not ended within 3 s" in done.stderr
    assert os.listdir(folder) == []


def test_a_model_that_never_loads_keeps_no_other_from_being_listed(folder, monkeypatch):
    monkeypatch.setattr(model_library, "LOAD_S", 3.0)
    source_model(folder / "a.onnx", {"vocals": 0.5})
    endless_model(folder / "b.onnx", in_loading=True)
    source_model(folder / "c.onnx", {"vocals": 0.5})
    faults = {one.path.stem: one.fault for one in model_library.found_models()}
    assert faults["a"] == faults["c"] == faults["steer"] == ""
    assert "has not ended within 3 s" in faults["b"]


def test_what_a_function_raises_is_told_and_what_crashes_is(tmp_path):
    paths = [tmp_path / name for name in ("none.onnx", "none-either.onnx")]
    faults = trial.faults_of(model_library.load_model, paths, 60)
    assert ["no model file at" in fault for fault in faults] == [True, True]
    with pytest.raises(StemsteerError, match=r"crashes when it is tried \(status -6\)"):
        trial.check(crash, tmp_path, 60)
