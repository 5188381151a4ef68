"""A MIDI controller at live sound: what it is mapped to moves, and what is not there is said."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import mido
import numpy as np
import pytest
import soundfile

from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.live import midi_input
from plugin_bridge.osc.packets import decode, encode
from realtime import StemsteerError
from tests.support.engine_sandbox import absent
from tests.support.livesound import (
    RATE,
    panned,
    recorded_s,
    said,
    start,
    until_recorded,
)
from tests.support.waiting import until

pytestmark = pytest.mark.realtime


def test_a_midi_controller_moves_what_it_is_mapped_to():
    surface = MemorySurface(["guitar", "bass"])
    on_message = midi_input.controller_callback(surface, ControllerMap.of_table())
    on_message(mido.Message("control_change", control=10, value=127).bytes())
    on_message(mido.Message("note_on", note=10, velocity=0).bytes())
    on_message(mido.Message("program_change", program=10).bytes())
    on_message(mido.Message("control_change", control=3, value=1).bytes())
    assert surface.value("guitar", "azimuth") == surface.value("bass", "azimuth") == 45
    mapped = midi_input.controller_callback(surface, ControllerMap({(1, 74): ("bass", "width")}))
    mapped(mido.Message("control_change", channel=1, control=74, value=0).bytes())
    assert (surface.value("bass", "width"), surface.value("guitar", "width")) == (1, 20)


@pytest.mark.parametrize("mapping", ['{"10": "guitarr.azimuth"}', '{"10": "guitar.reverb"}'])
def test_a_mapping_to_what_there_is_not_is_said(tmp_path, mapping):
    (tmp_path / "map.json").write_text(mapping)
    with pytest.raises((StemsteerError, ValueError), match="guitar"):
        ControllerMap.read(tmp_path / "map.json").check_targets(["guitar"])


def test_a_midi_input_that_is_not_there_is_said():
    with (
        pytest.raises(StemsteerError, match="no MIDI input called 'no such controller'"),
        midi_input.open_input("no such controller", print, print),
    ):
        pass


class FakeRtMidi:
    """python-rtmidi with the ports in `names`; `clients` has those that are not deleted."""

    RtMidiError = type("RtMidiError", (Exception,), {})

    def __init__(self, *names):
        self.names, self.clients, self.refuses = list(names), [], False
        self.talks = ""  # what it writes to the error stream while it looks for ports

    def get_compiled_api(self):
        return [1]

    def get_api_display_name(self, api):
        return "Fake"

    def MidiIn(self, api, name):  # noqa: N802 -- python-rtmidi's name
        self.clients.append(FakeClient(self))
        return self.clients[-1]

    def send(self, name, *message):
        for client in self.clients:
            if client.port == name:
                client.callback((message, 0.0), None)


class FakeClient:
    def __init__(self, rtmidi):
        self.rtmidi, self.port = rtmidi, ""

    def get_ports(self):
        if self.rtmidi.talks:
            os.write(2, self.rtmidi.talks.encode())
        return list(self.rtmidi.names)

    def set_callback(self, callback):
        self.callback = callback

    def open_port(self, number):
        if self.rtmidi.refuses:
            raise self.rtmidi.RtMidiError("it is busy")
        self.port = self.rtmidi.names[number]

    def close_port(self):
        self.port = ""

    def delete(self):
        self.rtmidi.clients.remove(self)


@pytest.fixture
def rtmidi(monkeypatch):
    fake = FakeRtMidi("Pads", "Knobs 20:0")
    monkeypatch.setattr(midi_input, "_rtmidi", lambda: fake)
    monkeypatch.setattr(midi_input, "WATCH_S", 0.01)
    return fake


@pytest.mark.parametrize("name", ["Knobs 20:0", "Knobs 24:0"])
def test_an_input_that_is_unplugged_is_told_and_listened_to_again(rtmidi, name):
    heard, told = [], []
    with midi_input.open_input("knobs", heard.append, told.append) as port:
        assert port.name == "Knobs 20:0"
        time.sleep(0.1)
        rtmidi.names = ["Pads"]
        until(lambda: told, "it is gone")
        rtmidi.refuses = True
        rtmidi.names = [name, "Pads"]
        time.sleep(0.1)
        assert told == ["the MIDI input Knobs 20:0 is gone; once it is back it is listened to"]
        rtmidi.refuses = False
        until(lambda: len(told) > 1, "it is back")
        assert told[1:] == [f"the MIDI input {name} is back"]
        rtmidi.send(name, 0xB0, 10, 64)
        rtmidi.send("Pads", 0xB0, 10, 65)
        assert heard == [(0xB0, 10, 64)]
        time.sleep(0.1)
    assert len(told) == 2
    assert not rtmidi.clients
    assert "stemsteer-midi" not in [thread.name for thread in threading.enumerate()]


def test_an_input_that_does_not_open_is_said(rtmidi):
    rtmidi.refuses = True
    with (
        pytest.raises(StemsteerError, match="the MIDI input Pads does not open: it is busy"),
        midi_input.open_input("pads", print, print),
    ):
        pass
    assert not rtmidi.clients


def test_what_libraries_say_while_ports_are_listed_is_not_shown(rtmidi, capfd):
    rtmidi.talks = "Cannot connect to server socket\n"
    assert [port.name for port in midi_input.ports()] == rtmidi.names
    os.write(2, b"ours\n")
    assert capfd.readouterr().err == "ours\n"


def test_ports_are_listed_where_the_error_stream_is_closed(rtmidi):
    kept = os.dup(2)
    try:
        os.close(2)
        assert [port.name for port in midi_input.ports()] == rtmidi.names
    finally:
        os.dup2(kept, 2)
        os.close(kept)


CONTROLLER = """
import sys, rtmidi
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, "Faders")
port.open_virtual_port("out")
print("ready", flush=True)
for line in sys.stdin:
    port.send_message([int(word) for word in line.split()])
