"""The band-split network beside an encoder: trained by command, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry
from models_onnx.networks.timbre_bands import TimbreBands
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_task import TimbreTask
from models_onnx.training.train_timbre import keep_encoder
from models_onnx.training.train_timbre import main as train_main
from realtime import Separator, load_model
from realtime.model import WEIGHTS
from tests.support.contract import verify_streaming
from tests.support.timbres import pool


def test_it_is_trained_on_the_device_by_command_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, spec, about = registry.build("timbre", "tiny")
    Run(TimbreTask(heard, spec, "live"), Plan(steps=1), about).save(tmp_path / "heard")
    monkeypatch.setattr("models_onnx.training.train_timbre.open_pool", lambda _: (pool(), ["few"]))
    words = [
        "--data", "few", "--config", "bands-tiny", "--encoder", str(tmp_path / "heard"),
        "--steps", "2", "--scenes", "2", "--seconds", "0.5", "--out", str(tmp_path / "run"),
        "--on-device",
    ]  # fmt: skip
    found = CliRunner().invoke(commands.app(train_main), [*words, "--workers", "1"])
    assert "without --workers" in found.output
    found = CliRunner().invoke(commands.app(train_main), words)
    assert found.exit_code == 0, found.output
    found = CliRunner().invoke(commands.app(train_main), words[:-1])
    assert "holds a run with other on_device" in found.output
    other, _, _ = registry.build("timbre", "tiny")
    Run(TimbreTask(other, spec, "live"), Plan(steps=1), about).save(tmp_path / "other")
    words[words.index(str(tmp_path / "heard"))] = str(tmp_path / "other")
    found = CliRunner().invoke(commands.app(train_main), words)
    assert "holds a run with other encoder" in found.output
    restored, _, kept = registry.restore(tmp_path / "run")
    assert isinstance(restored, TimbreBands)
    assert kept["step"] == 2
    assert torch.allclose(restored.names(), heard.names())
    file = tmp_path / "timbre-bands.onnx"
    command = ["timbre-bands", "--checkpoint", str(tmp_path / "run"), "--out", str(file)]
    found = CliRunner().invoke(commands.app(export_main), command)
    assert found.exit_code == 0, found.output
    model = load_model(file)
    assert model.spec.conditions == {"direction": 2, "timbre": 8, "against": 8}
    verify_streaming(lambda: Separator(model, 44_100, targets=2), samples=9000, tolerance=1e-6)


def test_it_may_keep_the_encoder_that_is_shipped() -> None:
    network, _, _ = registry.build("timbre-bands", "bands")
    assert isinstance(network, TimbreBands)
    keep_encoder(network, WEIGHTS / "steer.onnx")
    vectors = np.array(list(load_model("steer").spec.classes.values()), np.float32)
    assert np.allclose(network.names().detach().numpy(), vectors, atol=1e-5)
    assert not any(w.requires_grad for w in network.listen.parameters())
    assert network.listen.enter.weight.square().sum() > 1


def test_a_separator_by_direction_has_no_encoder_to_keep() -> None:
    network, _, _ = registry.build("timbre-bands", "bands")
    assert isinstance(network, TimbreBands)
    with pytest.raises(registry.checkpoints.CheckpointError, match="no timbres of all classes"):
        keep_encoder(network, WEIGHTS / "panorama.onnx")
