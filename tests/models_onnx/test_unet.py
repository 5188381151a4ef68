"""The small U-Nets: their streams, gates and files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx.networks import registry
from models_onnx.networks.unet.config import UNetConfig
from models_onnx.networks.unet.stream import Hold, Median, Stream
from realtime import Separator, load_model
from realtime.encoder import load_encoder
from tests.support.contract import verify_streaming
from tests.support.unets import tiny_system, unet_file

KINDS = ("query", "fewshot", "activity", "label-encoder", "label-multiply", "label-none")


@pytest.mark.parametrize("name", ["query", "fewshot", "activity", "label-encoder"])
def test_a_small_network_is_small(name: str) -> None:
    system, _, _ = registry.build("unet", name)
    halves = sum(p.numel() * (2 if p.numel() >= 1024 else 4) for p in system.parameters())
    assert halves < 8e6


def told(config: UNetConfig, frames: int, batch: int = 1) -> torch.Tensor | None:
    size = config.condition * (1 + config.against)
    return torch.rand(batch, frames, size) if size else None


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_a_stream_is_cut_anywhere(name: str) -> None:
    network = tiny_system(name).unet.interleaved()
    spectrum, condition = torch.randn(1, 23, 2, 1024, 2), told(network.config, 23)
    states = [torch.zeros(1, *shape) for shape in network.states().values()]
    whole = network(spectrum, condition, states)
    parts, first = [], 0
    for frames in (1, 1, 7, 3, 11):
        part = slice(first, first + frames)
        now = None if condition is None else condition[:, part]
        answer = network(spectrum[:, part], now, states)
        states, first = list(answer.states), first + frames
        parts.append(answer.masks)
    assert torch.allclose(torch.cat(parts, 1), whole.masks, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(states, whole.states, strict=True))


@torch.no_grad()
def test_every_fourth_frame_of_a_stream_is_what_was_trained() -> None:
    network = tiny_system("query").unet
    spectrum, some = torch.randn(1, 24, 2, 1024, 2), slice(3, None, 4)
    condition = told(network.config, 1).expand(-1, 24, -1)
    stream = network.interleaved()
    found = stream(spectrum, condition).masks[:, some]
    seen = spectrum[:, some], condition[:, some]
    assert torch.allclose(found, network(*seen).masks, atol=2e-2)  # the level is of more frames
    assert not torch.allclose(found, stream(*seen).masks, atol=2e-2)


@torch.no_grad()
def test_masks_do_not_depend_on_the_level() -> None:
    network = tiny_system("activity").unet
    spectrum, condition = torch.randn(1, 9, 2, 1024, 2), told(network.config, 9)
    quiet = network(1e-3 * spectrum, condition).masks
    assert torch.allclose(quiet, network(spectrum, condition).masks, atol=1e-4)


@torch.no_grad()
def test_a_timbre_that_is_free_leaves_the_mixture() -> None:
    stream = Stream(tiny_system("fewshot"))
    nothing = torch.zeros(1, 4, 1, 64)
    free = stream(torch.randn(1, 4, 2, 1024, 2), {"timbre": nothing, "against": nothing})
    assert torch.equal(free.masks, torch.ones(1, 4, 1, 1, 1024))


@torch.no_grad()
def test_what_plays_besides_is_told_and_not_taken() -> None:
    system = tiny_system("label-multiply")
    spectrum, labels = torch.randn(1, 3, 2, 1024, 2), torch.eye(13)
    alone = {"timbre": labels[4].expand(1, 3, 1, 13), "against": torch.zeros(1, 3, 1, 13)}
    beside = {**alone, "against": labels[7].expand(1, 3, 1, 13)}
    found = [Stream(system)(spectrum, c).masks for c in (alone, beside)]
    assert torch.allclose(*found, atol=1e-6)  # multiplying knows of no other mask
    system = tiny_system("label-encoder")
    found = [Stream(system)(spectrum, c).masks for c in (alone, beside)]
    assert not torch.allclose(*found, atol=1e-4)


def run_in_parts(
    gate: Hold | Median, activity: list[float], sizes: list[int]
) -> tuple[list[float], list[float]]:
    """Return the weights and the activity that a gate gives, in calls of some sizes."""
    states = [torch.zeros(1, *shape) for shape in gate.states().values()]
    weights, told, first = [], list[float](), 0
    for size in sizes:
        now = torch.logit(torch.tensor([activity[first : first + size]]))
        masks, logit, more = gate(torch.ones(1, size, 2), now, states)
        states, first = list(more), first + size
        weights += masks[0, :, 0].tolist()
        told += torch.sigmoid(logit)[0].tolist()
    return weights, told


def test_a_gate_holds_and_has_hysteresis() -> None:
    activity = [0.1, 0.6, 0.4, 0.4, 0.2, 0.4, 0.4, 0.4, 0.9, 0.1]
    expected = [0, 1, 1, 1, 1, 1, 0, 0, 1, 1]  # open until 0.2, then held for two more frames
    for sizes in ([10], [1] * 10, [4, 1, 5]):
        weights, told = run_in_parts(Hold(3), activity, sizes)
        assert weights == expected
        assert told == pytest.approx(activity)


def test_a_median_drops_what_is_short_and_comes_later() -> None:
    activity = [0.9] * 5 + [0.1] + [0.9] * 4 + [0.1] * 5 + [0.9] + [0.1] * 4
    for sizes in ([20], [1] * 20, [3, 9, 8]):
        weights, told = run_in_parts(Median(2, 2), activity, sizes)
        # two frames late: the hole is filled, the blip is gone
        assert weights[2:] == [1.0] * 10 + [0.0] * 8
        assert told[2:] == pytest.approx(activity[:-2])


@pytest.mark.parametrize(
    ("name", "gate"),
    [("query", "none"), ("fewshot", "none"), ("label-encoder", "none"), ("label-none", "none"),
     ("label-binary", "none"),
     ("activity", "hold"), ("activity", "median")],
)  # fmt: skip
def test_an_exported_network_keeps_the_contract_of_streams(
    name: str, gate: str, tmp_path: Path
) -> None:
    path = unet_file(tmp_path, name, gate)
    model = load_model(path)
    tier = next(iter(model.spec.tiers))
    vector = np.array(next(iter(model.spec.classes.values())), np.float32)

    def make() -> Separator:
        separator = Separator(model, 44_100, tier=tier)
        separator.set(timbre=vector)
        return separator

    stems = verify_streaming(make, tolerance=2e-4)
    assert 1e-4 < np.abs(stems[0]).max() < np.abs(stems.sum(0)).max() * 1.5
    if model.spec.encoder:
        encoder = load_encoder(str(tmp_path / "encoders" / f"{model.spec.name}.onnx"))
        assert encoder.spec.encoder == model.spec.encoder
        heard = encoder.encode(
            0.1 * np.random.default_rng(0).standard_normal((2, 44_100)).astype("f4")
        )
        assert heard.shape == vector.shape
        assert np.linalg.norm(heard) == pytest.approx(1, abs=1e-3)
