"""What the live U-Net learns by timbre, from the weights of system 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks import checkpoints
from models_onnx.networks.stft import analyse
from models_onnx.networks.timbre_live import TimbreLive
from models_onnx.training.timbre_masks import TimbreMaskTask
from models_onnx.training.timbre_questions import Asking
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec

ASKING = Asking(direction=0.0, both=0.0, against=0.0, query=0.2, family=0.05, absent=0.12, clips=1)
FITTED, NOISE = 1500, 0.06
"""Steps in which names learn to say what the means of system 2 said, and what is added to them."""


def begin_with_query(network: TimbreLive, path: Path) -> None:
    """Give a network the weights of a run of system 2 wherever they fit.

    What is new adds nothing at first. Its names are told as the mean timbres of that run were, so
    the encoder has to be its own before. Raises StemsteerError if it is no such run.
    """
    found = checkpoints.load(path)
    about = found["about"]
    if (about.get("network"), about.get("config")) != ("unet", "query"):
        raise StemsteerError(f"{path} holds no run of train-unet query")
    given, own = found["average"], network.state_dict()
    fitting = {
        name: weight
        for name, weight in given.items()
        if name.startswith("unet.") and name in own and own[name].shape == weight.shape
    }
    with torch.no_grad():
        for name in own.keys() - fitting.keys():
            if name.startswith("unet.") and name.endswith(("norms.1.weight", "film.linear.weight")):
                own[name].zero_()
    network.load_state_dict({**own, **fitting})
    means = given["means"]
    known = means.abs().sum(1) > 0
    names, wanted = network.names().detach()[known], functional.normalize(means[known], dim=-1)
    optimizer = torch.optim.Adam(network.tell.parameters(), 3e-3)
    for _ in range(FITTED):
        near = functional.normalize(names + NOISE * torch.randn_like(names), dim=-1)
        loss = 1 - (network.told(near) * wanted).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def begin_with_narrower(network: TimbreLive, given: Mapping[str, Tensor]) -> None:
    """Give a network the weights of one with fewer channels, so that it gives the same masks.

    What is new is as it was drawn, but nothing that was there reads it, and new residual blocks add
    nothing (after Chen et al., "Net2Net: accelerating learning via knowledge transfer", 2016). The
    masks are only nearly the same behind those: what is negative is made smaller once more.

    Raises CheckpointError if they are not of such a network, or of a wider one.
    """
    if "unet.leave.conv.weight" not in given:
        raise checkpoints.CheckpointError("these weights are not those of a live U-Net")
    own = network.state_dict()
    spectrum = network.unet.leave.conv.in_channels - network.config.unet.channels[0]
    with torch.no_grad():
        for name, weight in own.items():
            learned = given.get(name)
            if learned is None:
                if name.startswith("unet.") and name.endswith("norms.1.weight"):
                    weight.zero_()
            elif learned.shape == weight.shape:
                weight.copy_(learned)
            else:
                _put_narrower(name, weight, learned, spectrum)
    network.load_state_dict(own)


def _put_narrower(name: str, weight: Tensor, learned: Tensor, spectrum: int) -> None:
    """Put a weight of a narrower network where its channels are in the wider one.

    Raises CheckpointError if it is of a wider one.
    """
    axes = list(zip(learned.shape, weight.shape, strict=True))
    if any(old > new for old, new in axes):
        raise checkpoints.CheckpointError(
            f"{name} is {tuple(learned.shape)}, more than {tuple(weight.shape)}: take "
            "a configuration that is as wide"
        )
    at = [_places(name, k, *sizes, spectrum) for k, sizes in enumerate(axes[:2])]
    weight[at[0]] = 0
    weight[at[0] if len(at) == 1 else (at[0][:, None], at[1])] = learned


def _places(name: str, axis: int, old: int, new: int, spectrum: int) -> Tensor:
    """Return where the `old` channels of an axis of a weight are among its `new` ones.

    Most are first. Scales are followed by shifts, and what grew by what skipped the blocks below;
    `spectrum` channels are behind others that the last layer reads.
    """
    layer = name.split(".")[1:]
    halves = axis == 0 and "film" in layer
    halves |= axis == 1 and layer[0] == "up" and layer[2:] == ["conv", "conv", "weight"]
    first = torch.arange(old)
    if halves:
        return torch.where(first < old // 2, first, first + (new - old) // 2)
    if axis == 1 and layer[0] == "leave":
        return torch.where(first < old - spectrum, first, first + new - old)
    return first


class TimbreLiveTask(TimbreMaskTask):
    """A `TimbreLive`, and batches of questions by timbre."""

    def __init__(self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        super().__init__(network, spec, tier, device)
        assert isinstance(network, TimbreLive)
        network.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.window = self._windows[0]
        self._hop = network.config.unet.hop * network.config.unet.every

    def spectra(self, signal: Tensor) -> Tensor:
        """Return spectra (..., F, 2, bins) of a signal, a quarter as dense as those of a stream."""
        return analyse(signal, self.window, self._hop)[..., : self.spec.bins]

    def told(self, network: nn.Module, mixture: Tensor, timbres: Tensor) -> Tensor:
        """Return masks (n, F, 2, bins) of mixtures (n, F, 2, bins), told timbres (n, size)."""
        assert isinstance(network, TimbreLive)
        masks = network.masks(torch.view_as_real(mixture), timbres)
        return masks[:, :, None].expand(-1, -1, 2, -1)
