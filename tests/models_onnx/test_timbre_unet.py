"""Spleeter's U-Net told a timbre: what it was before, what is trained, and its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.export import ExportError
from models_onnx.export.command import main as export_main
from models_onnx.export.timbre_unets import check_agreement, export_timbre_unet
from models_onnx.networks import checkpoints, registry, timbre
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.networks.timbre_unet import CONFIGS, TimbreUNet, TimbreUNetConfig, spec
from models_onnx.networks.unet.spleeter import SpleeterUNet, from_arrays, to_arrays
from models_onnx.training.batches import Aims
from models_onnx.training.loop import train
from models_onnx.training.losses import energy_ratio_db
from models_onnx.training.mask_terms import SILENT_DB, masked_terms
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_batches import training_batches
from models_onnx.training.timbre_check import SHOWN, check
from models_onnx.training.timbre_questions import KINDS
from models_onnx.training.timbre_unet_task import ASKING, SECONDS, TimbreUNetTask
from models_onnx.training.train_timbre import begin
from models_onnx.training.train_timbre import main as train_main
from realtime import Separator, load_model
from tests.support.contract import verify_streaming
from tests.support.timbres import pool
from tests.support.unet import ReferenceUNet, random_weights

TINY_CONFIG = CONFIGS["unet-tiny"]


def stirred(seed: int = 0) -> TimbreUNet:
    """A tiny network with weights that let sound through, and FiLM that changes it."""
    torch.manual_seed(seed)
    network = TimbreUNet(TINY_CONFIG).eval()
    for name, parameter in network.unet.named_parameters():
        parameter.data += (0.3 if "film" in name else 0.1) * torch.randn_like(parameter)
    for buffer in network.unet.buffers():
        buffer.data += 0.2 * torch.randn_like(buffer)
    return network


def spectrum(frames: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 1e-3 * torch.randn(batch, frames, 2, 1024, 2, generator=generator)


@pytest.mark.parametrize("small", [False, True])
def test_a_training_begins_with_an_exported_file(tmp_path: Path, small: bool) -> None:
    network, other = stirred(), stirred(1)
    path = export_timbre_unet(network, spec(TINY_CONFIG), tmp_path / "told.onnx", small=small)
    begin(other, path)
    assert check_agreement(other, path, 1e-5) < 1e-5
    unused = "down.5.norm"  # nothing follows it, so no file has it
    for name, weight in network.unet.state_dict().items():
        same = torch.allclose(other.unet.state_dict()[name], weight, atol=0.01 if small else 1e-6)
        assert same or name.startswith(unused), name


def test_files_of_other_networks_are_no_beginning(tmp_path: Path) -> None:
    path = export_timbre_unet(stirred(), spec(TINY_CONFIG), tmp_path / "tiny.onnx")
    with pytest.raises(checkpoints.CheckpointError, match="no exported timbre-unet of these"):
        begin(TimbreUNet(CONFIGS["unet"]), path)
    (tmp_path / "text.onnx").write_text("weights")
    with pytest.raises(checkpoints.CheckpointError, match=r"text\.onnx is not an ONNX file"):
        begin(stirred(), tmp_path / "text.onnx")


@torch.no_grad()
def test_it_begins_as_the_network_of_before_whatever_it_is_told() -> None:
    weights, seen = random_weights(), spectrum(64)
    network = SpleeterUNet(size=8)
    network.load_state_dict({**network.state_dict(), **from_arrays(weights)})
    magnitude = 2048 * seen.square().sum(-1).sqrt().transpose(1, 2)
    expected = ReferenceUNet(weights)(magnitude)
    kept: list[torch.Tensor] = []
    network.last.register_forward_pre_hook(lambda _, given: kept.append(given[1]))
    network(magnitude, torch.randn(1, 8))
    assert expected.std() > 0.05
    assert torch.allclose(kept[0], expected, atol=1e-4)


def test_weights_come_back_as_they_were_read() -> None:
    weights = random_weights()
    network = SpleeterUNet(size=8)
    network.load_state_dict({**network.state_dict(), **from_arrays(weights)})
    again = from_arrays(to_arrays(network))
    for name, weight in from_arrays(weights).items():
        assert torch.allclose(again[name], weight, rtol=1e-5), name


@torch.no_grad()
def test_no_timbre_leaves_the_mixture_and_a_short_one_goes_there() -> None:
    network, seen = stirred(), spectrum(64).expand(3, -1, -1, -1, -1)
    timbre = torch.nn.functional.normalize(torch.randn(8), dim=0)
    masks = network(seen, torch.stack([timbre, 0.25 * timbre, 0 * timbre]))
    assert torch.equal(masks[2], torch.ones_like(masks[2]))
    same = network(seen[:1], timbre[None])
    assert torch.allclose(masks[1], 0.25 * same[0] + 0.75, atol=1e-5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = stirred()
    path = tmp_path_factory.mktemp("unet") / "timbre-unet.onnx"
    return export_timbre_unet(network, spec(network.config), path, small=False)


def test_a_file_that_does_something_else_is_not_written(exported: Path, tmp_path: Path) -> None:
    assert check_agreement(stirred(), exported, 1e-4) < 1e-4
    with pytest.raises(ExportError, match="nothing was written"):
        check_agreement(stirred(1), exported, 0.02)


@pytest.mark.parametrize("tier", ["studio", "offline"])
def test_the_file_keeps_the_contract_of_streams(exported: Path, tier: str) -> None:
    model = load_model(exported)
    timbres = np.eye(2, 8, dtype=np.float32)

    def conditions(first: int, frames: int) -> dict[str, np.ndarray]:
        turned = (np.arange(first, first + frames) > 230) & (tier == "offline")
        timbre = np.where(turned[:, None, None], timbres[::-1], timbres)
        return {"timbre": timbre, "direction": np.full((frames, 2, 2), [0, 90], np.float32)}

    stems = verify_streaming(
        lambda: Separator(model, 44_100, tier=tier, targets=2, conditions=conditions),
        tolerance=1e-6,
    )
    sounding = stems[:2, :, -15_000:-3_000]
    assert np.abs(sounding).max() > 1e-3
    assert np.abs(sounding[0] - sounding[1]).max() > 1e-4, "two timbres are two targets"


def test_kernels_in_8_bits_are_smaller_and_near_enough(exported: Path, tmp_path: Path) -> None:
    network = stirred()
    path = export_timbre_unet(network, spec(network.config), tmp_path / "small.onnx")
    assert check_agreement(network, path, 0.05) > 1e-4
    assert path.stat().st_size < exported.stat().st_size


def test_the_terms_of_a_mask_are_those_of_its_spectra() -> None:
    generator = torch.Generator().manual_seed(0)
    mixture, targets = (
        torch.view_as_complex(torch.randn(2, k, 4, 2, 5, 2, generator=generator)) for k in (1, 3)
    )
    masks = torch.rand(2, 3, 4, 2, 5, generator=generator)
    terms = masked_terms(masks, mixture, targets)
    error = (masks * mixture - targets).abs().square().sum((2, 3, 4))
    db = energy_ratio_db(targets.abs().square().sum((2, 3, 4)), error)
    assert torch.allclose(terms["snr_db"], db.mean(), atol=1e-4)
    near = masked_terms(torch.ones_like(masks), targets[:, :1], targets[:, :1].expand_as(targets))
    assert near["magnitude"] < 1e-6 < terms["magnitude"]
    assert near["snr_db"] == pytest.approx(20, abs=0.1)
    assert float(terms["absent_db"]) == float(near["absent_db"]) == 0.0
    targets[0] = 0.0  # three of six questions are of what is not there
    half = masked_terms(torch.full_like(masks, 0.5), mixture, targets)
    assert half["absent_db"] == pytest.approx(-6.0 / 2, abs=0.1)
    mute = masked_terms(torch.zeros_like(masks), mixture, targets)
    assert mute["absent_db"] == pytest.approx(SILENT_DB / 2, abs=0.1)


def test_a_short_training_learns_and_keeps_what_is_to_be_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, made, about = registry.build("timbre-unet", "unet-tiny")
    assert isinstance(network, TimbreUNet)
    network.keep()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    plan = Plan(steps=9, scenes=1, targets=2, seconds=SECONDS, learning_rate=1e-2, average=0.8)
    run = Run(TimbreUNetTask(network, made, "studio"), plan, about)
    asking = replace(ASKING, produced=0.0, toned=0.0, query=0.5, family=0.0, clip_s=0.4)
    batch = training_batches(pool(), 0, 1, 2, SECONDS, asking, Aims(change=0.0))(0)
    train(run, lambda step: batch, [], tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.01, "one batch is learned by heart"
    found = check(run.task, run.average, [batch])
    assert set(found) <= {f"valid_{k}" for k in (*KINDS, *SHOWN)}
    assert run.task.gain_db(run.average, batch)[0] < 60
    moved = {
        name: (weight - before[name]).abs().max().item()
        for name, weight in network.state_dict().items()
    }
    kept = [name for name in moved if name.startswith(("listen", "classes")) or "norm" in name]
    assert kept
    assert not any(moved[name] for name in kept)
    assert 0 < moved["unet.down.0.conv.weight"] < 0.3 * moved["unet.last.leave.weight"]
    restored, said, _ = registry.restore(tmp_path)
    assert isinstance(restored, TimbreUNet)
    assert said.conditions == made.conditions


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    app = commands.app(train_main)
    common = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "1"]
    found = CliRunner().invoke(app, [*common, "--config", "unet-tiny"])
    assert found.exit_code == 1
    assert "give --encoder" in found.output
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"no wheel")
    steer = tmp_path / "steer"
    weights = TimbreSteer(timbre.CONFIGS["tiny"]).state_dict()
    checkpoints.save(steer, {"step": 1, "average": weights})
    given = ["--config", "unet-tiny", "--encoder", str(steer), "--init", str(wheel)]
    found = CliRunner().invoke(app, [*common, *given])
    assert found.exit_code == 1
    assert "does not hold Spleeter's weights" in found.output


def test_export_writes_the_separator_with_its_names_and_encoder(tmp_path: Path) -> None:
    network = stirred()
    weights = network.state_dict()
    _, made, about = registry.build("timbre-unet", "unet-tiny")
    checkpoints.save(
        tmp_path / "run",
        {"step": 1, "elapsed_s": 3600.0, "network": weights, "average": weights, "about": about,
         "data": [], "commit": "", "spec": made.to_json()},
    )  # fmt: skip
    out = tmp_path / "timbre-unet.onnx"
    given = ["timbre-unet", "--checkpoint", str(tmp_path / "run"), "--out", str(out)]
    found = CliRunner().invoke(commands.app(export_main), given)
    assert found.exit_code == 0, found.output
    model = load_model(out)
    assert (tmp_path / "encoders" / "listen.onnx").is_file()
    np.testing.assert_allclose(model.spec.classes["drums"], network.names()[
        list(model.spec.classes).index("drums")].detach(), atol=1e-5)  # fmt: skip
    assert "Spleeter" in model.spec.licence
    assert model.spec.encoder.startswith("listen-")


def test_the_whole_network_has_the_size_of_spleeters() -> None:
    network = TimbreUNet(TimbreUNetConfig())
    old = [p.numel() for n, p in network.unet.named_parameters() if not network.unet.is_new(n)]
    assert 9.7e6 < sum(old) < 9.9e6
    assert sum(p.numel() for p in network.unet.parameters()) < 10.1e6
