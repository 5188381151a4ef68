"""The live U-Net told a timbre: what it begins with, what it learns, and its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry, timbre, timbre_live
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.networks.timbre_live import CONFIGS, TimbreLive, TimbreLiveStream
from models_onnx.networks.unet.blocks import Memory
from models_onnx.networks.unet.config import UNetConfig
from models_onnx.networks.unet.system import UNetSystem, system_of
from models_onnx.training.batches import Aims
from models_onnx.training.loop import train
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_batches import training_batches
from models_onnx.training.timbre_check import check
from models_onnx.training.timbre_live_task import (
    ASKING,
    TimbreLiveTask,
    begin_with_narrower,
    begin_with_query,
)
from models_onnx.training.timbre_task import TimbreTask
from models_onnx.training.train_timbre import main as train_main
from models_onnx.training.unet_task import UNetTask
from realtime import Separator, load_model
from realtime.errors import StemsteerError
from tests.support.contract import verify_streaming
from tests.support.timbres import pool

TINY = CONFIGS["causal-tiny"]


def run_of_query(folder: Path) -> UNetSystem:
    """Write a run of system 2 that has heard classes, of sizes like those of the live U-Net."""
    torch.manual_seed(5)
    told = TINY.unet
    sizes = UNetConfig(
        "query", condition=told.condition, channels=told.channels, strides=told.strides,
        dilations=told.dilations, places=("input", "decoder"),
    )  # fmt: skip
    system = UNetSystem(system_of(sizes))
    system.means.normal_()
    spec = registry.unet.spec(system.config)
    about = {"network": "unet", "config": "query", "sizes": {}}
    Run(UNetTask(system, spec, "live"), Plan(steps=1), about).save(folder)
    return system


def test_it_begins_with_what_system_2_does_when_it_is_told_the_same(tmp_path: Path) -> None:
    system = run_of_query(tmp_path)
    network = TimbreLive(TINY)
    begin_with_query(network, tmp_path)
    for mine, theirs in ((network.unet.neck, system.unet.neck), (network.unet.up, system.unet.up)):
        own = mine.state_dict()
        for name, weight in theirs.state_dict().items():
            assert torch.equal(own[name], weight), name
    assert not network.unet.down[1].film.linear.weight.any()
    wanted = torch.nn.functional.normalize(system.means, dim=-1)
    said = network.told(network.names())
    assert float((said * wanted).sum(-1).mean()) > 0.8


def test_a_run_of_another_network_is_no_beginning(tmp_path: Path) -> None:
    network, spec, about = registry.build("timbre", "tiny")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), about).save(tmp_path)
    with pytest.raises(StemsteerError, match="holds no run of train-unet query"):
        begin_with_query(TimbreLive(TINY), tmp_path)


@torch.no_grad()
def test_a_wider_one_begins_with_the_masks_of_a_narrower_one() -> None:
    torch.manual_seed(6)
    sizes = replace(TINY.unet, channels=(8, 16, 24), strides=(16, 4, 2))
    narrow = TimbreLive(replace(TINY, unet=sizes)).eval()
    for name, buffer in narrow.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    wide = TimbreLive(replace(TINY, unet=replace(sizes, channels=(12, 24, 24)))).eval()
    spectrum = torch.randn(2, 7, 2, 1024, 2)
    timbre = torch.nn.functional.normalize(torch.randn(2, 8), dim=-1)
    wanted = narrow.masks(spectrum, timbre)
    assert (wide.masks(spectrum, timbre) - wanted).abs().max() > 1e-3
    begin_with_narrower(wide, narrow.state_dict())
    assert (wide.masks(spectrum, timbre) - wanted).abs().max() < 1e-5
    assert wide.unet.down[0].conv.conv.weight[8:].any()  # what is new can learn
    with pytest.raises(StemsteerError, match="more than"):
        begin_with_narrower(narrow, wide.state_dict())
    with pytest.raises(StemsteerError, match="not those of a live U-Net"):
        begin_with_narrower(wide, {"encode.weight": torch.zeros(2)})


@torch.no_grad()
@pytest.mark.parametrize(("changed", "more"), [({"fine": True}, 2), ({"recurrent": 6}, 1)])
def test_what_remembers_more_streams_as_it_trains(changed: dict[str, int], more: int) -> None:
    torch.manual_seed(6)
    config = replace(TINY, unet=replace(TINY.unet, **changed))
    network, plain = TimbreLive(config).eval(), TimbreLive(TINY)
    assert len(network.unet.states()) == len(plain.unet.states()) + more
    if network.unet.recurrent is not None:
        network.unet.recurrent.leave.weight.normal_()
    spectrum = torch.randn(1, 8, 2, 1024, 2)
    told = torch.randn(1, 8, config.unet.condition)
    whole = network.unet(spectrum, told).masks
    states, found = [torch.zeros(1, *shape) for shape in network.unet.states().values()], []
    for frames in (1, 3, 4):
        at = sum(part.shape[1] for part in found)
        some = slice(at, at + frames)
        answer = network.unet(spectrum[:, some], told[:, some], states)
        found.append(answer.masks)
        states = list(answer.states)
    assert (torch.cat(found, 1) - whole).abs().max() < 1e-5


@torch.no_grad()
def test_a_gru_adds_nothing_at_first_and_then_what_it_has_heard_so_far() -> None:
    torch.manual_seed(7)
    plain = TimbreLive(TINY).eval()
    network = TimbreLive(replace(TINY, unet=replace(TINY.unet, recurrent=6))).eval()
    begin_with_narrower(network, plain.state_dict())
    timbre = torch.nn.functional.normalize(torch.randn(1, 8), dim=-1)
    spectrum = torch.randn(1, 5, 2, 1024, 2)
    before = plain.masks(spectrum, timbre)
    assert (network.masks(spectrum, timbre) - before).abs().max() < 1e-6
    layer = network.unet.recurrent
    assert layer is not None
    layer.leave.weight.normal_()
    x = torch.randn(2, layer.channels, 6, layer.bins)
    other = x.clone()
    other[:, :, 2] += 1.0
    change = (layer(other, Memory()) - layer(x, Memory())).abs().amax((0, 1, 3))
    assert (change[:2] == 0).all()
    assert (change[2:] > 1e-4).all()


def test_a_short_training_learns_names_and_its_file_streams(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = TimbreSteer(timbre.CONFIGS["tiny"])
    network, spec, about = registry.build("timbre-live", "causal-tiny")
    assert isinstance(network, TimbreLive)
    network.load_state_dict(teacher.heard(), strict=False)
    network.keep()
    plan = Plan(steps=80, scenes=2, targets=3, seconds=0.6, learning_rate=1e-2, average=0.9)
    run = Run(TimbreLiveTask(network, spec, "live"), plan, about)
    draw = training_batches(pool(), 0, 2, 3, 0.6, ASKING, Aims(change=0.0))
    checked = [training_batches(pool(4), 99, 4, 4, 0.6, ASKING, Aims(change=0.0))(0)]
    before = check(run.task, run.average, checked)
    train(run, draw, [], tmp_path / "run")
    assert check(run.task, run.average, checked)["valid_name"] > before["valid_name"] + 1
    assert torch.equal(network.names(), teacher.names())
    command = ["timbre-live", "--checkpoint", str(tmp_path / "run")]
    file = tmp_path / "timbre-live.onnx"
    found = CliRunner().invoke(commands.app(export_main), [*command, "--out", str(file)])
    assert found.exit_code == 0, found.output
    model = load_model(file)
    assert set(model.spec.tiers) == {"live", "studio", "offline"}
    assert model.spec.encoder
    assert model.spec.classes
    verify_streaming(lambda: Separator(model, 44_100, targets=2), samples=9000)


def test_no_timbre_lets_everything_through_and_half_of_one_half_of_it() -> None:
    torch.manual_seed(1)
    stream = TimbreLiveStream(TimbreLive(TINY))
    spectrum = torch.randn(1, 5, 2, 1024, 2)
    timbre = torch.nn.functional.normalize(torch.randn(8), dim=0)

    def masks(length: float) -> np.ndarray:
        told = {"timbre": (length * timbre).expand(1, 5, 1, 8)}
        with torch.no_grad():
            return stream(spectrum, told).masks.numpy()

    assert (masks(0.0) == 1).all()
    assert np.allclose(masks(0.5), 0.5 * masks(1.0) + 0.5, atol=1e-6)
    assert masks(1.0).std() > 1e-4


def test_it_is_trained_by_command_from_a_run_of_system_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = run_of_query(tmp_path / "query")
    heard, spec, about = registry.build("timbre", "tiny")
    Run(TimbreTask(heard, spec, "live"), Plan(steps=1), about).save(tmp_path / "heard")
    monkeypatch.setattr("models_onnx.training.train_timbre.open_pool", lambda _: (pool(), ["few"]))
    words = [
        "--data", "few", "--config", "causal-tiny", "--init", str(tmp_path / "query"),
        "--steps", "1", "--scenes", "1", "--seconds", "0.5", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    found = CliRunner().invoke(commands.app(train_main), words)
    assert "give --encoder" in found.output
    words += ["--encoder", str(tmp_path / "heard")]
    found = CliRunner().invoke(commands.app(train_main), words)
    assert found.exit_code == 0, found.output
    restored, _, kept = registry.restore(tmp_path / "run")
    assert isinstance(restored, TimbreLive)
    assert kept["about"]["encoder"] == "kept"
    assert torch.allclose(restored.names(), heard.names())
    shapes = [n.unet.neck[0].first.conv.weight.shape for n in (restored, system)]
    assert shapes[0] == shapes[1]
    assert timbre_live.spec(restored.config).conditions == {"timbre": 8}
