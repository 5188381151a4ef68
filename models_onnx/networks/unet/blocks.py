"""Convolutions that carry their past, and what tells them a condition.

Shapes: x (B, channels, frames, bins); a past (B, channels, frames it remembers, bins); a code
(B, frames, size).

In live use a call has one frame, for which the small nodes of a graph in ONNX take as long as the
large ones. So sizes are constants wherever they can be, and what depends on weights alone is
written as such: ONNX Runtime computes it once, when it loads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2


class Memory:
    """The pasts of a network's convolutions, in the order in which they are used.

    Without states to begin with every past is silence, as at the start of a stream.
    """

    def __init__(self, states: Sequence[Tensor] = ()) -> None:
        self._states, self.next = list(states), list[Tensor]()

    def extended(self, x: Tensor, frames: int) -> Tensor:
        """Return x with `frames` frames of its past before it; keep what is the next past."""
        if not frames:
            return x
        if self._states:
            long = torch.cat([self._states[len(self.next)], x], 2)
        else:
            long = functional.pad(x, (0, 0, frames, 0))
        self.next.append(long[:, :, -frames:])
        return long

    def carried(self, x: Tensor, size: int) -> Tensor:
        """Return the state (B, size) of a recurrent layer that is about to read x (B, ...)."""
        return self._states[len(self.next)] if self._states else x.new_zeros(len(x), size)


class CausalConv(nn.Module):
    """A convolution over the frames so far and the bins around, with strides in frequency alone.

    `every` is how many frames of a stream lie between two that were neighbours in training: the
    kernel reaches over them, so that as many streams take turns.
    """

    def __init__(
        self, given: int, made: int, kernel: tuple[int, int], stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, (1, stride), bias=False)
        self.stride, self.dilation, self.given = stride, dilation, given
        self.every = 1
        self.aside = kernel[1] // 2
        self.reach = (kernel[0] - 1) * dilation

    def past(self, bins: int) -> list[tuple[int, int, int]]:
        """Return the shape of the past, for an input of `bins`; none if it looks at one frame."""
        frames = self.reach * self.every
        return [(self.given, frames, bins)] if frames else []

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Give (B, made, frames, bins / stride)."""
        return functional.conv2d(
            memory.extended(x, self.reach * self.every),
            self.conv.weight,
            None,
            (1, self.stride),
            (0, self.aside),
            (self.dilation * self.every, 1),
        )


class Film(nn.Module):
    """(1 + scale) x + shift of every channel, both linear in a code (Perez et al., 2018)."""

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code, 2 * channels)
        with torch.no_grad():
            self.linear.weight.mul_(0.5)
            self.linear.bias.zero_()

    def forward(self, x: Tensor, said: Iterator[Tensor]) -> Tensor:
        """Give x (B, C, F, bins) as `said` of its frame: 1 + scale, then shift, (B, C, F, 1)."""
        return next(said) * x + next(said)


