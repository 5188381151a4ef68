from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from models_onnx.export import ExportError, OneMixture, export, renewed, rounded
from models_onnx.export.command import main
from models_onnx.export.renewed import difference
from models_onnx.networks import checkpoints, registry
from models_onnx.networks.checkpoints import CheckpointError
from models_onnx.networks.panorama import SPEC, Panorama
from models_onnx.networks.registry import load_weights
from models_onnx.networks.steer import features
from models_onnx.networks.steer import network as steer
from models_onnx.networks.steer.cells import BINS, covariances, pool, radians
from realtime import Separator, load_model
from tests.support.commands import onnx_command
from tests.support.contract import verify_streaming
from tests.support.signals import noise


class Drifting(nn.Module):
    """A network that is not the same function twice: what is traced cannot agree with it."""

    def forward(self, spectrum, direction):
        masks = Panorama()(spectrum, direction)
        return masks + 0.01 * float(np.random.default_rng().random())


def test_an_exported_network_carries_its_spec(tmp_path):
    path = export(Panorama(), SPEC, tmp_path / "p.onnx")
    assert load_model(path).spec == SPEC


@pytest.mark.parametrize("width_deg", [5.0, 20.0, 60.0])
def test_the_masks_of_panorama_are_those_of_its_definition(width_deg):
    rng = np.random.default_rng(0)
    spectrum = rng.standard_normal((4, 2, 300, 2)).astype(np.float32)
    azimuth_deg = np.float32([-45, -10, 0, 33, 45])
    direction = np.stack([azimuth_deg, np.full(5, width_deg, np.float32)], -1)
    direction = np.ascontiguousarray(np.broadcast_to(direction, (4, 5, 2)))
    found = load_model("panorama").stream(5).step(spectrum, {"direction": direction})["masks"]
    left, right = (spectrum[..., 0] + 1j * spectrum[..., 1].astype(np.float64)).swapaxes(0, 1)
    opening = np.tan(np.deg2rad(width_deg) / 2)
    for k, theta in enumerate(np.deg2rad(azimuth_deg.astype(np.float64) + 45)):
        along = left * np.cos(theta) + right * np.sin(theta)
        across = right * np.cos(theta) - left * np.sin(theta)
        mask = np.exp(-np.log(2) * (np.abs(across) / (np.abs(along) * opening)) ** 2)
        np.testing.assert_allclose(found[:, k, 0], mask, atol=2e-6)
        spread = np.clip((width_deg - 40) / 50, 0, 1)
        np.testing.assert_allclose(found[:, k, 3], mask * spread, atol=2e-6)
        assert not found[:, k, 1:3].any()


def test_a_file_that_disagrees_with_the_network_is_not_written(tmp_path):
    with pytest.raises(ExportError, match="differs from the network"):
        export(Drifting(), SPEC, tmp_path / "p.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module", params=[0, 3], ids=["live", "look-ahead"])
def tiny(request, tmp_path_factory):
    torch.manual_seed(0)
    network = steer.Steer(replace(steer.CONFIGS["tiny"], lookahead=request.param))
    for parameter in network.parameters():  # masks that depend on everything
        parameter.data += 0.05 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    network.eval()
    export(
        OneMixture(network, ["direction"]),
        steer.spec(network.config),
        path,
        states=network.states(),
    )
    return rounded(network), path


def test_steer_keeps_the_streaming_contract(tiny):
    model = load_model(tiny[1])
    tier = next(iter(model.spec.tiers))
    verify_streaming(lambda: Separator(model, 44_100, targets=2, tier=tier), tolerance=1e-5)


def test_steer_is_the_same_function_in_torch_on_whole_scenes(tiny):
    network, path = tiny
    spectra = noise(2, 20 * 1024 * 2).reshape(2, 20, 1024, 2).transpose(1, 0, 2, 3).copy()
    direction = np.tile(np.float32([[[-20, 15], [30, 40]]]), (20, 1, 1))
    found = load_model(path).stream(2).step(spectra, {"direction": direction})["masks"]
    with torch.no_grad():
        answer = network(
            torch.from_numpy(spectra)[None], {"direction": torch.from_numpy(direction)[None]}
        )
    np.testing.assert_allclose(found, answer.masks[0].numpy(), atol=1e-4)


@pytest.mark.parametrize(("between_deg", "slope"), [(30, 1.73), (6, 9.51), (3, 12)])
def test_steer_nulls_a_neighbour_that_is_alone_with_the_target(between_deg, slope):
    """Two steady tones in one bin: c of the averages is the cotangent of the angle between them.

    Up to what the network allows, which is 12.
    """
    frames, angle = 200, np.deg2rad(between_deg)
    rng = np.random.default_rng(0)
    target, neighbour = np.exp(2j * np.pi * rng.random((2, frames, 1, BINS)))
    theta = np.deg2rad(45 - 10)
    u = np.array([np.cos(theta), np.sin(theta)])[None, :, None]
    w = np.array([np.cos(theta + angle), np.sin(theta + angle)])[None, :, None]
    mixture = torch.view_as_real(torch.from_numpy(target * u + neighbour * w)).float()[None]
    instant = pool(covariances(mixture))
    averages = steer.Steer(steer.CONFIGS["tiny"]).observe(instant)[0]
    theta = radians(torch.full((frames, 1, 1), -10.0))
    steepest = steer.CONFIGS["near"].steepest
    [(_, slopes)] = features.describe(averages, [instant], theta, steepest)
    slowest = slopes[-1, 0, len(features.MEMORY_S) - 1]
    assert slowest.mean().item() == pytest.approx(slope, rel=0.03)


