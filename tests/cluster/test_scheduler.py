"""What the end of a song at a worker says of it."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from distributed import Client, Future

from plugin_bridge.cluster import scheduler


def test_a_result_that_is_late_is_awaited_and_counts_as_no_try(monkeypatch):
    monkeypatch.setattr(scheduler, "_RESULT_S", 0.05)
    with Client(processes=False, n_workers=0, dashboard_address=None) as client:
        assert scheduler._result(Future("not done", client), None, None) is None
