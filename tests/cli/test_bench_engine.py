"""`stemsteer bench --instances`: late blocks, and histograms of answers and wake-ups."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.diagnostics import engine_load
from plugin_bridge.diagnostics.histogram import EDGES_MS, TimeHistogram
from realtime.errors import StemsteerError


def test_times_fall_into_the_bucket_that_ends_at_or_above_them():
    found = TimeHistogram.of([0.0001, 0.00011, 0.0004, 0.0009, 0.001, 0.0021, 0.9])
    words = dict(found.rows())
    assert words["to 0.1 ms"] == 1
    assert words["to 0.2 ms"] == 1
    assert words["to 0.5 ms"] == 1
    assert words["to 1 ms"] == 2
    assert words["to 2 ms"] == 0
    assert words["to 3 ms"] == 1
    assert words["beyond 50 ms"] == 1
    assert sum(found.counts) == found.count == 7
    assert found.max_ms == 900


def test_percentiles_are_those_of_all_times():
    times_s = np.arange(1, 1001) / 1e5  # 0.01 to 10 ms
    found = TimeHistogram.of(times_s)
    assert found.p50_ms == pytest.approx(5.005, abs=0.01)
    assert found.p99_ms == pytest.approx(9.9, abs=0.02)
    assert found.p999_ms == pytest.approx(9.99, abs=0.02)
    assert [words for words, _ in found.rows()][-1] == "to 10 ms"
    assert found.counts[-1] == 0
    assert len(found.counts) == len(EDGES_MS) + 1


def test_nothing_measured_is_said():
    with pytest.raises(ValueError, match="no times"):
        TimeHistogram.of([])


def test_tracks_are_closed_where_the_engine_refuses_the_next_one(monkeypatch):
    closed = []

    class Track:
        def __init__(self, *_, **__):
            if closed:
                raise StemsteerError("the engine refuses: one instance is served already")
            closed.append(False)

        def close(self):
            closed[0] = True

    monkeypatch.setattr(engine_load, "PluginClient", Track)
    monkeypatch.setattr(engine_load, "_engine", nullcontext)
    with pytest.raises(StemsteerError, match="refuses"):
        engine_load.measure_engine_load("panorama", 2)
    assert closed == [True]


def test_an_engine_answers_the_blocks_of_a_host_and_each_answer_is_timed():
    done = CliRunner().invoke(
        cli.app, ["bench", "panorama", "--instances", "2", "--seconds", "4", "--json"]
    )
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    blocks = int(4 * 44_100 / 512)
    assert found["blocks"] == 2 * blocks
    assert found["wake_up"]["count"] == sum(found["wake_up"]["counts"]) == blocks
    answer = found["answer"]
    assert sum(answer["counts"]) == answer["count"]
    assert 0.9 * found["blocks"] < answer["count"] <= found["blocks"]
    assert 0.05 < answer["p50_ms"] <= answer["p99_ms"] <= answer["max_ms"]
    assert len(found["bucket_edges_ms"]) == len(answer["counts"]) - 1
