"""MIDI controllers that are plugged in, as moves on a board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mido

from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.midi import ControllerMap
from plugin_bridge.board import Board
from realtime.spec import StemsteerError


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


def open_port(name: str, hear: Callable[[Any], None]) -> Any:
    """Open a MIDI input by its name or the beginning of it.

    Raises StemsteerError if there is none, or no MIDI on this machine.
    """
    try:
        names = mido.get_input_names()
        found = next((port for port in names if port.startswith(name)), None)
        if found is None:
            raise StemsteerError(f"no MIDI input {name!r}; there are {', '.join(names) or 'none'}")
        return mido.open_input(found, callback=hear)
    except (ImportError, OSError, RuntimeError, SystemError) as error:
        raise StemsteerError(
            f"no MIDI on this machine ({error}); run: pip install 'stemsteer[live]'"
        ) from error
