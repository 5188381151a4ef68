"""The separator told a timbre: what no timbre leaves alone, training, export, and the encoder."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.data.classes import CLASSES
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry, timbre
from models_onnx.networks.encoders.listen import CLIP_BINS, Listen, ListenConfig, mel_bands
from models_onnx.networks.steer import network as steer
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.training import train_timbre
from models_onnx.training.batches import Aims
from models_onnx.training.loop import train
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_batches import training_batches
from models_onnx.training.timbre_check import check
from models_onnx.training.timbre_questions import KINDS, Asking
from models_onnx.training.timbre_task import TimbreTask
from realtime import Separator, load_model
from realtime.encoder import OnnxEncoder
from realtime.errors import StemsteerError
from tests.support.contract import verify_streaming
from tests.support.networks import stirred
from tests.support.timbres import pool, sound

LIVE = replace(steer.CONFIGS["timbre-tiny"], layers=3)


def conditions(size: int, timbres: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    nothing = torch.zeros(1, 6, 1, size)
    return {
        "direction": torch.tensor([10.0, 20.0]).expand(1, 6, 1, 2),
        "timbre": nothing if timbres is None else timbres.expand(1, 6, 1, size),
        "against": nothing,
    }


@torch.no_grad()
def test_no_timbre_is_the_network_that_is_told_a_direction_alone() -> None:
    torch.manual_seed(0)
    plain = steer.Steer(replace(LIVE, timbre=0, layers=2))
    told = steer.Steer(LIVE)
    stirred(told)
    told.film.late.zero_()  # the layer that is new adds nothing yet
    fitting = {k: v for k, v in told.state_dict().items() if k in plain.state_dict()}
    plain.load_state_dict(fitting)
    spectrum = torch.randn(1, 6, 2, 1024, 2)
    before = plain(spectrum, conditions(8)).masks
    after = told(spectrum, conditions(8)).masks
    assert torch.equal(before, after)
    vector = torch.nn.functional.normalize(torch.randn(8), dim=0)
    assert not torch.allclose(told(spectrum, conditions(8, vector)).masks, after, atol=1e-4)


def test_a_new_network_begins_with_the_weights_of_a_direction_alone(tmp_path: Path) -> None:
    network = TimbreSteer(timbre.CONFIGS["live"])
    shipped = Path(steer.__file__).parents[2] / "weights" / "steer.onnx"
    train_timbre.begin(network, shipped)
    found = registry.exported(shipped, "plain")
    weights = network.steer.state_dict()
    assert torch.equal(weights["encode.weight"], found["encode.weight"])
    with pytest.raises(StemsteerError, match="does not hold the weights of a separator"):
        train_timbre.begin(network, shipped.with_name("panorama.onnx"))


def test_a_short_training_learns_names_and_queries(tmp_path: Path) -> None:
    torch.manual_seed(0)
    asking = Asking(direction=0.0, query=0.3, both=0.0, against=0.1, family=0.0, absent=0.1,
                    produced=0.0, clips=8, clip_s=0.4)  # fmt: skip
    network, spec, about = registry.build("timbre", "tiny")
    plan = Plan(steps=70, scenes=2, targets=3, seconds=0.3, learning_rate=1e-2, average=0.9)
    run = Run(TimbreTask(network, spec, "live"), plan, about)
    draw = training_batches(pool(), 0, 2, 3, 0.3, asking, Aims())
    checked = [
        training_batches(pool(4), 99, 4, 4, 0.4, asking, Aims(change=0.0))(k) for k in (0, 1)
    ]
    before = check(run.task, run.average, checked)
    train(run, draw, [], tmp_path)
    after = check(run.task, run.average, checked)
    assert after["valid_name"] > before["valid_name"] + 2
    assert after["valid_query"] > before["valid_query"] + 1
    spoken = run.task.heard(network, checked[0])
    hits = (network.scores(spoken).argmax(-1) == checked[0].classes).float().mean()
    assert hits > 0.7
    assert set(before) <= {f"valid_{k}" for k in (*KINDS, "vocals", "drums", "bass", "guitar")}


def test_mixed_timbres_are_unit_vectors_or_nothing() -> None:
    network = TimbreSteer(timbre.CONFIGS["tiny"])
    weights = torch.zeros(3, 2 + len(CLASSES))
    weights[0, 2 + 5] = 3.0
    weights[1, :2] = 1.0
    clips = torch.nn.functional.normalize(torch.randn(2, 8), dim=-1)
    mixed = network.mixed(weights, clips)
    assert torch.allclose(mixed[0], network.names()[5])
    assert torch.allclose(mixed[1], torch.nn.functional.normalize(clips.sum(0), dim=0))
    assert torch.equal(mixed[2], torch.zeros(8))
    mixed.sum().backward()
    assert torch.isfinite(network.classes.grad).all()


@torch.no_grad()
def test_the_encoder_does_not_hear_the_level() -> None:
    encoder = Listen(ListenConfig(bands=24, width=16, size=8)).eval()
    rng = np.random.default_rng(0)
    audio = torch.from_numpy(np.tile(sound(rng, "vocals", 30_000), (2, 1)).astype(np.float32))
    frames = audio.unfold(-1, 2048, 1024) * torch.hann_window(2048)
    spectrum = torch.view_as_real(torch.fft.rfft(frames).transpose(0, 1)[..., :CLIP_BINS])
    loud, quiet = encoder(spectrum[None]), encoder(spectrum[None] * 0.1)
    assert torch.allclose(loud, quiet, atol=1e-3)
    assert loud.norm() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [24, 96])
def test_every_band_of_the_encoder_hears_some_bins(count: int) -> None:
    bands = mel_bands(count)
    assert bands.shape == (CLIP_BINS, count)
    assert np.allclose(bands.sum(0), 1, atol=1e-5)
    assert (np.diff(bands.argmax(0)) >= 0).all()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[TimbreSteer, Path]:
    torch.manual_seed(0)
    network, spec, about = registry.build("timbre", "tiny")
    stirred(network)
    folder = tmp_path_factory.mktemp("run")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), about).save(folder)
    path = folder / "steer.onnx"
    command = ["timbre", "--checkpoint", str(folder), "--out", str(path)]
    result = CliRunner().invoke(commands.app(export_main), command)
    assert result.exit_code == 0, result.output
    return network, path


def test_the_exported_separator_keeps_the_streaming_contract(exported) -> None:
    model = load_model(exported[1])
    assert model.spec.conditions == {"direction": 2, "timbre": 8, "against": 8}
    verify_streaming(lambda: Separator(model, 44_100, targets=2), tolerance=1e-5)


def test_the_exported_files_share_one_encoder_and_hold_the_classes(exported) -> None:
    network, path = exported
    model, encoder = load_model(path), OnnxEncoder(path.parent / "encoders" / "listen.onnx")
    assert model.spec.encoder == encoder.spec.encoder
    assert re.fullmatch("listen-[0-9a-f]{8}", encoder.spec.encoder), "its name and its hash"
    assert tuple(model.spec.classes) == CLASSES
    names = network.names().detach().numpy()
    assert np.allclose(model.spec.classes["cello"], names[CLASSES.index("cello")], atol=1e-5)
    clip = np.random.default_rng(0).standard_normal((2, 44_100)).astype(np.float32)
    assert np.linalg.norm(encoder.encode(clip)) == pytest.approx(1, abs=1e-4)


def test_another_encoder_is_not_replaced_unasked(exported, tmp_path: Path) -> None:
    network, spec, about = registry.build("timbre", "tiny")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), about).save(tmp_path)
    out = exported[1].with_name("other.onnx")
    command = ["timbre", "--checkpoint", str(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(commands.app(export_main), command)
    assert result.exit_code == 1
    assert "listen.onnx" in result.output
    assert not out.exists()


def test_a_timbre_set_on_a_target_changes_what_is_taken(exported) -> None:
    model = load_model(exported[1])
    signal = np.random.default_rng(1).standard_normal((2, 44_100)).astype(np.float32) * 0.1
    found = []
    for timbre_of in (None, "drums", "bass"):
        separator = Separator(model, 44_100)
        if timbre_of:
            separator.set(timbre=np.array(model.spec.classes[timbre_of], np.float32))
        found.append(separator.process(signal)[0])
    assert np.abs(found[0] - found[1]).max() > 1e-4
    assert np.abs(found[1] - found[2]).max() > 1e-4


def test_a_separator_and_an_encoder_must_agree_on_the_size() -> None:
    with pytest.raises(ValueError, match="must be the same"):
        timbre.TimbreConfig(LIVE, ListenConfig(size=16))


def test_a_kept_encoder_is_that_of_the_run_and_does_not_change(exported, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network, spec, about = registry.build("timbre", "tiny")
    train_timbre.keep_encoder(network, exported[1].parent)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    plan = Plan(steps=3, scenes=1, targets=2, seconds=0.3, learning_rate=1e-2)
    run = Run(TimbreTask(network, spec, "live"), plan, about)
    draw = training_batches(pool(), 0, 1, 2, 0.3, Asking(clips=2, clip_s=0.4), Aims())
    train(run, draw, [], tmp_path)
    kept = exported[0].state_dict()
    for name, value in network.state_dict().items():
        if name.split(".")[0] in ("listen", "classes"):
            assert torch.equal(value, before[name])
            assert torch.equal(value, kept[name])
    assert not torch.equal(network.steer.leave.weight, before["steer.leave.weight"])
    with pytest.raises(StemsteerError, match="no encoder of these sizes"):
        train_timbre.keep_encoder(TimbreSteer(timbre.CONFIGS["live"]), exported[1].parent)


def test_a_caller_that_knows_directions_alone_is_served(exported) -> None:
    model = load_model(exported[1])
    spectrum = np.random.default_rng(0).standard_normal((3, 2, 1024, 2)).astype(np.float32)
    direction = np.full((3, 1, 2), 20.0, np.float32)
    nothing = np.zeros((3, 1, 8), np.float32)
    told = {"direction": direction, "timbre": nothing + 0.5, "against": nothing}
    stream = model.stream(1)
    stream.step(spectrum, told)
    stream.reset()
    alone = stream.step(spectrum, {"direction": direction})["masks"].copy()
    stream.reset()
    assert np.array_equal(stream.step(spectrum, told | {"timbre": nothing})["masks"], alone)
    with pytest.raises(KeyError, match="direction"):
        stream.step(spectrum, {"timbre": nothing})


@torch.no_grad()
def test_the_level_is_closed_for_what_is_asked_by_timbre_alone() -> None:
    torch.manual_seed(0)
    network = steer.Steer(LIVE)
    stirred(network)
    spectrum = torch.randn(1, 6, 2, 1024, 2)
    vector = torch.nn.functional.normalize(torch.randn(8), dim=0)
    before = [network(spectrum, conditions(8, z)).masks for z in (None, vector)]
    network.film.gate.bias.fill_(-6.0)
    after = [network(spectrum, conditions(8, z)).masks for z in (None, vector)]
    assert torch.equal(before[0], after[0])
    assert after[1].abs().max() < 0.1 * before[1].abs().max()
