"""What a catalogue tells while it runs."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cli.catalogue_display import CatalogueDisplay
from plugin_bridge.cluster.manifest import Record
from plugin_bridge.cluster.plan import Plan
from plugin_bridge.cluster.songs import Song
from plugin_bridge.cluster.task import Job


@pytest.fixture
def display(tmp_path):
    """A display of two songs in a pipe, which has begun."""
    songs = [Song(name, tmp_path / name) for name in ("a.flac", "b.flac")]
    with CatalogueDisplay() as made:
        made.begin(Plan([Job(song) for song in songs], [], []), "")
        yield made


def test_a_failure_is_told_in_a_pipe_when_it_happens(display, capsys):
    display.show(Record("a.flac", "failed", "a.flac", error="it is broken"))
    assert capsys.readouterr().err == "stemsteer: a.flac: it is broken\n"


def test_in_a_pipe_it_tells_once_a_minute_how_far_it_is(display, capsys, monkeypatch):
    began_s = time.monotonic()
    display.show(Record("b.flac", "done", "b.flac", sample_rate=44_100, frames=44_100))
    for after_s in (1, 30, 59, 61, 62, 119, 125, 130):
        monkeypatch.setattr(time, "monotonic", lambda after_s=after_s: began_s + after_s)
        display.tick()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" songs")[0] for line in lines] == ["1 of 2", "1 of 2"]
