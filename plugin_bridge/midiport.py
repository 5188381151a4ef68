"""MIDI controllers that are plugged in, as moves on a board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.midi import ControllerMap
from plugin_bridge.board import Board


def listener(board: Board, mapping: ControllerMap) -> Callable[[Any], None]:
    """What to do with a message: move what its controller is mapped to."""

    def hear(message: Any) -> None:
        if message.type != "control_change":
            return
        moved = mapping.control_change(message.channel, message.control, message.value)
        if moved is None:
            return
        (target, name), value = moved
        for instance in board.instances if target == ALL else (target,):
            if instance in board.instances:
                board.play(instance, name, value)

    return hear
