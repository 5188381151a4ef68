"""What is exported of each network: its stream, with tensors as ONNX has them, and its states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import NamedTuple

from torch import nn

from models_onnx.export.separators import OneMixture, OneStream
from models_onnx.networks.band_split import BandSplit
from models_onnx.networks.spain.network import SpainXumx
from models_onnx.networks.steer.network import Steer
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.networks.timbre_bands import TimbreBands
from models_onnx.networks.timbre_live import TimbreLive, TimbreLiveStream
from models_onnx.networks.unet.stream import Stream


class Exported(NamedTuple):
    """A network as `export` takes it, and the shape of each state without its leading axis."""

    stream: nn.Module
    states: Mapping[str, tuple[int, ...]]


@singledispatch
def stream_of(network: nn.Module, conditions: Sequence[str]) -> Exported:
    """Return what is exported of a network that takes these conditions.

    Raises
    ------
    TypeError for a network that has no stream of frames.
    """
    raise TypeError(f"{type(network).__name__} has no stream of frames")


@stream_of.register
def _(network: Steer, conditions: Sequence[str]) -> Exported:
    return Exported(OneMixture(network, conditions), network.states())


@stream_of.register
def _(network: SpainXumx, conditions: Sequence[str]) -> Exported:
    # it separates sources of its own, all at once
    return Exported(network.streaming(), network.states())


@stream_of.register(Stream)
@stream_of.register(BandSplit)
def _(network: Stream | BandSplit, conditions: Sequence[str]) -> Exported:
    return Exported(OneStream(network, conditions), network.states())


@stream_of.register
def _(network: TimbreLive, conditions: Sequence[str]) -> Exported:
    stream = TimbreLiveStream(network)
    return Exported(OneStream(stream, conditions), stream.states())


@stream_of.register
def _(network: TimbreSteer, conditions: Sequence[str]) -> Exported:
    return stream_of(network.steer, conditions)


@stream_of.register
def _(network: TimbreBands, conditions: Sequence[str]) -> Exported:
    return stream_of(network.bands, conditions)
