"""System 1: shapes as published, bridges that average, conditions that are heard."""

import math

import numpy as np
import pytest
import torch

from models_onnx.networks import registry
from models_onnx.networks.spain import config as spain_config
from models_onnx.networks.spain import network as spain_xumx
from models_onnx.networks.spain.config import CONDITIONINGS, CONFIGS, XumxConfig
from models_onnx.networks.spain.network import SpainXumx
from tests.support.spain import tiny


def parameters(name: str) -> int:
    return sum(p.numel() for p in SpainXumx(CONFIGS[name]).parameters())


def test_the_paper_s_networks_have_the_paper_s_parameters():
    assert parameters("paper-band-none") == 35_573_392  # 35.57 M, 8.89 M a source
    assert parameters("paper-guitars-positional") == 43_962_000  # 43.96 M, F = 2048
    assert parameters("paper-band-concat") == 35_573_392 + 4 * 2 * 512  # one number a channel


def test_the_paper_s_layers_have_the_paper_s_shapes():
    branch = SpainXumx(CONFIGS["paper-band-none"])
    shapes = {
        name: tuple(p.shape) for name, p in branch.named_parameters() if ".0." in name
    }  # of the first source
    assert shapes["encoders.0.mean"] == shapes["encoders.0.scale"] == (1487,)
    assert shapes["encoders.0.linear.weight"] == (512, 2 * 1487)
    assert shapes["lstms.0.weight_ih_l2_reverse"] == (4 * 256, 512)
    assert shapes["decoders.0.hidden.weight"] == (512, 1024)
    assert shapes["decoders.0.out.weight"] == (2 * 2049, 512)
    assert shapes["decoders.0.scale"] == shapes["decoders.0.mean"] == (2049,)
    assert branch.lstms[0].dropout == 0.4
    config = branch.config
    assert (config.window, config.hop, spain_config.spec(config).sample_rate) == (
        4096,
        1024,
        44_100,
    )


