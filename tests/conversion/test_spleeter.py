"""Spleeter's network as an ONNX file gives what the network gives."""

import numpy as np
import pytest
import torch

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.sources import spleeter_spec
from realtime import Separator, StemsteerError, load_model
from realtime.spec import ModelSpec
from tests.support.contract import verify_streaming
from tests.support.unet import ReferenceUNet, random_weights


def two_sources():
    tiers = spleeter.OFFLINE_TIERS
    return ModelSpec("two", tiers, {}, "channels", bins=1024, targets=("vocals", "other"))


def spectrum(frames, seed=0):
    drawn = np.random.default_rng(seed).standard_normal((frames, 2, 1024, 2))
    return (1e-3 * drawn).astype(np.float32)


def factors(weights, spectra, *, elu=False):
    """Factors (frames, 2, bins) by the reference."""
    size = 2048 * np.sqrt((spectra.astype(np.float64) ** 2).sum(-1))
    magnitude = torch.from_numpy(size.astype(np.float32)).transpose(0, 1)[None]
    with torch.no_grad():
        return ReferenceUNet(weights, elu=elu)(magnitude)[0].transpose(0, 1).numpy()


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    weights = random_weights()
    path = tmp_path_factory.mktemp("spleeter") / "exact.onnx"
    spleeter.convert({"vocals": spleeter.UNet(weights)}, path, spleeter_spec(), half=False)
    return weights, load_model(path)


@pytest.mark.parametrize("frames", [64, 128])
def test_the_masks_are_those_of_the_network(converted, frames):
    weights, model = converted
    expected = factors(weights, spectrum(frames))
    assert expected.std() > 0.05, "the weights let sound through"
    for newest in (1, 2, 7, 40, frames):
        masks = model.run(spectrum(frames), newest)
        assert masks.shape == (newest, 1, 2, 1024)
        np.testing.assert_allclose(masks[:, 0], expected[-newest:], atol=1e-4)


def test_elu_in_place_of_leaky_relu(tmp_path):
    weights = random_weights(1)
    network = spleeter.UNet(weights, elu=True)
    spleeter.convert({"vocals": network}, tmp_path / "e.onnx", spleeter_spec(), half=False)
    masks = load_model(tmp_path / "e.onnx").run(spectrum(64), 64)
    np.testing.assert_allclose(masks[:, 0], factors(weights, spectrum(64), elu=True), atol=1e-4)


def test_several_sources_share_by_their_squares(tmp_path):
    networks = {name: random_weights(seed) for name, seed in (("vocals", 0), ("other", 1))}
    unets = {name: spleeter.UNet(weights) for name, weights in networks.items()}
    spleeter.convert(unets, tmp_path / "two.onnx", two_sources(), half=False)
    masks = load_model(tmp_path / "two.onnx").run(spectrum(64), 64)
    squares = np.stack([factors(w, spectrum(64)) ** 2 for w in networks.values()], axis=1)
    np.testing.assert_allclose(masks, squares / squares.sum(1, keepdims=True), atol=1e-4)


def test_a_network_beside_the_targets_only_takes_its_share(tmp_path):
    networks = {name: spleeter.UNet(random_weights(k)) for k, name in enumerate(("vocals", "rest"))}
    spleeter.convert(networks, tmp_path / "one.onnx", spleeter_spec("offline"), half=False)
    masks = load_model(tmp_path / "one.onnx").run(spectrum(64), 64)
    voice, rest = (factors(n.weights, spectrum(64)) ** 2 for n in networks.values())
    np.testing.assert_allclose(masks[:, 0], voice / (voice + rest), atol=1e-4)
    swapped = dict(reversed(networks.items()))
    with pytest.raises(ValueError, match=r"\['rest', 'vocals'\].*first"):
        spleeter.convert(swapped, tmp_path / "one.onnx", spleeter_spec("offline"))


def test_half_precision_keeps_the_file_small_and_the_masks_near(converted, tmp_path):
    weights, exact = converted
    path = tmp_path / "half.onnx"
    spleeter.convert({"vocals": spleeter.UNet(weights)}, path, spleeter_spec())
    assert path.stat().st_size < 20e6
    masks = load_model(path).run(spectrum(64), 64)
    assert np.abs(masks - exact.run(spectrum(64), 64)).max() < 0.02


def test_the_model_keeps_the_streaming_contract_live(converted):
    _, model = converted
    verify_streaming(lambda: Separator(model, 44_100, tier="live"), samples=16_000)


@pytest.mark.parametrize("change", ["shape", "missing", "nan"])
def test_weights_that_are_not_of_the_network_are_refused(change):
    weights = random_weights()
    if change == "shape":
        weights["down3_conv.1.weight"] = np.zeros((64, 32, 3, 3), np.float32)
    elif change == "missing":
        del weights["down3_conv.1.weight"]
    else:
        weights["down3_conv.1.weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(StemsteerError, match=r"down3_conv\.1\.weight"):
        spleeter.UNet(weights)