def said(code: Tensor, layers: Sequence[Film | nn.Linear]) -> Iterator[Tensor]:
    """Return what layers make of a code (B, F, size): (B, C, F, 1) of each, two of a `Film`.

    All of it is one product with the weights of all layers.
    """
    if not layers:
        return iter(())
    weights, biases, sizes = list[Tensor](), list[Tensor](), list[int]()
    for layer in layers:
        linear = layer.linear if isinstance(layer, Film) else layer
        made = linear.out_features
        weights.append(linear.weight)
        if isinstance(layer, Film):
            scale, shift = linear.bias.split(made // 2)
            biases += [1 + scale, shift]
            sizes += [made // 2] * 2
        else:
            biases.append(linear.bias)
            sizes.append(made)
    everything = functional.linear(code, torch.cat(weights), torch.cat(biases))
    return iter(everything.transpose(1, 2)[..., None].split(sizes, 1))


class Block(nn.Module):
    """Convolution, norm, condition and LeakyReLU; then a residual block over so many frames.

    With ``film`` the norm has no scale and shift of its own where ``adaptive``: the condition gives
    both (AdaIN). The statistics are those of batch norm: those of a clip are not known live.
    """

    def __init__(
        self,
        given: int,
        made: int,
        kernel: tuple[int, int],
        stride: int = 1,
        *,
        residual: int = 0,
        code: int = 0,
        adaptive: bool = False,
    ) -> None:
        super().__init__()
        self.residual = Residual(made, residual) if residual else None
        self.stride = stride
        self.conv = CausalConv(given, made, kernel, stride)
        self.norm = nn.BatchNorm2d(made, affine=not adaptive)
        self.film = Film(code, made) if code else None

    def pasts(self, bins: int) -> list[tuple[int, int, int]]:
        """Return the shapes of the pasts."""
        behind = self.residual.pasts(bins // self.stride) if self.residual else []
        return self.conv.past(bins) + behind

    def forward(self, x: Tensor, said: Iterator[Tensor], memory: Memory) -> Tensor:
        """Give (B, made, frames, bins / stride)."""
        x = self.norm(self.conv(x, memory))
        if self.film is not None:
            x = self.film(x, said)
        x = functional.leaky_relu(x, SLOPE)
        return x if self.residual is None else self.residual(x, memory)


class Residual(nn.Module):
    """x and two convolutions of it, of as many channels, the first over `frames` of time."""

    def __init__(self, channels: int, frames: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = CausalConv(channels, channels, (frames, 3), dilation=dilation)
        self.second = CausalConv(channels, channels, (1, 3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def pasts(self, bins: int) -> list[tuple[int, int, int]]:
        """Return the shapes of the pasts."""
        return self.first.past(bins) + self.second.past(bins)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Give (B, channels, frames, bins)."""
        y = functional.leaky_relu(self.norms[0](self.first(x, memory)), SLOPE)
        return functional.leaky_relu(x + self.norms[1](self.second(y, memory)), SLOPE)


class Recurrent(nn.Module):
    """x and what a GRU makes of its frames so far, of all bins together; nothing at first.

    Its memory is as long as training has taught it, where that of convolutions ends.
    """

    def __init__(self, channels: int, bins: int, units: int) -> None:
        super().__init__()
        self.channels, self.bins, self.units = channels, bins, units
        self.enter = nn.Linear(channels * bins, units)
        self.gru = nn.GRU(units, units)
        self.leave = nn.Linear(units, channels * bins)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def pasts(self) -> list[tuple[int, ...]]:
        """Return the shapes of the pasts."""
        return [(self.units,)]

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Give (B, channels, frames, bins)."""
        frames = reshaped(x.permute(2, 0, 1, 3), 0, 0, -1)  # (F, B, …)
        before = memory.carried(x, self.units)
        heard, after = self.gru(torch.relu(self.enter(frames)), before[None])
        memory.next.append(after.squeeze(0))
        found = reshaped(self.leave(heard), 0, 0, self.channels, -1)
        return x + found.permute(1, 2, 0, 3)


class Up(nn.Module):
    """As many bins again as `stride` says: channels become bins (sub-pixel convolution)."""

    def __init__(self, given: int, made: int, stride: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made * stride, (1, kernel), padding=(0, kernel // 2))
        self.made, self.stride, self.aside = made, stride, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, made, frames, bins · stride)."""
        assert self.conv.bias is not None
        weight, bias = self._bin_by_bin(self.conv.weight), self._bin_by_bin(self.conv.bias)
        y = functional.conv2d(x, weight, bias, 1, (0, self.aside))
        return reshaped(y.permute(0, 2, 3, 1), 0, 0, -1, self.made).permute(0, 3, 1, 2)

    def _bin_by_bin(self, values: Tensor) -> Tensor:
        """Return values (made · stride, ...) in the order (stride · made, ...).

        In this order each frame's channels are bins already, if they come behind the bins.
        """
        return values.unflatten(0, (self.made, self.stride)).transpose(0, 1).flatten(0, 1)


class Reshaped(torch.autograd.Function):
    """Reshape where 0 keeps the size of an axis, which ONNX does without asking for any size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Give x in another shape."""
        ctx.shape = x.shape
        return x.reshape([size or x.shape[axis] for axis, size in enumerate(sizes)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Give the gradient in the shape of x."""
        return gradients[0].reshape(ctx.shape), None

    @staticmethod
    def symbolic(graph: Any, x: Any, sizes: tuple[int, ...]) -> Any:
        """Return the node of a graph in ONNX."""
        return graph.op("Reshape", x, graph.op("Constant", value_t=torch.tensor(sizes)))


def reshaped(x: Tensor, *sizes: int) -> Tensor:
    """Return x in another shape: 0 keeps the size of an axis, -1 (one) stands for what remains."""
    shape: Tensor = Reshaped.apply(x, sizes)
    return shape
