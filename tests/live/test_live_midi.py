"""A MIDI controller at live sound: what it is mapped to moves, and what is not there is said."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import mido
import numpy as np
import pytest
import soundfile

from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.live import midi_input
from plugin_bridge.osc.packets import decode, encode
from realtime import StemsteerError
from tests.support.engine_sandbox import absent, until
from tests.support.livesound import (
    RATE,
    panned,
    recorded_s,
    said,
    start,
    until_recorded,
)

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
        midi_input.open_input("no such controller", print),
    ):
        pass


CONTROLLER = """
import sys, rtmidi
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, "Faders")
port.open_virtual_port("out")
print("ready", flush=True)
for line in sys.stdin:
    port.send_message([int(word) for word in line.split()])
"""


@pytest.fixture
def controller(jack):
    """A MIDI controller on JACK, in a process of its own: send(status, number, value)."""
    rtmidi = pytest.importorskip("rtmidi")
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        absent("JACK in python-rtmidi")
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    yield lambda *message: print(*message, file=process.stdin, flush=True)
    process.stdin.close()
    process.wait(timeout=60)


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
        midi_input.open_input("Pads", print),
    ):
        pass
