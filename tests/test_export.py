import numpy as np
import pytest
import torch
from torch import nn

from models_onnx import steer
from models_onnx.export import ExportError, OneStream, export
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.manual_seed(0)
    network = steer.Steer(steer.CONFIGS["tiny"])
    for parameter in network.parameters():  # masks that depend on everything
        parameter.data += 0.05 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    network.eval()
    export(
        OneStream(network, ["direction"]), steer.spec(network.config), path, states=network.states()
    )
    return network, path


def test_steer_keeps_the_streaming_contract(tiny):
    model = load_model(tiny[1])
    verify_streaming(lambda: Separator(model, 44_100, targets=2), tolerance=1e-5)


def test_steer_is_the_same_function_in_torch_on_whole_scenes(tiny):
    network, path = tiny
    spectra = noise(2, 20 * 1024 * 2).reshape(2, 20, 1024, 2).transpose(1, 0, 2, 3).copy()
    direction = np.tile(np.float32([[[-20, 15], [30, 40]]]), (20, 1, 1))
    found = load_model(path).stepper(2).step(spectra, {"direction": direction})["masks"]
    with torch.no_grad():
        masks, _ = network(
            torch.from_numpy(spectra)[None], {"direction": torch.from_numpy(direction)[None]}
        )
    np.testing.assert_allclose(found, masks[0].numpy(), atol=1e-4)


def test_steer_nulls_a_neighbour_that_is_alone_with_the_target():
    """Two steady tones in one bin: c of the averages is the cotangent of the angle between them."""
    frames, angle = 200, np.deg2rad(30)
    rng = np.random.default_rng(0)
    target, neighbour = np.exp(2j * np.pi * rng.random((2, frames, 1, steer.BINS)))
    theta = np.deg2rad(45 - 10)
    u = np.array([np.cos(theta), np.sin(theta)])[None, :, None]
    w = np.array([np.cos(theta + angle), np.sin(theta + angle)])[None, :, None]
    mixture = torch.view_as_real(torch.from_numpy(target * u + neighbour * w)).float()[None]
    instant = steer.covariances(mixture)
    averages, _ = steer.average(instant, torch.zeros(1, len(steer.DECAYS), 3, steer.BINS))
    direction = torch.tensor([-10.0, 20.0]).expand(1, frames, 2)
    _, slopes = steer.describe(torch.cat([averages, instant[:, :, None]], 2), direction)
    slowest = slopes[0, -1, len(steer.DECAYS) - 1]
    assert slowest.mean().item() == pytest.approx(1 / np.tan(angle), abs=0.05)


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
