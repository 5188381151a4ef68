"""A network of system 1 that is small, for tests."""

from dataclasses import replace

import torch

from models_onnx.networks.spain.config import XumxConfig
from models_onnx.networks.spain.network import SpainXumx

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
