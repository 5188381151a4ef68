"""Tracks whose sound goes through an engine, without the plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from plugin_bridge.engine.client import PluginClient

HOP = 256


def through(
    track: PluginClient, x: np.ndarray, block: int, values_at: Callable[[int], Mapping[str, float]]
) -> np.ndarray:
    """Feed `x` (2, samples) block by block, each with its values, waiting for the engine.

    Returns what comes back, aligned with `x`: all whole hops of it but the last.
    """
    start, outs, read = track.position, [], 0
    for at in range(0, x.shape[1], block):
        track.push(x[:, at : at + block], **values_at(at))
        due = (track.position - start) // HOP * HOP - HOP
        if due > read:
            assert track.wait(start + due), "the engine has stopped"
            outs.append(track.read(start + read, due - read))
            read = due
    return np.concatenate(outs, axis=1)
