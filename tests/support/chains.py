"""What the tests of plugins on stems share: a chain, stems of noise, and how they are mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pedalboard import Plugin

from plugin_bridge.automation import Automation, Lane, LaneConditions
from plugin_bridge.hosting.chain import PluginChain
from plugin_bridge.hosting.stem_mixer import StemMixer, compensated
from realtime.spec import Tier

Floats = NDArray[np.float32]

RATE = 44_100
NOISE = np.random.default_rng(2).standard_normal((2, 2, 30_000)).astype(np.float32) * 0.1


def conditions(lanes: dict[tuple[str, str], Lane] | None = None) -> LaneConditions:
    """The controls of a guitar, moved by these lanes."""
    tier = Tier(window=1024, synthesis=512, hop=128)
    return LaneConditions(Automation(lanes or {}), ["guitar"], tier, RATE)


def chain(*plugins: Plugin, gain_db: float = 0.0) -> PluginChain:
    """A chain of these plugins, each by the name of its kind."""
    named = {type(plugin).__name__.lower(): plugin for plugin in plugins}
    return PluginChain(named, gain_db, RATE, 2, "test.json")


def run(mixer: StemMixer, block: int, stems: Floats = NOISE) -> Floats:
    """What a mixer makes of stems that come in blocks, in time with them."""
    blocks = (stems[:, :, k : k + block] for k in range(0, stems.shape[2], block))
    return np.concatenate(list(compensated(mixer, blocks)), axis=2)


def write(folder: Path, content: object) -> Path:
    """A file of a chain: of text, or of what JSON is made of."""
    path = folder / "chain.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
