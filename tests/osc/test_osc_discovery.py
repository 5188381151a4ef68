"""OSCQuery announced by zeroconf: a browser on the same machine finds it, and it goes with it."""

from __future__ import annotations

import sys
import threading

import pytest

from plugin_bridge.control.server_process import ServerProcess
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc.discovery import SERVICE, advertise
from plugin_bridge.osc.service import OscOptions
from realtime.errors import StemsteerError

zeroconf = pytest.importorskip("zeroconf")


class Ear(zeroconf.ServiceListener):
    def __init__(self):
        self.ports, self.came, self.went = [], threading.Event(), threading.Event()

    def add_service(self, zc, type_, name):
        info = zc.get_service_info(type_, name, 30_000)
        if info:
            assert info.parsed_addresses() == ["127.0.0.1"]
            self.ports.append(info.port)
            self.came.set()

    def update_service(self, zc, type_, name):
        pass

    def remove_service(self, zc, type_, name):
        self.went.set()


@pytest.fixture
def ear():
    network = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    listener = Ear()
    zeroconf.ServiceBrowser(network, SERVICE, listener)
    yield listener
    network.close()


def test_an_announced_server_is_found_and_gone_when_it_ends(ear):
    with ServerProcess(MemorySurface(["a"]), [OscOptions(port=0, announce=True)]) as servers:
        assert ear.came.wait(60)
        assert servers.ports[0] in ear.ports
        assert not ear.went.is_set()
    assert ear.went.wait(60)


def test_nothing_is_announced_unless_it_is_asked_for(ear):
    with ServerProcess(MemorySurface(["a"]), [OscOptions(port=0)]):
        assert not ear.came.wait(3)


def test_a_missing_package_is_said_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(StemsteerError, match="pip install"), advertise("127.0.0.1", 9900):
        pass
