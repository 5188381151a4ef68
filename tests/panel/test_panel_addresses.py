"""Where a panel is found: its addresses and tokens, its port, and what is there already."""

from __future__ import annotations

import contextlib
import json
import socket
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from plugin_bridge.cli.app import app
from plugin_bridge.cli.panel import Found, found_on
from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.panel.server import PanelOptions, _own_address
from realtime.errors import StemsteerError
from tests.support.panel_client import browser, code_of_the_end, metered_panel, next_text

pytestmark = pytest.mark.realtime  # processes enough to disturb others


@pytest.fixture(scope="module")
def panel():
    with metered_panel() as made:
        yield made


def test_a_token_opens_where_others_can_reach():
    with pytest.raises(ValueError, match="lets others in"):
        PanelOptions("0.0.0.0")
    options = PanelOptions.with_token("0.0.0.0", 0, None)
    assert len(options.token) > 16
    assert all(each.endswith(f":9980/#{options.token}") for each in options.addresses(9980))
    surface = MemorySurface(["guitar"])
    with running(options.open(surface, print), print) as server:
        for first in (
            {"set": {"guitar": {"mix": 0}}}, {"token": "guess"}, {"token": 1}, {"token": "\ud800"}
        ):  # fmt: skip
            with browser(server) as socket:
                socket.send(json.dumps(first))
                assert code_of_the_end(socket) == 1008
        assert surface.value("guitar", "mix") == 1
        with browser(server) as socket:
            socket.send(json.dumps({"token": options.token}))
            assert next_text(socket)["instances"] == ["guitar"]


@pytest.mark.parametrize("token", ["two words here", "schlüssel", "a#token%of", "a-long-token\n"])
def test_a_token_that_an_address_does_not_carry_is_refused(token):
    for host in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(ValueError, match="letters A to Z and a to z, digits"):
            PanelOptions.with_token(host, 0, token)
    assert PanelOptions("0.0.0.0", token="Az09._~-").token == "Az09._~-"


def test_a_panel_for_all_tells_its_address_beside_the_name_of_the_machine(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "studio")
    monkeypatch.setattr("plugin_bridge.panel.server._own_address", lambda _: "192.168.1.7")
    options = PanelOptions("0.0.0.0", token="a" * 8)
    assert options.addresses(1) == ["http://studio:1/#aaaaaaaa", "http://192.168.1.7:1/#aaaaaaaa"]
    monkeypatch.setattr("plugin_bridge.panel.server._own_address", lambda _: "")  # no network
    assert options.addresses(1) == ["http://studio:1/#aaaaaaaa"]
    assert PanelOptions("::1").addresses(1) == ["http://[::1]:1/"]


def test_the_address_in_the_network_is_one_of_this_machine():
    address = _own_address("0.0.0.0")
    assert address == "" or socket.create_server((address, 0)).close() is None


def test_a_port_in_use_is_said(panel):
    with pytest.raises(StemsteerError, match="choose another with --port"):
        PanelOptions(port=panel[0].port).open(MemorySurface(["a"]), print)


def test_a_panel_that_runs_is_opened_in_place_of_another(panel, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    port = panel[0].port
    done = CliRunner().invoke(app, ["panel", "--open", "--port", str(port)])
    assert done.exit_code == 0, done.output
    assert opened == [f"http://127.0.0.1:{port}/"]


@contextlib.contextmanager
def panel_of_a_file():
    with running(PanelOptions(port=0).open(MemorySurface(["target"]), print), print) as server:
        server.player = SimpleNamespace(state=lambda: {"file": "song.wav"}, position_s=0.0)
        yield server.port


@contextlib.contextmanager
def panel_with_a_token():
    options = PanelOptions(port=0, token="a-token-of-a-tablet")
    with running(options.open(MemorySurface(["guitar"]), print), print) as server:
        yield server.port


@contextlib.contextmanager
def another_program():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("other", [panel_of_a_file, panel_with_a_token, another_program])
def test_a_panel_of_tracks_is_opened_beside_what_is_none(other, monkeypatch):
    monkeypatch.setattr("plugin_bridge.panel.client.OPEN_S", 60.0 if "panel" in str(other) else 0.3)
    opened, found = [], []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def wait():
        monkeypatch.setattr("plugin_bridge.panel.client.OPEN_S", 60.0)  # this one answers
        found.append(found_on(int(opened[0].split(":")[2].strip("/"))))

    monkeypatch.setattr("plugin_bridge.cli.panel.wait_for_interrupt", wait)
    with other() as port:
        done = CliRunner().invoke(app, ["panel", "--open", "--port", str(port)])
        assert done.exit_code == 0, done.output
        assert f"what answers on port {port} is not a panel that shows the tracks" in done.output
        assert f"panel: {opened[0]}" in done.output
    assert found == [Found.TRACKS]


def test_where_nothing_listens_nothing_is_found():
    with another_program() as port:
        pass
    assert found_on(port) is Found.NOTHING
