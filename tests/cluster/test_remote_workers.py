"""A cluster that is there already: reached by TLS, and looked at before it is used."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from distributed.comm import CommClosedError

from plugin_bridge.cluster.remote_workers import RemoteWorkers
from plugin_bridge.cluster.workers import LocalWorkers
from realtime import StemsteerError
from tests.support.catalogues import catalogue, settings_for, write_song

pytestmark = pytest.mark.realtime  # processes enough to disturb others


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one worker with its address and, as files, what lets one in."""
    folder = tmp_path_factory.mktemp("keys")
    with LocalWorkers(1) as workers:
        security = workers.client.security
        keys = []
        for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
            (folder / name).write_text(getattr(security, name))
            keys.append(folder / name)
        workers.client.wait_for_workers(1)
        yield workers.client.scheduler.address, keys


def test_a_catalogue_runs_on_it(cluster, tmp_path):
    address, keys = cluster
    write_song(tmp_path / "music" / "a.flac")
    with RemoteWorkers(address, tmp_path, *keys) as workers:
        run = catalogue(tmp_path / "music", workers, settings_for(tmp_path / "stems"))
    assert [record.song for record in run.done] == ["a.flac"]


def test_workers_that_do_not_see_the_output_are_named(cluster, tmp_path):
    address, keys = cluster
    with pytest.raises(StemsteerError, match="does not see"):
        RemoteWorkers(address, tmp_path / "nowhere", *keys)


def test_workers_of_another_version_are_named(cluster, tmp_path, monkeypatch):
    address, keys = cluster
    ours = importlib.metadata.version
    monkeypatch.setattr(RemoteWorkers, "_version", staticmethod(lambda: "0.0.0"))
    with pytest.raises(StemsteerError, match=rf"has Stemsteer {ours('stemsteer')}, this is 0.0.0"):
        RemoteWorkers(address, tmp_path, *keys)


def test_another_model_on_a_worker_is_refused(cluster, tmp_path):
    address, keys = cluster
    write_song(tmp_path / "music" / "a.flac")
    settings = settings_for(tmp_path / "stems")
    other = replace(settings.work(), model_sha256="0" * 64)
    with RemoteWorkers(address, tmp_path, *keys) as workers:
        monkey = pytest.MonkeyPatch()
        monkey.setattr(type(settings), "work", lambda self: other)
        run = catalogue(tmp_path / "music", workers, settings)
        monkey.undo()
    assert "another model on this worker" in run.failed[0].error


def test_who_has_no_key_does_not_get_in(cluster, tmp_path, monkeypatch):
    # the last of all: a client that has failed leaves the next one of its process without a loop
    address, _ = cluster
    monkeypatch.setattr("plugin_bridge.cluster.remote_workers._CONNECT_S", 2)
    with pytest.raises(StemsteerError, match="no scheduler answers"):
        RemoteWorkers(address, tmp_path)
    with pytest.raises(StemsteerError, match="no scheduler answers"):
        RemoteWorkers(address.replace("tls://", "tcp://"), tmp_path)


class _Cluster:
    """A client that has lost its scheduler, or workers."""

    def __init__(self, threads):
        self._threads = threads

    def nthreads(self):
        if isinstance(self._threads, Exception):
            raise self._threads
        return self._threads


def test_a_scheduler_that_is_gone_is_named_and_workers_that_are_gone_are_counted():
    workers = object.__new__(RemoteWorkers)
    workers.address, workers.client = "tcp://head:8786", _Cluster({})
    workers.mend()
    assert workers.threads == 0
    for error in (CommClosedError("ConnectionPool closing."), AttributeError("ncores")):
        workers.client = _Cluster(error)
        with pytest.raises(StemsteerError, match="the scheduler at tcp://head:8786 is gone"):
            workers.mend()
