from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from models_onnx import steer
from models_onnx.checkpoints import CheckpointError
from models_onnx.export import ExportError, OneStream, export, rounded
from models_onnx.networks import load_weights
from models_onnx.panorama import SPEC, Panorama
from realtime import Separator, load_model
from tests.contract import verify_streaming
from tests.signals import noise


class Drifting(nn.Module):
    """A network that is not the same function twice: what is traced cannot agree with it."""

    def forward(self, spectrum, direction):
        masks = Panorama()(spectrum, direction)
        return masks + 0.01 * float(np.random.default_rng().random())


def test_an_exported_network_carries_its_spec(tmp_path):
    path = export(Panorama(), SPEC, tmp_path / "p.onnx")
    assert load_model(path).spec == SPEC


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
        OneStream(network, ["direction"]), steer.spec(network.config), path, states=network.states()
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
    found = load_model(path).stepper(2).step(spectra, {"direction": direction})["masks"]
    with torch.no_grad():
        answer = network(
            torch.from_numpy(spectra)[None], {"direction": torch.from_numpy(direction)[None]}
        )
    np.testing.assert_allclose(found, answer.masks[0].numpy(), atol=1e-4)


def test_steer_nulls_a_neighbour_that_is_alone_with_the_target():
    """Two steady tones in one bin: c of the averages is the cotangent of the angle between them."""
    frames, angle = 200, np.deg2rad(30)
    rng = np.random.default_rng(0)
    target, neighbour = np.exp(2j * np.pi * rng.random((2, frames, 1, steer.BINS)))
    theta = np.deg2rad(45 - 10)
    u = np.array([np.cos(theta), np.sin(theta)])[None, :, None]
    w = np.array([np.cos(theta + angle), np.sin(theta + angle)])[None, :, None]
    mixture = torch.view_as_real(torch.from_numpy(target * u + neighbour * w)).float()[None]
    instant = steer.pool(steer.covariances(mixture))
    averages, _ = steer.average(instant, torch.zeros(1, len(steer.DECAYS), 3, steer.CELLS))
    theta = steer.radians(torch.full((1, frames), -10.0))
    _, slopes = steer.describe(averages, instant, theta)
    slowest = slopes[0, -1, len(steer.DECAYS) - 1]
    assert slowest.mean().item() == pytest.approx(1 / np.tan(angle), abs=0.05)


def test_the_last_frames_wait_for_their_look_ahead():
    ahead = steer.Steer(replace(steer.CONFIGS["tiny"], lookahead=4)).eval()
    spectra = torch.randn(1, 12, 2, steer.BINS, 2)
    direction = {"direction": torch.tensor([10.0, 20.0]).expand(1, 12, 1, 2)}
    with torch.no_grad():
        waiting = ahead(spectra, direction).states[-1]
    assert torch.equal(waiting, steer.pool(steer.covariances(spectra))[:, -4:])


def test_a_mask_without_null_leaves_the_other_direction_alone():
    masked = steer.Steer(replace(steer.CONFIGS["tiny"], null=False, aim=False)).eval()
    spectra = torch.randn(1, 12, 2, steer.BINS, 2)
    direction = {"direction": torch.tensor([10.0, 20.0]).expand(1, 12, 1, 2)}
    with torch.no_grad():
        masks = masked(spectra, direction).masks
        nulled = steer.Steer(steer.CONFIGS["tiny"]).eval()(spectra, direction).masks
    assert not masks[:, :, :, 1:3].any()
    assert nulled[:, :, :, 1].abs().max() > 0.01


def test_cells_share_the_masks_of_their_bins_and_sum_their_power():
    power = torch.arange(float(steer.BINS))
    cells = steer.pool(power)
    assert cells[[0, 255, 256, 383, 384, 511]].tolist() == [
        0, 255, 256 + 257, 510 + 511, 512 + 513 + 514 + 515, 1020 + 1021 + 1022 + 1023,
    ]  # fmt: skip
    spread = steer.spread(torch.arange(float(steer.CELLS)))
    assert spread.shape == (steer.BINS,)
    assert spread[[0, 255, 256, 257, 511, 512, 515, 1023]].tolist() == [
        0, 255, 256, 256, 383, 384, 384, 511,
    ]  # fmt: skip


def test_rotating_the_covariances_is_rotating_the_channels():
    left, right = torch.randn(2, 50, 2)
    theta = torch.tensor(0.7)
    along = left * torch.cos(theta) + right * torch.sin(theta)
    across = right * torch.cos(theta) - left * torch.sin(theta)
    expected = ((x * y).sum() for x, y in ((along, along), (across, across), (along, across)))
    given = ((left * left).sum(), (right * right).sum(), (left * right).sum())
    for found, wanted in zip(steer.rotate(*given, theta), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


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
    assert kinds["network.aim.out.weight"] == onnx.TensorProto.FLOAT
    assert path.stat().st_size < 3 * sum(w.numel() for w in network.parameters()) + 300_000


def test_the_averages_are_those_of_the_recursion():
    instant = torch.rand(1, 7, 3, 4)
    state = torch.rand(1, len(steer.DECAYS), 3, 4)
    found, last = steer.average(instant, state)
    for k, decay in enumerate(steer.DECAYS):
        value = state[0, k]
        for frame in range(7):
            value = decay * value + (1 - decay) * instant[0, frame]
            torch.testing.assert_close(found[0, frame, k], value)
        torch.testing.assert_close(last[0, k], value)
