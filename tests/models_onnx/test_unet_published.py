"""The U-Nets of systems 2 to 5 as published: their shapes, sizes and conditions."""

from dataclasses import replace

import pytest
import torch

from models_onnx.networks.unet.published import (
    PUBLISHED,
    Pictures,
    PublishedIass,
    PublishedUNet,
    VisualMotion,
)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def test_the_unet_of_system_4_has_its_published_shape_and_size() -> None:
    network = PublishedUNet(PUBLISHED["label-none"]).eval()
    assert 5.145e6 < count(network) < 5.165e6
    assert network(torch.rand(1, 1, 512, 256)).shape == (1, 13, 512, 256)
    deepest = []
    network.norms[-1].register_forward_hook(lambda *given: deepest.append(given[2].shape))
    network(torch.rand(1, 1, 512, 256))
    assert deepest == [(1, 512, 8, 4)]
    heads = PublishedUNet(PUBLISHED["label-heads"])
    assert len(heads.decoders) == 13
    assert heads.eval()(torch.rand(1, 1, 64, 64)).shape == (1, 13, 64, 64)


@torch.no_grad()
@pytest.mark.parametrize("name", [n for n, c in PUBLISHED.items() if c.condition])
def test_a_published_unet_heeds_its_condition(name: str) -> None:
    torch.manual_seed(0)
    config = replace(PUBLISHED[name], channels=(4, 8, 8, 8, 8, 8))
    network, sound = PublishedUNet(config).eval(), torch.rand(1, 1, 128, 128)
    masks = [network(sound, torch.rand(1, config.condition)) for _ in range(2)]
    assert masks[0].shape == (1, config.masks, 128, 128)
    assert (masks[0] - masks[1]).abs().max() > 1e-6


@torch.no_grad()
def test_labels_that_are_absent_silence_their_masks() -> None:
    network = PublishedUNet(replace(PUBLISHED["label-multiply"], channels=(4,) * 6)).eval()
    masks = network(torch.rand(1, 1, 64, 64), torch.eye(13)[2:3])
    assert masks[:, 2].min() > 0
    assert masks[:, [0, 1, *range(3, 13)]].abs().max() == 0


@torch.no_grad()
def test_system_5_shrinks_frequency_alone_as_published() -> None:
    network, shapes = PublishedIass().eval(), []
    for down in network.down:
        down.register_forward_hook(lambda *given: shapes.append(given[2].shape))
    masks, logit = network(torch.rand(1, 2, 1487, 7))
    assert shapes == [(1, 16, 495, 7), (1, 32, 165, 7), (1, 48, 55, 7)]
    assert masks.shape == (1, 2, 2049, 7)
    assert logit.shape == (1, 7)
    assert masks.min() == 0


def test_pictures_become_one_condition() -> None:
    players = torch.rand(2, 3, 2048)
    assert torch.equal(Pictures()(players), Pictures()(players.flip(1)))
    assert Pictures()(players).shape == VisualMotion()(torch.rand(2, 5, 2048)).shape == (2, 1024)
