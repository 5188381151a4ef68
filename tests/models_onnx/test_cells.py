"""Cells of time and frequency: bins come in and go out, covariances turn and are averaged."""

import torch

from models_onnx.networks.steer import cells
from models_onnx.networks.steer.cells import BINS, CELLS, averaged, fading, pool, rotate

DECAYS = (0.95, 0.993)


def test_cells_share_the_masks_of_their_bins_and_sum_their_power():
    power = torch.arange(float(BINS))
    pooled = pool(power)
    assert pooled[[0, 255, 256, 383, 384, 511]].tolist() == [
        0, 255, 256 + 257, 510 + 511, 512 + 513 + 514 + 515, 1020 + 1021 + 1022 + 1023,
    ]  # fmt: skip
    spread = cells.spread(torch.arange(float(CELLS)))
    assert spread.shape == (BINS,)
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
    for found, wanted in zip(rotate(*given, theta), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_the_averages_are_those_of_the_recursion():
    instant = torch.rand(1, 7, 3, 4)
    state = torch.rand(1, len(DECAYS), 3, 4)
    found, last = averaged(instant, state, *fading(instant, DECAYS), batch=len(instant))
    for k, decay in enumerate(DECAYS):
        value = state[0, k]
        for frame in range(7):
            value = decay * value + (1 - decay) * instant[0, frame]
            torch.testing.assert_close(found[0, frame, k], value)
        torch.testing.assert_close(last[0, k], value)
