"""Sizes of SpaIn-Net, and what a file of it says about itself; see `network.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from realtime.spec import ModelSpec, Tier

CONDITIONINGS = ("none", "concat", "positional", "adain", "steered")
ADAPTIVE = ("adain", "steered")
TASKS = {
    "band": ("guitar", "strings", "bass", "piano"),
    "guitars": ("guitar1", "guitar2", "bass", "piano"),
}
"""The two experiments of the paper; guitar1 stands to the left of guitar2."""


@dataclass(frozen=True)
class XumxConfig:
    """Sizes of the network.

    Parameters
    ----------
    sources : names of the sources, one branch each.
    condition : one of `CONDITIONINGS`; `code` is the size of the positional code.
    tier : geometry in which it runs. It sees the lowest `seen` bins and masks the lowest `bins`.
    every : it learns at every so many frames of the tier. In a stream as many interleaved copies
        of the recurrent states take turns, so each sees what training saw, and every frame is used.
    context, lookahead : frames that a bidirectional network sees before and behind a frame, in a
        stream; over a whole clip it sees all.
    """

    sources: tuple[str, ...] = TASKS["band"]
    condition: str = "none"
    code: int = 2048
    window: int = 4096
    synthesis: int = 4096
    hop: int = 1024
    seen: int = 1487
    bins: int = 2049
    hidden: int = 512
    layers: int = 3
    bidirectional: bool = True
    dropout: float = 0.4
    every: int = 1
    context: int = 32
    lookahead: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.condition not in CONDITIONINGS:
            raise ValueError(f"condition is {self.condition!r}, expected one of {CONDITIONINGS}")
        if self.code % 2 or self.hidden % 2:
            raise ValueError(f"code and hidden must be even: {self}")

    @property
    def tier(self) -> Tier:
        ahead = self.lookahead if self.bidirectional else 0
        return Tier(self.window, self.synthesis, self.hop, ahead)


_SMALL = XumxConfig(
    code=64, window=2048, synthesis=512, hop=256, seen=744, bins=744, hidden=128, layers=2,
    bidirectional=False, dropout=0.1, every=4,
)  # fmt: skip


def _configs() -> dict[str, XumxConfig]:
    found = {}
    for task, sources in TASKS.items():
        for condition in CONDITIONINGS:
            name = f"{task}-{condition}"
            found[f"paper-{name}"] = XumxConfig(sources, condition)
            found[name] = replace(_SMALL, sources=sources, condition=condition)
            found[f"{name}-blstm"] = replace(
                found[name], bidirectional=True, synthesis=2048, hop=1024, every=1
            )
    return found


CONFIGS = _configs()
"""``paper-<task>-<condition>``, ``<task>-<condition>`` (small) and ``<task>-<condition>-blstm``."""


def spec(config: XumxConfig) -> ModelSpec:
    """Return what a file of this network says about itself."""
    names = ("studio", "offline") if config.bidirectional else ("live", "studio", "offline")
    conditions = {} if config.condition == "none" else {"direction": 2}
    return ModelSpec(
        name="spain-xumx",
        tiers=dict.fromkeys(names, config.tier),
        conditions=conditions,
        mask_axes="channels",
        bins=config.bins,
        targets=config.sources,
        description="system 1, SpaIn-Net: X-UMX told where each source is",
        licence="GPL-3.0-or-later",
    )
