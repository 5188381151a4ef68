"""Sizes of the U-Nets, as they were published and as they run live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models_onnx.data.classes import CLASSES, ORCHESTRA_13
from realtime.spec import Tier

PLACES = ("input", "encoder", "bottleneck", "decoder", "final", "multiply")
KINDS = ("query", "fewshot", "label", "activity")


@dataclass(frozen=True)
class UNetConfig:
    """What a U-Net is made of.

    Parameters
    ----------
    kind : which system it is.
    channels : of the encoder's blocks, from the spectrum down.
    strides : of each block, in frequency; `time_strides` in time, 1 for a network that runs live.
    kernel : of the encoder's convolutions in time and frequency; `up_kernel` of the decoder's.
    residual : blocks of two convolutions beside a shortcut instead of one convolution. `fine` :
        those over the bands of the first block, too.
    dilations : of residual blocks at the bottleneck, in time: they reach as far as the published
        strides in time do, and keep every frame.
    recurrent : units of a GRU behind those, over all frames so far; 0: none. A stream whose frames
        take turns (`every`) has one for each turn, so it is for `timbre-live` alone.
    condition : how many numbers tell what is wanted; 0: nothing does. `against` : whether as many
        say what is not wanted.
    places : where the condition enters: tiled on the ``input``, FiLM at every ``encoder`` block,
        at the ``bottleneck`` or before the ``final`` layer, AdaIN at every ``decoder`` stage,
        ``multiply`` on the masks.
    masks : in one pass; more than one are those of classes. `binary`: they say where a target is
        the louder part, and are zero or one in a stream.
    every : frames of a stream between two that were neighbours in training.
    """

    kind: str
    channels: tuple[int, ...] = (32, 48, 96, 128)
    strides: tuple[int, ...] = (8, 4, 4, 2)
    kernel: tuple[int, int] = (2, 5)
    up_kernel: tuple[int, int] = (2, 3)
    residual: bool = False
    fine: bool = False
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    recurrent: int = 0
    condition: int = 0
    against: bool = False
    places: tuple[str, ...] = ()
    masks: int = 1
    binary: bool = False
    activity: bool = False
    bins: int = 1024
    window: int = 2048
    synthesis: int = 512
    hop: int = 256
    every: int = 4

    def __post_init__(self) -> None:
        for name in ("channels", "strides", "kernel", "up_kernel", "dilations", "places"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # from a checkpoint
        if self.kind not in KINDS or not set(self.places) <= set(PLACES):
            raise ValueError(f"kind {self.kind!r} at {self.places}: expected {KINDS}, {PLACES}")
        if len(self.channels) != len(self.strides):
            raise ValueError(f"{self.channels} channels and {self.strides} strides: one of each")
        if "multiply" in self.places and self.condition != self.masks:
            raise ValueError("masks are multiplied by a condition of their number")

    @property
    def tier(self) -> Tier:
        return Tier(self.window, self.synthesis, self.hop)

    @property
    def levels(self) -> tuple[int, ...]:
        """Bins that each block leaves."""
        found: list[int] = []
        for stride in self.strides:
            found.append((found[-1] if found else self.bins) // stride)
        return tuple(found)


QUERY = UNetConfig("query", condition=32, places=("input", "decoder"))
FEWSHOT = UNetConfig("fewshot", residual=True, condition=64, against=True, places=("bottleneck",))
ONE_HOT = UNetConfig("activity", residual=True, condition=len(CLASSES), places=("bottleneck",))
LABEL = UNetConfig("label", masks=len(ORCHESTRA_13))


def labelled(*places: str) -> UNetConfig:
    """Return the network of 13 masks that is told the labels at these places."""
    return replace(LABEL, condition=len(ORCHESTRA_13), places=places)


TINY = {"channels": (8, 16), "strides": (16, 8), "dilations": (1,)}
CONFIGS: dict[str, UNetConfig] = {
    "query": QUERY,
    "fewshot": FEWSHOT,
    "one-hot": ONE_HOT,
    "activity": replace(ONE_HOT, activity=True),
    "label-none": LABEL,
    "label-encoder": labelled("encoder", "multiply"),
    "label-bottleneck": labelled("bottleneck", "multiply"),
    "label-final": labelled("final", "multiply"),
    "label-multiply": labelled("multiply"),
    "label-binary": replace(labelled("encoder", "multiply"), binary=True),
}
CONFIGS |= {f"tiny-{name}": replace(c, **TINY) for name, c in CONFIGS.items()}  # type: ignore[arg-type]


def class_names(config: UNetConfig) -> Sequence[str]:
    """Names that the numbers of a label condition have, in order."""
    return ORCHESTRA_13 if config.kind == "label" else CLASSES
