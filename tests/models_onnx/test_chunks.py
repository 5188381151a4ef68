"""Published U-Nets in a stream: by chunks, the same in any blocks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx.export.chunks import export_chunk
from models_onnx.networks.unet.chunks import Chunk, spec
from models_onnx.networks.unet.published import PUBLISHED, PublishedIass, PublishedUNet
from realtime import Separator, load_model
from tests.support.contract import verify_streaming
from tests.support.signals import noise

SMALL = (4, 4, 8, 8, 8, 8)


def drawn(name: str, channels: tuple[int, ...] = SMALL) -> PublishedUNet:
    """A published network with random weights, and norms that have seen something."""
    torch.manual_seed(0)
    network = PublishedUNet(replace(PUBLISHED[name], channels=channels)).eval()
    for key, buffer in network.named_buffers():
        if "running_var" in key:
            buffer.data += 2.0 * torch.rand_like(buffer)
    return network


def written(folder: Path, name: str) -> Path:
    """The file of a small network, called as it is."""
    if name == "activity":
        torch.manual_seed(0)
        network: PublishedIass | PublishedUNet = PublishedIass().eval()
        return export_chunk(network, spec(name, network, "vocals"), folder / f"{name}.onnx")
    network = drawn(name)
    return export_chunk(network, spec(name, network), folder / f"{name}.onnx")


@pytest.mark.parametrize(
    ("name", "tier"),
    [("query", "studio"), ("fewshot", "studio"), ("label-none", "offline"),
     ("label-encoder", "studio"), ("label-encoder", "offline"), ("one-hot", "studio")],
)  # fmt: skip
def test_a_published_network_keeps_the_contract_of_streams(
    name: str, tier: str, tmp_path: Path
) -> None:
    model = load_model(written(tmp_path, name))
    vector = np.zeros(model.spec.conditions["timbre"], np.float32)
    vector[1] = 1

    def make() -> Separator:
        separator = Separator(model, 44_100, tier=tier)
        separator.set(timbre=vector)
        return separator

    stems = verify_streaming(make, samples=12_000, tolerance=1e-5)
    taken, rest = stems[:, :, -12_000:]
    assert np.abs(taken).max() > 1e-4, "it gives something"
    assert np.abs(rest).max() > 1e-4, "and not everything"


def test_system_5_is_the_same_in_any_blocks(tmp_path: Path) -> None:
    model = load_model(written(tmp_path, "activity"))
    assert model.spec.targets == ("vocals",)
    sound = noise(2, 6_000)
    separator = Separator(model, 44_100, tier="studio")
    whole = separator.process(sound)
    separator.reset()
    parts = [separator.process(part) for part in np.split(sound, [1, 257, 512, 4_000], axis=1)]
    assert np.array_equal(np.concatenate(parts, axis=-1), whole)
    assert np.abs(whole[0, :, -500:]).max() > 1e-4


@torch.no_grad()
def test_a_chunk_is_what_the_published_network_gives_of_its_magnitudes() -> None:
    network = drawn("label-multiply")
    spectrum = 1e-3 * torch.randn(64, 2, 512, 2)
    told = torch.nn.functional.one_hot(torch.tensor([2, 5]), 13).float()
    found = Chunk(network)(spectrum, told)
    assert found.shape == (64, 2, 1, 512)
    magnitude = 2048 * torch.view_as_complex(spectrum.mean(1)).abs().T[None, None]
    for target, label in enumerate((2, 5)):
        expected = network(magnitude, told[target : target + 1])[0, label]
        assert torch.allclose(found[:, target, 0].T, expected, atol=1e-5)
    free = Chunk(network)(spectrum, torch.zeros(1, 13))
    assert torch.equal(free, torch.ones_like(free))


def test_the_paper_s_own_size_is_written_and_runs(tmp_path: Path) -> None:
    network = drawn("label-encoder", PUBLISHED["label-encoder"].channels)
    path = export_chunk(network, spec("label", network), tmp_path / "label.onnx")
    model = load_model(path)
    assert len(model.spec.classes) == 13
    separator = Separator(model, 44_100, tier="studio")
    separator.set(timbre=np.array(model.spec.classes["violin"], np.float32))
    out = separator.process(0.1 * np.random.default_rng(0).standard_normal((2, 9_000)).astype("f4"))
    assert np.isfinite(out).all()
    assert separator.model_faults == 0
