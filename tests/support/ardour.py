"""Ardour without a screen or a sound card: sessions with the plugin on their tracks, exported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile

SUPERCLOCKS_S = 282_240_000  # Ardour's unit of time
LIBRARIES = Path("/usr/lib/ardour7")
SCANNER = LIBRARIES / "ardour-vst3-scanner"
ATTEMPTS = 3  # headless Ardour aborts now and then with any plugin or none; the file is judged
MAX_SAMPLE = 1e3  # louder samples are none: once it has left text of its Lua in a buffer of audio
ENVIRONMENT = {
    "LD_LIBRARY_PATH": str(LIBRARIES),
    "ARDOUR_DATA_PATH": "/usr/share/ardour7",
    "ARDOUR_CONFIG_PATH": "/etc/ardour7",
    "ARDOUR_DLL_PATH": str(LIBRARIES),
}

MAKE_SESSION = """
AudioEngine:set_backend("None (Dummy)", "Unit-Test", "")
local session = create_session("{folder}", "s", {rate_hz})
function track(name, label_values, curve)
  local made = session:new_audio_track(2, 2, nil, 1, name,
    ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true):front()
  local processor
  for _ = 1, {in_a_row} do
    processor = ARDOUR.LuaAPI.new_plugin(session, "{plugin}", ARDOUR.PluginType.{kind}, "")
    assert(not processor:isnil(), "no plugin {plugin}")
    made:add_processor_by_index(processor, 0, nil, true)
  end
  local plugin, index = processor:to_insert():plugin(0), 0
  for i = 0, plugin:parameter_count() - 1 do
    if plugin:parameter_is_control(i) and plugin:parameter_is_input(i) then
      local label = plugin:parameter_label(i)
      if label_values[label] then
        ARDOUR.LuaAPI.set_processor_param(processor, index, label_values[label])
      end
      if label == "{automated}" then
        local _, curve_list = ARDOUR.LuaAPI.plugin_automation(processor, index)
        for _, point in ipairs(curve) do
          curve_list:add(Temporal.timepos_t(point[1]), point[2], false, true)
        end
      end
    end
    if plugin:parameter_is_control(i) then index = index + 1 end
  end
end
{tracks}
session:save_state("")
close_session()
"""

Curve = Sequence[tuple[int, float]]  # (frame, value)
Result = TypeVar("Result")


def scan_vst3(bundle: Path) -> str:
    """Let Ardour know a VST3 plugin, needed once after every build; by which id it knows it."""
    command = [SCANNER, "-f", "-v", bundle]
    done = subprocess.run(
        command, timeout=60, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}
    )
    found = re.search(r'uid="([0-9A-F]{32})"', done.stdout + done.stderr)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return found[1]


def export(
    folder: Path,
    plugin: str,
    kind: str,
    tracks: Sequence[tuple[dict[str, float], Curve]],
    audio: np.ndarray,
    rate_hz: int,
    *,
    in_a_row: int = 1,
    automated: str = "Azimuth",
    in_steps: bool = False,
) -> np.ndarray:
    """What Ardour exports of `audio` on every track through the plugin, each with its curve.

    Ardour draws lines between points, or, as its users can choose for a lane, goes in steps.

    Of several plugins in a row on a track the first has the values and the curve.
    """
    made = attempt(lambda: _make(folder, plugin, kind, tracks, rate_hz, in_a_row, automated))
    _add_audio(made, audio, rate_hz, in_steps)
    out = made.parent / "out.wav"

    def run() -> np.ndarray | None:
        out.unlink(missing_ok=True)
        command = ["ardour7-export", "-b", "float", "-o", out, made, "s"]
        subprocess.run(command, timeout=90, capture_output=True)
        if not out.exists() or soundfile.info(out).frames < audio.shape[1]:
            return None
        sound, _ = soundfile.read(out, dtype="float32", always_2d=True)
        return sound.T[:, : audio.shape[1]] if np.abs(sound).max() < MAX_SAMPLE else None

    return attempt(run)


def attempt(run: Callable[[], Result | None]) -> Result:
    """Try what Ardour may abort in, at most three times."""
    for _ in range(ATTEMPTS):
        made = run()
        if made is not None:
            return made
    raise AssertionError(f"Ardour has failed {ATTEMPTS} times")


def _make(
    folder: Path,
    plugin: str,
    kind: str,
    tracks: Sequence[tuple[dict[str, float], Curve]],
    rate_hz: int,
    in_a_row: int,
    automated: str,
) -> Path | None:
    session = folder / "session"
    shutil.rmtree(session, ignore_errors=True)
    calls = []
    for number, (values, curve) in enumerate(tracks, 1):
        pairs = ", ".join(f'["{label}"] = {value}' for label, value in values.items())
        points = ", ".join(f"{{{frame}, {value}}}" for frame, value in curve)
        calls.append(f'track("T{number}", {{{pairs}}}, {{{points}}})')
    script = folder / "make.lua"
    script.write_text(
        MAKE_SESSION.format(
            folder=session,
            rate_hz=rate_hz,
            plugin=plugin,
            kind=kind,
            tracks="\n".join(calls),
            in_a_row=in_a_row,
            automated=automated,
        )
    )
    done = subprocess.run(["ardour7-lua", script], timeout=90, capture_output=True, text=True)
    file = session / "s.ardour"
    if not file.exists() or 'name="T' + str(len(tracks)) not in file.read_text():
        print(done.stdout[-2000:], done.stderr[-2000:])
        return None
    return session


def _add_audio(session: Path, audio: np.ndarray, rate_hz: int, in_steps: bool) -> None:
    """Put the audio on every track, and make it the range to be exported."""
    folder = session / "interchange" / session.name / "audiofiles"
    soundfile.write(folder / "mix.wav", audio.T, rate_hz, subtype="FLOAT")
    file = session / "s.ardour"
    tree = ElementTree.parse(file)
    root = tree.getroot()
    end = audio.shape[1] * SUPERCLOCKS_S // rate_hz
    region = {
        "name": "mix",
        "type": "audio",
        "start": "a0",
        "length": f"a{end}@a0",
        "channels": "2",
        "source-0": "90001",
        "source-1": "90002",
        "master-source-0": "90001",
        "master-source-1": "90002",
    }
    for channel in (0, 1):
        _child(root, "Sources", "Source", name="mix.wav", type="audio", flags="", origin="",
               id=str(90001 + channel), channel=str(channel))  # fmt: skip
    _child(root, "Regions", "Region", **region, id="90003", **{"whole-file": "1"})
    _child(root, "Locations", "Location", id="90004", name="session", start="a0", end=f"a{end}",
           flags="IsSessionRange", locked="0")  # fmt: skip
    for played in root.iter("AutomationList"):  # Lua cannot say so
        if played.find("events") is not None:
            played.set("state", "Play")
            if in_steps:
                played.set("interpolation-style", "Discrete")
    for number, playlist in enumerate(root.find("Playlists") or ()):
        ElementTree.SubElement(playlist, "Region", {**region, "id": str(90010 + number)})
    for route in (root.find("Routes") or ())[1:]:
        for io in route.findall("IO[@direction='Output']"):
            for number, port in enumerate(io.findall("Port"), 1):
                for old in port.findall("Connection"):
                    port.remove(old)
                ElementTree.SubElement(port, "Connection", other=f"Master/audio_in {number}")
    tree.write(file, xml_declaration=True, encoding="UTF-8")


def _child(root: ElementTree.Element, parent: str, tag: str, /, **attributes: str) -> None:
    place = root.find(parent)
    assert place is not None, parent
    ElementTree.SubElement(place, tag, attributes)
