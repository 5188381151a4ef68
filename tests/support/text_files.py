"""Files of lanes, targets, chains and mappings as users have them, for the fuzzer."""

from __future__ import annotations

import io
import zipfile

import mido


def _midi() -> bytes:
    file, track = mido.MidiFile(ticks_per_beat=96), mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    for value in range(0, 127, 9):
        track.append(mido.Message("control_change", control=10, value=value, time=24))
        track.append(mido.Message("control_change", control=42, value=value))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


RPP = b"""<REAPER_PROJECT 0.1 "7.22/linux-x86_64" 1735524019
  TEMPO 120 4 4
  <TRACK {A}
    NAME "lead guitar"
    <PANENV2
      ACT 1 -1
      PT 0 0 0
      PT 2 1 5 0 0 0 0.5
    >
    <FXCHAIN
      BYPASS 0 0 0
      <VST "VST3: Stemsteer (Stemsteer)" Stemsteer.vst3 0 "" 1399090541{565354} ""
        AAAA
      >
      FXID {B}
      <PARMENV 0:azimuth 0 1 0.5 "Azimuth / Stemsteer"
        ACT 1 -1
        PT 0 0.25 0
        PT 1 0.75 2
      >
    >
  >
>
"""
PROJECT = """<Project version="1.0"><Transport><Tempo value="120" id="t"/></Transport><Structure>
<Track name="guitar"><Channel><Pan max="1" min="0" id="p"/><Devices>
<Vst3Plugin deviceName="Stemsteer"><Parameters>
<RealParameter id="a" name="Azimuth" min="0" max="1"/>
</Parameters></Vst3Plugin></Devices></Channel></Track></Structure><Arrangement>
<TempoAutomation><RealPoint time="0" value="60" interpolation="linear"/>
<RealPoint time="8" value="120"/></TempoAutomation><Lanes timeUnit="beats"><Points>
<Target parameter="a"/><RealPoint time="1" value="0.25" interpolation="linear"/></Points></Lanes>
</Arrangement></Project>"""


def _archive(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("project.xml", PROJECT)
    return out.getvalue()


LANES = {
    "a.csv": b"seconds,target,control,value,shape\n0,guitar,azimuth,-30,linear\n"
    b"2.5,guitar,azimuth,10\n",
    "b.csv": b"\xef\xbb\xbfbeats,guitar.azimuth,tempo\n# a comment\n0,-30,96\n2,10,\n",
    "a.json": b'{"unit": "beats", "tempo": [[0, 96]], "lanes": {"guitar": {"azimuth": [[0, -30], '
    b'[4, 10, "step"]], "mode": [[0, "remove"]]}}}',
    "a.mid": _midi(),
    "a.rpp": RPP,
    "a.dawproject": _archive(zipfile.ZIP_DEFLATED),
    "b.dawproject": _archive(zipfile.ZIP_STORED),
}
TARGETS = [
    b'[{"name": "guitar", "azimuth_deg": -30, "width_deg": 20, "level_db": -3.5}, '
    b'{"name": "bass", "azimuth_deg": 0}]'
]
CHAINS = [
    b'{"gain_db": -3, "plugins": [{"plugin": "Reverb", "parameters": {"room_size": 0.8}}, '
    b'{"plugin": "Gain", "name": "loud", "parameters": {"gain_db": 6}}]}',
    b'[{"plugin": "Compressor", "parameters": {"threshold_db": -20, "ratio": 4}, "preset": null}]',
]
MAPPINGS = [b'{"10": "guitar.azimuth", "2:74": "vocals.width", "7": "gain"}']
