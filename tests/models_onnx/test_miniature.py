"""From songs to a model file: a miniature training by the commands, then the file in the engine."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from models_onnx.data.collections import open_pool
from models_onnx.data.sets.shards import INDEX
from models_onnx.evaluation.systems import separate
from models_onnx.export import command, rounded
from models_onnx.networks import registry
from models_onnx.networks.stft import synthesise
from models_onnx.training import loop, train_steer
from models_onnx.training.batches import Aims
from models_onnx.training.losses import LossWeights
from models_onnx.training.scene_batches import training_batches
from models_onnx.training.task import SeparationTask
from realtime import load_model
from tests.support.tones import tones

STEPS = 24
AIMS = Aims(opening=0, nothing=0, change=0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of three dry stems, stored as the renderer stores them."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    with (folder / INDEX).open("w") as index:
        for song in range(3):
            stems = np.zeros((3, 3, 60_000), np.int16)
            stems[:, 0] = [np.clip(tones(rng, 60_000), -1, 1) * 32767 for _ in range(3)]
            np.save(folder / f"{song}.npy", stems)
            entry = {"class": "piano", "role": "lead", "soundfont": "none"}
            line = {"file": f"{song}.npy", "samples": 60_000, "stems": [entry] * 3}
            index.write(json.dumps(line) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    app = typer.Typer()
    app.command()(train_steer.main)
    options = f"steer --config tiny --data {shards} --validation {shards} --out {out}"
    options += f" --steps {STEPS} --scenes 2 --seconds 0.4 --rate 5e-3 --threads 1"
    with pytest.MonkeyPatch.context() as patch:
        few = partial(train_steer.validation_batches, count=1, seconds=0.5)
        patch.setattr(train_steer, "validation_batches", few)
        result = CliRunner().invoke(app, options.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out


def held_out_loss(network: torch.nn.Module, shards: Path) -> float:
    pool, _ = open_pool([str(shards)])
    batch = training_batches(pool, 99, 6, 2, 0.5, AIMS)(0)
    network.eval()
    task = SeparationTask(network, registry.build("steer", "tiny")[1], "live")
    with torch.no_grad():
        return task.losses(batch, LossWeights(), 2, 0)["loss"].item()


def test_a_miniature_training_lowers_the_loss_of_scenes_it_has_not_seen(
    trained: Path, shards: Path
) -> None:
    torch.manual_seed(0)
    before = held_out_loss(registry.build("steer", "tiny")[0], shards)
    after = held_out_loss(registry.restore(trained)[0], shards)
    assert after < before - 0.02


def test_the_checkpoint_says_what_made_it(trained: Path) -> None:
    _, spec, found = registry.restore(trained)
    assert spec.training["steps"] == found["step"] == STEPS
    assert spec.training["config"] == "tiny"
    assert "3 songs" in spec.training["data"][0]
    assert "/" not in spec.training["data"][0]
    last = (trained / loop.LOG).read_text().splitlines()[-1]
    assert "valid_gain_db" in json.loads(last)


def test_the_exported_file_streams_what_the_network_computes_at_once(
    trained: Path, shards: Path, tmp_path: Path
) -> None:
    file = tmp_path / "steer-live.onnx"
    command.main("steer", trained, file)

    pool, _ = open_pool([str(shards)])
    batch = training_batches(pool, 5, 1, 2, 0.5, AIMS)(0)
    network, spec, _ = registry.restore(trained)
    network = rounded(network)
    task, tier = SeparationTask(network, spec, "live"), spec.tier("live")
    padded = torch.nn.functional.pad(batch.mixture, (tier.window - tier.hop, tier.hop))
    with torch.no_grad():
        spectra = task.estimate(network, replace(batch, mixture=padded)).spectra
    expected = synthesise(spectra, task._windows[1], tier.hop)[0].numpy()

    direction = batch.conditions["direction"][0]
    width_deg = float(direction[0, 1])
    model, mixture = load_model(file), batch.mixture[0].numpy()
    found = separate(model, "live", mixture, direction[:, 0].tolist(), width_deg)
    delay, samples = tier.latency, mixture.shape[1] - tier.window
    np.testing.assert_allclose(
        found[0, :, :samples], expected[0, :, delay : delay + samples], atol=1e-4
    )
