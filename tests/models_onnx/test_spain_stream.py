"""System 1 exported: a stream that is what was trained, frame by frame and in windows."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from models_onnx.export import export
from models_onnx.networks.spain import config as spain_config
from models_onnx.networks.spain.config import CONDITIONINGS, TASKS
from models_onnx.networks.spain.interleaved import Interleaved
from realtime import Separator, load_model
from tests.support.contract import verify_streaming
from tests.support.spain import tiny


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
    found = load_model(path).stream(4).step(spectra.numpy(), {"direction": direction.numpy()})
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
    stream = load_model(path).stream(4)
    assert load_model(path).spec.tier("studio").lookahead == 4
    found = [
        stream.step(spectra[a:b].numpy(), {"direction": direction[a:b].numpy()})["masks"].copy()
        for a, b in ((0, 3), (3, 4), (4, 11))
    ]
    whole = load_model(path).stream(4)
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


@pytest.mark.parametrize("condition", CONDITIONINGS)
def test_every_conditioning_is_exported_for_any_number_of_frames(condition, tmp_path):
    network = tiny(condition)
    spec = spain_config.spec(network.config)
    path = export(network.streaming(), spec, tmp_path / "m.onnx", states=network.states())
    told = {"direction": np.zeros((5, 4, 2), np.float32)}
    masks = load_model(path).stream(4).step(np.ones((5, 2, 120, 2), np.float32), told)["masks"]
    assert masks.shape == (5, 4, 2, 120)
