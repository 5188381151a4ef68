"""MIDI controllers that are plugged in, as moves on a control surface.

RtMidi speaks to ALSA and JACK on Linux, Core MIDI on macOS, Windows' own MIDI there. All of them
are searched, so nobody has to know which system has a port.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.control.surface import ControlSurface
from realtime.errors import StemsteerError

CLIENT = "stemsteer"
CONTROL_CHANGE = 0xB0
OnMessage = Callable[[Sequence[int]], None]
"""Called with the bytes of a MIDI message, in a thread of RtMidi."""


@dataclass(frozen=True)
class Port:
    """A MIDI input: something that sends."""

    name: str
    system: str
    api: int  # of RtMidi
    number: int


def ports() -> Iterator[Port]:
    """Yield the MIDI inputs of every system that runs.

    Raises StemsteerError without python-rtmidi.
    """
    rtmidi = _rtmidi()
    for api in rtmidi.get_compiled_api():
        with contextlib.suppress(rtmidi.RtMidiError), _client(api) as client:
            for number, name in enumerate(client.get_ports()):
                yield Port(name, rtmidi.get_api_display_name(api), api, number)


@contextlib.contextmanager
def open_input(words: str, on_message: OnMessage) -> Iterator[Port]:
    """Listen to the first MIDI input that has `words` in its name, in any case.

    Raises StemsteerError if there is none, or it does not open.
    """
    port = _find(words)
    try:
        with _client(port.api) as client:
            client.set_callback(lambda event, _: on_message(event[0]))
            client.open_port(port.number)
            yield port
    except _rtmidi().RtMidiError as error:
        raise StemsteerError(f"the MIDI input {port.name} does not open: {error}") from error


def controller_callback(surface: ControlSurface, mapping: ControllerMap) -> OnMessage:
    """Return the callback that moves what the controller of a message is mapped to."""

    def on_message(message: Sequence[int]) -> None:
        if len(message) != 3 or message[0] & 0xF0 != CONTROL_CHANGE:
            return
        moved = mapping.control_change(message[0] & 0x0F, message[1], message[2])
        if moved is None:
            return
        (target, name), value = moved
        for instance in surface.instances if target == ALL else (target,):
            if name in surface.controls(instance):
                surface.set_value(instance, name, value)

    return on_message


def _find(words: str) -> Port:
    others = []
    for port in ports():
        if words.lower() in port.name.lower():
            return port
        others.append(port.name)
    raise StemsteerError(
        f"no MIDI input called {words!r}; there are {', '.join(others) or 'none'}; "
        "see `stemsteer live --devices`"
    )


@contextlib.contextmanager
def _client(api: int) -> Iterator[Any]:
    client = _rtmidi().MidiIn(api, CLIENT)
    try:
        yield client
    finally:
        client.delete()


def _rtmidi() -> Any:
    try:
        import rtmidi
    except ImportError as error:
        raise StemsteerError(
            f"MIDI inputs need python-rtmidi ({error}); run: pip install 'stemsteer[live]'"
        ) from error
    return rtmidi
