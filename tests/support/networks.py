"""Networks with weights that no two layers share, and that nothing is zero in."""

import torch


def stirred(network: torch.nn.Module) -> None:
    """Move every weight a little from where it begins."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
