"""A player that browsers may start, stop and move, and hear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Player(Protocol):
    """Something that plays a file; every method may be called from any thread."""

    def play(self, wanted: bool) -> None:
        """Play, or stand still."""

    def seek(self, seconds: float) -> None:
        """Go on from there."""

    def write(self) -> None:
        """Write the stems, without waiting for the end of it."""

    @property
    def position_s(self) -> float:
        """Return where it is."""

    def state(self) -> Mapping[str, object]:
        """Return what is shown of it."""


def check_order(order: Any) -> dict[str, float]:
    """Return an order of a browser: one of ``play``, ``seek`` and ``write``, with a number.

    Raises ValueError if it is none.
    """
    if not isinstance(order, dict) or len(order) != 1:
        raise ValueError("player: expected one of play, seek and write")
    ((name, value),) = order.items()
    if name not in ("play", "seek", "write") or not isinstance(value, (int, float)):
        raise ValueError("player: expected one of play, seek and write")
    return {name: float(value)}


def give_order(player: Player, order: Mapping[str, float]) -> None:
    """Do what a browser has ordered."""
    for name, value in order.items():
        if name == "play":
            player.play(bool(value))
        elif name == "seek":
            player.seek(value)
        else:
            player.write()