def test_the_last_frames_wait_for_their_look_ahead():
    ahead = steer.Steer(replace(steer.CONFIGS["tiny"], lookahead=4)).eval()
    spectra = torch.randn(1, 12, 2, BINS, 2)
    direction = {"direction": torch.tensor([10.0, 20.0]).expand(1, 12, 1, 2)}
    with torch.no_grad():
        waiting = ahead(spectra, direction).states[-1]
    assert torch.equal(waiting, pool(covariances(spectra))[:, -4:])


def test_a_mask_without_null_leaves_the_other_direction_alone():
    masked = steer.Steer(replace(steer.CONFIGS["tiny"], null=False, aim=False)).eval()
    spectra = torch.randn(1, 12, 2, BINS, 2)
    direction = {"direction": torch.tensor([10.0, 20.0]).expand(1, 12, 1, 2)}
    with torch.no_grad():
        masks = masked(spectra, direction).masks
        nulled = steer.Steer(steer.CONFIGS["tiny"]).eval()(spectra, direction).masks
    assert not masks[:, :, :, 1:3].any()
    assert nulled[:, :, :, 1].abs().max() > 0.01


def test_an_exported_file_gives_its_weights_back(tiny):
    network, path = tiny
    other = steer.Steer(network.config)
    load_weights(other, path)
    for found, wanted in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.equal(found, wanted)
    with pytest.raises(CheckpointError, match="not hold the weights"):
        load_weights(steer.Steer(steer.CONFIGS["small"]), path)


def test_large_weights_are_stored_in_half_the_bytes(tiny):
    network, path = tiny
    kinds = {w.name: w.data_type for w in onnx.load(path).graph.initializer}
    assert kinds["network.encode.weight.half"] == onnx.TensorProto.FLOAT16
    assert kinds["network.opening.weight"] == onnx.TensorProto.FLOAT
    assert path.stat().st_size < 3 * sum(w.numel() for w in network.parameters()) + 300_000


asked = partial(onnx_command, main)


@pytest.fixture
def run(tmp_path):
    network, _, about = registry.build("steer", "tiny")
    contents = {"step": 0, "elapsed_s": 0.0, "average": network.state_dict(), "about": about}
    checkpoints.save(tmp_path / "run", contents | {"data": [], "commit": ""})
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("other",), "there are: panorama, steer, spain-xumx"),
        (("steer",), "give the folder of a run as --checkpoint"),
        (("steer", "--checkpoint", "missing"), "no checkpoint at missing"),
        (("spain-xumx", "--checkpoint", "run"), "run holds steer, not spain-xumx"),
        (("panorama", "--checkpoint", "run"), "leave out --checkpoint"),
        (("panorama",), "panorama.onnx is there already"),
        (("panorama", "--out", "p.txt"), "--out p.txt: expected a name in .onnx"),
    ],
)
def test_what_cannot_be_exported_is_said_without_a_traceback(run, monkeypatch, words, told):
    monkeypatch.chdir(run.parent)
    found = asked(*words)
    assert found.exit_code == 1
    assert told in found.output
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_an_export_prints_one_line_whatever_torch_warns_of(run, recwarn):
    out = run.parent / "new.onnx"
    found = asked("steer", "--checkpoint", str(run), "--out", str(out))
    assert found.output == f"{out}\n"
    shown = [one for one in recwarn if not issubclass(one.category, DeprecationWarning)]
    assert [str(one.message) for one in shown] == []


def test_an_export_makes_its_folder_and_replaces_nothing_unasked(run):
    out = run.parent / "new" / "mine.onnx"
    words = ("steer", "--checkpoint", str(run), "--out", str(out))
    assert asked(*words).exit_code == 0
    before = out.read_bytes()
    out.write_bytes(b"kept")
    assert asked(*words).exit_code == 1
    assert out.read_bytes() == b"kept"
    assert asked(*words, "--force").exit_code == 0
    assert len(out.read_bytes()) == len(before)


@pytest.fixture
def exported(tmp_path):
    """A file of weights that all differ, as after training."""
    torch.manual_seed(1)
    network = steer.Steer(steer.CONFIGS["small"]).eval()
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    spec = replace(steer.spec(network.config), training={"hours": 3})
    path = tmp_path / "old.onnx"
    export(OneMixture(network, ["direction"]), spec, path, states=network.states(), steps=5)
    return rounded(network), path


def test_the_graph_of_an_exported_file_is_made_anew_with_its_weights_and_its_spec(exported):
    network, path = exported
    out = path.with_name("new.onnx")
    found = asked("steer", "--checkpoint", str(path), "--out", str(out))
    assert found.exit_code == 0, found.output
    assert load_model(out).spec == load_model(path).spec
    assert difference(path, out) < 1e-5
    other = steer.Steer(network.config)
    load_weights(other, out)
    for made, wanted in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.equal(made, wanted)


def test_a_graph_that_would_give_other_masks_is_not_written(exported, monkeypatch):
    _, path = exported
    monkeypatch.setattr(renewed, "TOLERANCE", -1.0)
    found = asked("steer", "--checkpoint", str(path), "--out", str(path.with_name("new.onnx")))
    assert found.exit_code == 1
    assert "differs by" in found.output
    assert [file.name for file in path.parent.iterdir()] == ["old.onnx"]


def test_a_file_of_one_network_has_none_of_directions_alone_to_replace(exported):
    _, path = exported
    out = ["--out", str(path.with_name("new.onnx")), "--by-direction", str(path)]
    found = asked("steer", "--checkpoint", str(path), *out)
    assert found.exit_code == 1
    assert "one network for all directions" in found.output
