"""System 1: shapes as published, bridges that average, a stream that is what was trained."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from models_onnx import networks, spain_config, spain_xumx
from models_onnx.export import export
from models_onnx.interleaved import Interleaved
from models_onnx.spain_config import CONDITIONINGS, CONFIGS, TASKS, XumxConfig
from models_onnx.spain_xumx import SpainXumx
from realtime import Separator, load_model
from tests.contract import verify_streaming

TINY = XumxConfig(
    code=8, window=512, synthesis=256, hop=128, seen=100, bins=120, hidden=8, layers=2,
    bidirectional=False, every=3,
)  # fmt: skip


def tiny(condition: str = "adain", **changes: object) -> SpainXumx:
    """A network whose masks depend on everything, with statistics that are not zero and one."""
    torch.manual_seed(0)
    network = SpainXumx(replace(TINY, condition=condition, **changes))
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    network.train()
    network(torch.randn(2, 9, 2, TINY.bins, 2), {"direction": 20 * torch.randn(2, 9, 4, 2)})
    return network.eval()


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
        aside = math.radians(azimuth + 20)
        expected = torch.stack([level * math.cos(aside), (level * math.sin(aside)).abs()], 2)
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


@pytest.mark.parametrize("frames", [(12,), (1,) * 12, (2, 5, 1, 4), (7, 0, 5)])
def test_interleaved_streams_are_the_lstm_on_every_third_frame(frames):
    torch.manual_seed(0)
    lstm = nn.LSTM(5, 5, 2, batch_first=True)
    x = torch.randn(12, 5)
    expected = torch.zeros(12, 5)
    for phase in range(3):
        expected[phase::3] = lstm(x[None, phase::3])[0][0]
    layer = Interleaved(lstm, 3)
    hidden, cell = torch.zeros(2, 2, 3, 5)
    parts = []
    for part in x.split(list(frames)):
        if len(part):
            out, hidden, cell = layer(part, hidden, cell)
            parts.append(out)
    torch.testing.assert_close(torch.cat(parts), expected, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    network = tiny("adain")
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    spec = spain_config.spec(network.config)
    export(network.streaming(), spec, path, states=network.states())  # refuses beyond 1e-4
    return network, spec, path


def test_the_file_carries_its_spec_and_four_directions(exported):
    _, spec, path = exported
    found = load_model(path).spec
    assert found == spec
    assert found.targets == TASKS["band"]
    assert found.conditions == {"direction": 2}
    assert found.mask_axes == "channels"


def test_the_unidirectional_form_keeps_the_streaming_contract(exported):
    model = load_model(exported[2])
    verify_streaming(lambda: Separator(model, 44_100), tolerance=1e-5)


def test_the_stream_is_the_network_of_training_on_interleaved_frames(exported):
    """torch on every third frame against ONNX on all of them, weights rounded by the export."""
    network, _, path = exported
    spectra = torch.randn(14, 2, 120, 2)
    direction = torch.randn(14, 4, 2) * 10
    found = load_model(path).stepper(4).step(spectra.numpy(), {"direction": direction.numpy()})
    expected = torch.zeros(14, 4, 2, 120)
    with torch.no_grad():
        for phase in range(3):
            told = {"direction": direction[None, phase::3]}
            expected[phase::3] = network(spectra[None, phase::3], told)[0][0]
    np.testing.assert_allclose(found["masks"], expected.numpy(), atol=5e-3)


def test_stems_sum_to_the_mixture(exported):
    separator = Separator(load_model(exported[2]), 44_100)
    noise = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32) * 0.1
    stems = np.concatenate([separator.process(noise), separator.flush()], 2)
    assert separator.stems == (*TASKS["band"], "residual")
    np.testing.assert_allclose(stems.sum(0)[:, separator.latency :], noise, atol=1e-6)


def test_a_bidirectional_network_streams_in_windows(tmp_path):
    """Where a window begins with the stream and ends with it, the masks are those of the clip."""
    network = tiny("adain", bidirectional=True, every=1, context=10, lookahead=4).eval()
    spectra, direction = torch.randn(11, 2, 120, 2), torch.full((11, 4, 2), 20.0)
    path = export(
        network.streaming(),
        spain_config.spec(network.config),
        tmp_path / "m.onnx",
        states=network.states(),
    )
    stepper = load_model(path).stepper(4)
    assert load_model(path).spec.tier("studio").lookahead == 4
    found = [
        stepper.step(spectra[a:b].numpy(), {"direction": direction[a:b].numpy()})["masks"].copy()
        for a, b in ((0, 3), (3, 4), (4, 11))
    ]
    whole = load_model(path).stepper(4)
    at_once = whole.step(spectra.numpy(), {"direction": direction.numpy()})["masks"]
    np.testing.assert_allclose(np.concatenate(found), at_once, atol=1e-5)
    for newest in (6, 10):  # its window is 14 − newest empty encodings, then the stream
        expected = masks_of_window(network, spectra[: newest + 1], direction[:1], 14 - newest)
        np.testing.assert_allclose(at_once[newest], expected[10].numpy(), atol=5e-3)


@torch.no_grad()
def masks_of_window(network, spectra, direction, empty):
    """Masks of all frames of one window that begins with so many empty encodings."""
    told = {"direction": direction[None].expand(1, empty + len(spectra), -1, -1)}
    encodings = network.encode(spectra[None], {"direction": told["direction"][:, empty:]})
    encodings = functional.pad(encodings, (0, 0, empty, 0))
    bridge = encodings.mean(0)
    memories = torch.stack([lstm(bridge)[0] for lstm in network.lstms])
    return network.decode(encodings, memories, told)[0]


def test_every_small_network_fits_into_eight_megabytes():
    for name in CONFIGS:
        if not name.startswith("paper") and not name.endswith("blstm"):
            network, _, _ = networks.build("spain-xumx", name)
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


@pytest.mark.parametrize("condition", CONDITIONINGS)
def test_every_conditioning_is_exported_for_any_number_of_frames(condition, tmp_path):
    network = tiny(condition)
    spec = spain_config.spec(network.config)
    path = export(network.streaming(), spec, tmp_path / "m.onnx", states=network.states())
    told = {"direction": np.zeros((5, 4, 2), np.float32)}
    masks = load_model(path).stepper(4).step(np.ones((5, 2, 120, 2), np.float32), told)["masks"]
    assert masks.shape == (5, 4, 2, 120)
