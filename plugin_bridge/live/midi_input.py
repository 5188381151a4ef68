"""MIDI controllers that are plugged in, as moves on a control surface.

RtMidi speaks to ALSA and JACK on Linux, Core MIDI on macOS, Windows' own MIDI there. All of them
are searched, so nobody has to know which system has a port.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import ControlSurface
from realtime.errors import StemsteerError

CLIENT = "stemsteer"
CONTROL_CHANGE = 0xB0
WATCH_S = 1.0  # from one look whether a port is there to the next
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
        names: list[str] = []
        with contextlib.suppress(rtmidi.RtMidiError), _no_error_stream():
            client = rtmidi.MidiIn(api, CLIENT)
            try:
                names = _names(client)
            finally:
                client.delete()
        for number, name in enumerate(names):
            yield Port(name, rtmidi.get_api_display_name(api), api, number)


@contextlib.contextmanager
def open_input(words: str, on_message: OnMessage, report: Report) -> Iterator[Port]:
    """Listen to the first MIDI input that has `words` in its name, in any case.

    Where it goes, as one that is unplugged does, and where it is back and listened to again,
    `report` is told, in a thread of its own.

    Raises StemsteerError if there is none, or it does not open.
    """
    port, ended = _find(words), threading.Event()
    client = _listening(port, on_message)
    watch = threading.Thread(
        target=_watch,
        args=(client, port, words, on_message, report, ended),
        name="stemsteer-midi",
        daemon=True,
    )
    watch.start()
    try:
        yield port
    finally:
        ended.set()
        watch.join()


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
        if _fits(words, port.name):
            return port
        others.append(port.name)
    raise StemsteerError(
        f"no MIDI input called {words!r}; there are {', '.join(others) or 'none'}; "
        "see `stemsteer live --devices`"
    )


def _fits(words: str, name: str) -> bool:
    return words.lower() in name.lower()


def _listening(port: Port, on_message: OnMessage) -> Any:
    """Return a client that listens to a port. Raises StemsteerError if that does not open."""
    rtmidi = _rtmidi()
    try:
        client = rtmidi.MidiIn(port.api, CLIENT)
        try:
            client.set_callback(lambda event, _: on_message(event[0]))
            client.open_port(port.number)
        except BaseException:
            client.delete()
            raise
    except rtmidi.RtMidiError as error:
        raise StemsteerError(f"the MIDI input {port.name} does not open: {error}") from error
    return client


def _watch(
    client: Any,
    port: Port,
    words: str,
    on_message: OnMessage,
    report: Report,
    ended: threading.Event,
) -> None:
    """Look again and again whether a port is there, until `ended`; then delete the client.

    A port that comes back, or another one with `words` in its name, gets a client of its own: one
    that has closed a port hears nothing of the next over JACK.
    """
    is_open = True
    try:
        while not ended.wait(WATCH_S):
            names = _names(client)
            if is_open and port.name not in names:
                is_open = False
                client.close_port()
                report(f"the MIDI input {port.name} is gone; once it is back it is listened to")
            elif not is_open and (found := [name for name in names if _fits(words, name)]):
                name = port.name if port.name in found else found[0]
                port = replace(port, name=name, number=names.index(name))
                with contextlib.suppress(StemsteerError):  # it is tried again
                    following = _listening(port, on_message)
                    client.delete()
                    client, is_open = following, True
                    report(f"the MIDI input {port.name} is back")
    finally:
        client.delete()


def _names(client: Any) -> list[str]:
    """Return the names of the ports that a client sees; none where its system fails."""
    try:
        names: list[str] = client.get_ports()
    except _rtmidi().RtMidiError:
        return []
    return names


@contextlib.contextmanager
def _no_error_stream() -> Iterator[None]:
    """Drop what libraries write to the error stream: JACK and ALSA say there that they are not."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _rtmidi() -> Any:
    try:
        import rtmidi
    except ImportError as error:
        raise StemsteerError(
            f"MIDI inputs need python-rtmidi ({error}); run: pip install 'stemsteer[live]'"
        ) from error
    return rtmidi
