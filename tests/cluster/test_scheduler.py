"""What the end of a song at a worker says of it."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from distributed import Client, Future

from plugin_bridge.cluster import scheduler
from tests.support.catalogues import Display, WorkerHere, catalogue, settings_for, write_song


def test_a_result_that_is_late_is_awaited_and_counts_as_no_try(monkeypatch):
    monkeypatch.setattr(scheduler, "_RESULT_S", 0.05)
    with Client(processes=False, n_workers=0, dashboard_address=None) as client:
        assert scheduler._result(Future("not done", client), None, None) is None


class Going(WorkerHere):
    """Workers that go and come back; the song is done when they have gone for the second time."""

    def __init__(self):
        self.counts = iter([1, 0, 0, 1, 0, 0, 1])
        self.done = None

    def submit(self, function, *given, **_):
        self.done = super().submit(function, *given)
        return self

    def add_done_callback(self, call):
        self._call = call

    def result(self, timeout):
        return self.done.result(timeout)

    def mend(self):
        self.threads = next(self.counts, None)
        if self.threads is None:
            self.threads = 1
            self._call(self)


def test_it_is_said_once_each_time_that_no_workers_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "_MEND_S", 0.0)
    write_song(tmp_path / "music" / "a.flac")
    display = Display()
    run = catalogue(tmp_path / "music", Going(), settings_for(tmp_path / "stems"), display)
    assert len(run.done) == 1
    assert display.waits == 2