@pytest.mark.parametrize("condition", CONDITIONINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_masks_of_all_sources_on_both_channels(condition, bidirectional):
    network = tiny(condition, bidirectional=bidirectional)
    masks, states = network(
        torch.randn(2, 5, 2, 120, 2), {"direction": 20 * torch.randn(2, 5, 4, 2)}
    )
    assert masks.shape == (2, 5, 4, 2, 120)
    assert masks.min() >= 0
    assert states == ()


def test_the_first_bridge_averages_the_encodings():
    network = tiny("none")
    heard: list[torch.Tensor] = []
    network.lstms[2].register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    spectrum = torch.randn(1, 4, 2, 120, 2)
    network(spectrum, {})
    seen = spectrum[:, :, :, :100].square().sum(-1).sqrt()
    encodings = [encoder(seen, None, None) for encoder in network.encoders]
    torch.testing.assert_close(heard[0], sum(encodings) / 4)


def test_the_second_bridge_averages_encodings_and_memories():
    network = tiny("none")
    heard: list[torch.Tensor] = []
    for decoder in network.decoders:
        decoder.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    spectrum = torch.randn(1, 4, 2, 120, 2)
    network(spectrum, {})
    seen = spectrum[:, :, :, :100].square().sum(-1).sqrt()
    encodings = [encoder(seen, None, None) for encoder in network.encoders]
    bridge = sum(encodings) / 4
    memories = [lstm(bridge)[0] for lstm in network.lstms]
    expected = torch.cat([bridge, sum(memories) / 4], -1)
    for bridged in heard:
        torch.testing.assert_close(bridged, expected)


def test_a_source_alone_is_not_changed_by_the_bridges_of_one():
    """With one source both means are its own."""
    network = tiny("none", sources=("guitar",))
    spectrum = torch.randn(1, 4, 2, 120, 2)
    seen = spectrum[:, :, :, :100].square().sum(-1).sqrt()
    x = network.encoders[0](seen, None, None)
    mask = network.decoders[0](torch.cat([x, network.lstms[0](x)[0]], -1), None)
    torch.testing.assert_close(network(spectrum, {})[0][:, :, 0], mask)


def test_estimates_can_sum_to_the_mixture():
    """Trap (a): no clamp of the spectra, so masks of a quarter give the mixture back."""
    network = tiny("none")
    for decoder in network.decoders:
        decoder.scale.data.zero_()
        decoder.mean.data.fill_(0.25)
    masks, _ = network(torch.randn(1, 6, 2, 120, 2), {})
    torch.testing.assert_close(masks.sum(2), torch.ones(1, 6, 2, 120))


def test_the_magnitude_is_that_of_negative_parts_too():
    spectrum = torch.tensor([[3.0, -4.0], [-3.0, -4.0], [0.0, 0.0]])
    torch.testing.assert_close(
        spain_xumx.magnitude(spectrum), torch.tensor([5.0, 5.0, 0.0]), atol=2e-6, rtol=0
    )


def test_steered_a_source_that_is_alone_is_not_across_its_direction():
    network = tiny("steered")
    heard: list[torch.Tensor] = []
    for encoder in network.encoders:
        encoder.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    theta = math.radians(45 - 20)
    source = torch.randn(1, 4, 1, 120, 2)
    spectrum = source * torch.tensor([math.cos(theta), math.sin(theta)])[:, None, None]
    azimuth_deg = torch.tensor([-20.0, 70.0 - 45, -45.0, 45.0])
    direction = torch.stack([azimuth_deg, torch.full((4,), 20.0)], -1).expand(1, 4, 4, 2)
    network(spectrum, {"direction": direction})
    level = source[:, :, 0, :100].square().sum(-1).sqrt()
    for seen, azimuth in zip(heard, azimuth_deg.tolist(), strict=True):
        offset_deg = math.radians(azimuth + 20)
        expected = torch.stack(
            [level * math.cos(offset_deg), (level * math.sin(offset_deg)).abs()], 2
        )
        torch.testing.assert_close(seen, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("condition", CONDITIONINGS)
def test_the_condition_changes_the_output_if_it_is_told(condition):
    network = tiny(condition)
    spectrum = torch.randn(1, 4, 2, 120, 2)
    left, right = (
        network(spectrum, {"direction": torch.full((1, 4, 4, 2), azimuth)})[0]
        for azimuth in (-30.0, 30.0)
    )
    assert torch.equal(left, right) == (condition == "none")


def test_the_width_is_not_looked_at():
    network = tiny("adain")
    spectrum, direction = torch.randn(1, 4, 2, 120, 2), torch.rand(1, 4, 4, 2)
    wide = direction + torch.tensor([0.0, 40.0])
    assert torch.equal(
        network(spectrum, {"direction": direction})[0], network(spectrum, {"direction": wide})[0]
    )


def test_the_positional_code_is_its_formula():
    size, azimuths = 6, torch.tensor([12.0, -12.0, 0.0])
    code = spain_xumx.positional_code(azimuths, size)
    for row, azimuth in zip(code, azimuths.tolist(), strict=True):
        for k in range(size):
            place = k if azimuth >= 0 else size - 1 - k
            phase = abs(azimuth) / 45 ** (2 * (place // 2) / size)
            expected = np.sin(phase) if k % 2 == 0 else np.cos(phase)
            assert row[k].item() == pytest.approx(expected, abs=1e-5)


def test_every_small_network_fits_into_eight_megabytes():
    for name in CONFIGS:
        if not name.startswith("paper") and not name.endswith("blstm"):
            network, _, _ = registry.build("spain-xumx", name)
            assert sum(p.numel() for p in network.parameters()) * 2 < 8e6  # in float16


def test_a_configuration_that_is_none_is_refused():
    with pytest.raises(ValueError, match="condition is 'film'"):
        XumxConfig(condition="film")


def test_standardising_makes_the_seen_bins_of_zero_mean_and_unit_deviation():
    network = tiny("none")
    spectra = torch.randn(3, 20, 2, 129, dtype=torch.complex64) * 5
    network.standardise(spectra)
    seen = spectra[..., :100].abs()
    standard = (seen - network.encoders[1].mean) * network.encoders[1].scale
    torch.testing.assert_close(standard.flatten(0, 2).mean(0), torch.zeros(100), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.flatten(0, 2).std(0), torch.ones(100), atol=1e-3, rtol=0)
