"""What the tests of catalogues share: songs, settings, and a display that counts."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from plugin_bridge.cluster.catalogue import CatalogueSettings, run_catalogue
from plugin_bridge.cluster.manifest import FILE_NAME, Record
from plugin_bridge.cluster.songs import find_songs
from plugin_bridge.control.target import Target
from plugin_bridge.offline.render import RenderSettings
from realtime import load_model

RATE_HZ = 44_100
AZIMUTH_DEG = -30


def write_song(path: Path, seed: int = 0, seconds: float = 1.0) -> Path:
    """Write a song of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    samples = 0.1 * random.standard_normal((round(seconds * RATE_HZ), 2))
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def write_long_song(path: Path, minutes: int = 30) -> Path:
    """Write a song that takes seconds to render: silence, as a file that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(0), 32_000, subtype="PCM_16", format="WAV")
    header, size = bytearray(path.read_bytes()), minutes * 60 * 32_000 * 2
    header[4:8] = (len(header) - 8 + size).to_bytes(4, "little")
    header[-4:] = size.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, len(header) + size)
    return path


def settings_for(
    out: Path, azimuth_deg: float = AZIMUTH_DEG, **fields: object
) -> CatalogueSettings:
    """Settings that take one direction by `panorama`."""
    render = RenderSettings([Target("target", azimuth_deg)])
    return CatalogueSettings(out, render, load_model("panorama"), **fields)  # type: ignore[arg-type]


class Display:
    """Sees every record, and does something at each."""

    def __init__(self, at_record: Callable[[Record], None] = lambda record: None) -> None:
        self.records: list[Record] = []
        self.at_record = at_record
        self.to_do: list[str] = []
        self.ticks: list[Callable[[], None]] = []
        self.is_stopping = False
        self.waits = 0

    def begin(self, plan, dashboard):
        self.to_do = [job.song.name for job in plan.jobs]

    def show(self, record):
        self.records.append(record)
        self.at_record(record)

    def tick(self):
        for act in self.ticks:
            act()

    def waiting(self):
        self.waits += 1

    def stopping(self):
        self.is_stopping = True


class WorkerHere:
    """A worker in this process, on which a test can change what is under the song."""

    threads, dashboard = 1, ""

    @property
    def client(self):
        return self

    def submit(self, function, *given, **_):
        return _Done(function(*given))

    def mend(self): ...
    def made_progress(self): ...


class _Done:
    def __init__(self, value):
        self._value = value

    def result(self, timeout):
        return self._value

    def add_done_callback(self, call):
        call(self)


def no_workers(_):
    """Start nothing: nothing is to be done."""
    raise AssertionError("workers are started, though there is nothing to do")


@dataclass(frozen=True)
class Run:
    """What a run did, with the records of what it has done."""

    done: list[Record]
    failed: list[Record]
    kept: int


def catalogue(source: Path, workers, settings: CatalogueSettings, display=None) -> Run:
    """Run a catalogue on workers that run already, None for none."""
    songs, display = find_songs(source, settings.out), display or Display()
    start = no_workers if workers is None else lambda _: contextlib.nullcontext(workers)
    summary = run_catalogue(songs, settings, start, display)
    done = [record for record in display.records if record.state == "done"]
    assert summary.done == len(done)
    return Run(done, summary.failed, summary.kept)


def lines(out: Path) -> list[dict]:
    """The records of songs in a manifest, all lines."""
    text = (out / FILE_NAME).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, text) if "song" in record]