"""


@contextlib.contextmanager
def plugged():
    """A MIDI controller on JACK, in a process of its own: send(status, number, value)."""
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    yield lambda *message: print(*message, file=process.stdin, flush=True)
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture
def jack_midi(jack):
    """A JACK server that python-rtmidi can use."""
    rtmidi = pytest.importorskip("rtmidi")
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        absent("JACK in python-rtmidi")


@pytest.fixture
def controller(jack_midi):
    """A MIDI controller that is plugged in from the beginning to the end."""
    with plugged() as send:
        yield send


def asked(port, address):
    """What a running program says a control is."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.sendto(encode("/stemsteer/get", (address,)), ("127.0.0.1", port))
        return decode(client.recv(8192))[0].arguments[0]


@pytest.mark.host
def test_a_midi_controller_on_jack_moves_what_is_heard(controller, tmp_path):
    listed, words = start("live", "--devices").communicate(timeout=60)
    assert "Faders:out  (Jack)" in listed, words
    soundfile.write(tmp_path / "in.wav", panned(-30, 60 * RATE).T, RATE)
    (tmp_path / "map.json").write_text('{"2:10": "guitar.azimuth"}')
    process = start(
        "live", "--input-file", tmp_path / "in.wav", "--record", tmp_path / "take",
        "--azimuth", "guitar=30", "--azimuth", "bass=0", "--model", "panorama", "--port", 0,
        "--midi", "faders", "--midi-map", tmp_path / "map.json", "--slack", 8192,
    )  # fmt: skip
    port = int(re.search(r"port (\d+)", said(process, "for OSC"))[1])
    assert "Faders:out (Jack)" in said(process, "for MIDI")
    until_recorded(tmp_path / "take", 0.8)
    aim = -45 + 90 * (21 * 128 + 43) / (128 * 128 - 1)

    def turned():  # more than once: a JACK client that misses a cycle loses its events
        controller(0xB0, 10, 64)  # another channel
        controller(0xB1, 10, 21)
        controller(0xB1, 42, 43)  # its fine part
        return abs(asked(port, "/stemsteer/guitar/azimuth") - aim) < 1e-3

    until(turned, "it is moved")
    assert asked(port, "/stemsteer/bass/azimuth") == 0
    until_recorded(tmp_path / "take", recorded_s(tmp_path / "take") + 1.0)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    heard = soundfile.read(tmp_path / "take" / "guitar.wav")[0]
    before, after = (np.std(piece) for piece in (heard[: RATE // 2], heard[-RATE // 2 :]))
    assert after > 0.05 > 10 * before
    with (
        pytest.raises(StemsteerError, match="'Pads'; there are Faders:out"),
        midi_input.open_input("Pads", print, print),
    ):
        pass


@pytest.mark.host
def test_a_controller_on_jack_that_is_unplugged_and_plugged_in_again_moves(jack_midi):
    heard, told = [], []
    with contextlib.ExitStack() as stack:
        for turn in range(3):
            with plugged() as send:
                if turn == 0:
                    stack.enter_context(midi_input.open_input("faders", heard.append, told.append))
                until(lambda now=turn: len(told) == 2 * now, "it is there")

                def moved(now=turn):
                    send(0xB0, 10, now)
                    return [0xB0, 10, now] in heard

                until(moved, "it is heard")
            until(lambda now=turn: len(told) == 2 * now + 1, "it is gone")
    assert [words.rsplit(" is ", 1)[1] for words in told[1::2]] == ["back"] * 2
