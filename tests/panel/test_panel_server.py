"""The panel's server: what a browser is told, what it may move, and who is refused."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import time
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from plugin_bridge.cli.app import app
from plugin_bridge.cli.panel import Found, found_on
from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface, Sound
from plugin_bridge.panel import listening
from plugin_bridge.panel.listening import MAX_CONNECTIONS
from plugin_bridge.panel.picture import N_BANDS
from plugin_bridge.panel.server import PanelOptions, _own_address
from plugin_bridge.panel.shown import changes, shown
from realtime.errors import StemsteerError
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


class Playing(MemorySurface):
    """A surface with meters and a sound that goes on with every look."""

    end = 0

    def meters(self, instance):
        return {"level_target": (-12.3456,), "directions": (0.5, 0.5), "dropouts": (3.0,)}

    def facts(self, instance):
        return {"model": "panorama"}

    def sound(self, instance):
        self.end += 1
        noise = np.full((2, 2048), 0.1, np.float32)
        return Sound(self.end, 44_100, noise, noise, 0 * noise)


@pytest.fixture(scope="module")
def panel():
    surface, reports = Playing(["guitar", "lead vocals"]), []
    with running(PanelOptions(port=0).open(surface, reports.append), reports.append) as server:
        yield server, surface
    assert reports == []


def browser(server, **options):
    return connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=30, **options)


def next_text(socket, wanted=lambda message: True):
    """The next message of text that is wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        data = socket.recv(timeout=30)
        if isinstance(data, str) and wanted(json.loads(data)):
            return json.loads(data)
    raise AssertionError("no such message")


def request(server, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, b"" if answer.status == 101 else answer.read()


def code_of_the_end(socket):
    """The code with which the server ends a connection."""
    with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012  (which of them sees it is chance)
        while True:
            socket.recv(timeout=30)
    return closed.value.rcvd.code


def test_a_browser_is_told_everything_once(panel):
    with browser(panel[0]) as socket:
        told = next_text(socket)
    assert told["instances"] == ["guitar", "lead vocals"]
    assert told["connected"] is True
    assert told["controls"]["azimuth"]["low"] == -45
    assert told["values"]["guitar"]["width"] == 20
    assert told["meters"]["guitar"] == {"level_target": -12.3, "dropouts": 3}
    assert told["facts"]["guitar"] == {"model": "panorama"}
    assert len(told["bands_hz"]) == N_BANDS + 1


def test_what_one_moves_the_others_are_told_and_nothing_else(panel):
    server, surface = panel
    with browser(server) as one, browser(server) as two:
        next_text(one), next_text(two)
        one.send(json.dumps({"set": {"guitar": {"azimuth": -30.5}}}))
        assert next_text(two) == {"values": {"guitar": {"azimuth": -30.5}}}
        assert surface.value("guitar", "azimuth") == -30.5
        surface.set_value("lead vocals", "gain", -6.0)  # automation, say
        assert next_text(one, lambda m: "lead vocals" in m["values"]) == {
            "values": {"lead vocals": {"gain": -6}}
        }


def test_pictures_are_sent_of_what_a_browser_shows_alone(panel):
    with browser(panel[0]) as socket:
        next_text(socket)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
        socket.send(json.dumps({"show": "guitar"}))
        pictures = [socket.recv(timeout=30) for _ in range(3)]
    assert {len(picture) for picture in pictures} == {20 + 3 * 743}
    assert len(set(pictures)) == 3  # each is of another moment


class Silent(MemorySurface):
    """A surface without sound, whose looks are counted."""

    looks = 0

    def refresh(self, instances, every_s=0.0):
        self.looks += 1
        return True


def test_what_stands_still_is_looked_at_less_often_until_something_moves():
    surface = Silent(["guitar"])
    with (
        running(PanelOptions(port=0).open(surface, print), print) as server,
        browser(server) as one,
    ):
        next_text(one)

        def looks_in(seconds):
            """Return how often it is looked at in a second, and how often that was in all."""
            began_s, looks = time.monotonic(), surface.looks
            time.sleep(seconds)
            passed = surface.looks - looks
            return passed / (time.monotonic() - began_s), passed

        until(lambda: looks_in(1.0)[0] < 15)
        assert looks_in(1.0)[0] < 15
        until(lambda: looks_in(1.0)[1] > 5)  # and not never
        for gain_db in range(-6, -60, -1):  # a busy machine may be too slow to see it
            surface.set_value("guitar", "gain", gain_db)
            assert next_text(one)["values"] == {"guitar": {"gain": gain_db}}
            if looks_in(0.8)[1] > 16:
                break
        else:
            raise AssertionError("it is looked at no more often")


def test_an_instance_that_is_not_there_has_no_pictures_and_does_no_harm(panel):
    with browser(panel[0]) as socket:
        next_text(socket)
        socket.send(json.dumps({"show": "nobody"}))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
        socket.send(json.dumps({"show": "guitar"}))
        assert isinstance(socket.recv(timeout=30), bytes)


def test_values_out_of_range_are_clamped_and_what_is_not_there_is_left_out(panel):
    server, surface = panel
    with browser(server) as socket:
        next_text(socket)
        moves = {"guitar": {"width": 1e9, "nothing": 1, "connected": 0}, "nobody": {"mix": 0}}
        socket.send(json.dumps({"set": moves}))
        until(lambda: surface.value("guitar", "width") == 90)
        socket.send(json.dumps({"set": {"guitar": {"instrument": 7.6}}}))
        until(lambda: surface.value("guitar", "instrument") == 8)
    assert ("guitar", "nothing") not in surface._values
    assert ("guitar", "connected") not in surface._values


def test_a_timbre_is_asked_for_by_names_of_the_library_alone(panel):
    server, surface = panel
    with browser(server) as socket:
        next_text(socket)
        for asked in (["guitar", "learn", 2], ["guitar", "like", "solo"], ["nobody", "learn", 2]):
            socket.send(json.dumps({"ask": asked}))
        requests = []
        until(lambda: requests.extend(surface.requests.take_all()) or len(requests) == 2)
    assert [(r.instance, r.action, r.arguments) for r in requests] == [
        ("guitar", "learn", (2.0,)),
        ("guitar", "like", ("solo",)),
    ]
    assert not any(request.names_files for request in requests)


@pytest.mark.parametrize(
    "message",
    ["", '{"ask": 1}', '{"ask": ["guitar", "learn", 1e9]}', '{"ask": ["guitar", "open", "x"]}',
     '{"player": {"open": 1}}', "no JSON", "[]", "1", '{"set": 1}', '{"set": {"guitar": 1}}',
     '{"set": {"guitar": {"mix": "1"}}}', '{"set": {"guitar": {"mix": NaN}}}',
     '{"set": {"guitar": {"mix": 1e999}}}', '{"set": {"guitar": {"mix": ' + "9" * 400 + "}}}",
     '{"player": {"seek": ' + "9" * 400 + "}}",
     '{"set": {"guitar": {"mix": true}}}', '{"a": [[[[[[]]]]]]}', '{"show": "' + 5000 * "x" + '"}'],
)  # fmt: skip
def test_nonsense_ends_the_connection_and_nothing_else(panel, message):
    server, surface = panel
    before = dict(surface._values)
    with browser(server) as socket:
        next_text(socket)
        socket.send(message)
        assert code_of_the_end(socket) == 1008
    assert surface._values == before
    with browser(server) as socket:
        assert next_text(socket)["connected"]


def test_random_bytes_do_no_harm(panel):
    chance = random.Random(17)
    for _ in range(20):
        with browser(panel[0]) as socket:
            noise = chance.randbytes(chance.randrange(200))
            socket.send(noise if chance.random() < 0.5 else noise.decode("latin-1"))
    with browser(panel[0]) as socket:
        assert next_text(socket)["connected"]


def test_a_browser_that_sends_too_much_is_shown_out(panel):
    with browser(panel[0]) as socket:
        next_text(socket)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1000):
                socket.send('{"set": {"guitar": {"mix": 1}}}')
        assert code_of_the_end(socket) == 1008


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_pages_of_elsewhere_are_refused(panel, headers):
    server, _ = panel
    assert request(server, **headers)[0].status == 403
    assert request(server, "/ws", **UPGRADE, **headers)[0].status == 403
    assert (
        request(server, "/ws", **UPGRADE, Origin=f"http://127.0.0.1:{server.port}")[0].status == 101
    )


def test_the_page_may_load_nothing_from_elsewhere(panel):
    answer, body = request(panel[0])
    assert answer.status == 200
    policy = answer.getheader("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert b"http" not in body.replace(b"http-equiv", b"")


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/..%2fserver.py", "/%2e%2e/hub.py", "/static/index.html", "//etc/passwd",
     "/index.html%00.js", "/ws", "/nothing.js", "/" + 3000 * "a"],
)  # fmt: skip
def test_no_path_reaches_a_file_that_is_not_the_pages(panel, path):
    answer, body = request(panel[0], path)
    assert answer.status in (404, 403)
    assert len(body) < 100


def test_a_token_opens_where_others_can_reach():
    with pytest.raises(ValueError, match="lets others in"):
        PanelOptions("0.0.0.0")
    options = PanelOptions.with_token("0.0.0.0", 0, None)
    assert len(options.token) > 16
    assert all(each.endswith(f":9980/#{options.token}") for each in options.addresses(9980))
    surface = MemorySurface(["guitar"])
    with running(options.open(surface, print), print) as server:
        for first in ({"set": {"guitar": {"mix": 0}}}, {"token": "guess"}, {"token": 1}):
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


def test_sixteen_browsers_are_served_and_not_one_more(panel):
    until(lambda: panel[0]._hub.n_clients == 0)  # those of before have gone
    sockets = [browser(panel[0]) for _ in range(16)]
    try:
        for socket in sockets:
            next_text(socket)
        with browser(panel[0]) as late:
            assert code_of_the_end(late) == 1013
    finally:
        for socket in sockets:
            socket.close()
    until(lambda: panel[0].due_in_s() > 1e9)  # nobody looks: nothing is due


@contextlib.contextmanager
def idle(server, count):
    """Connections that send nothing."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(count)
        ]


def is_closed(connection):
    """Return whether the server has ended a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def is_served(server):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return request(server)[0].status == 200
    return False


def test_connections_beyond_a_limit_are_closed_at_once(panel, monkeypatch):
    monkeypatch.setattr(listening, "REQUEST_S", 3600)
    server, _ = panel
    with idle(server, MAX_CONNECTIONS + 6) as connections:
        until(lambda: sum(map(is_closed, connections)) >= 6)
        assert not is_served(server)
        assert sum(map(is_closed, connections)) < MAX_CONNECTIONS
    until(lambda: is_served(server))


def test_connections_that_ask_for_nothing_make_room_for_browsers(panel, monkeypatch):
    monkeypatch.setattr(listening, "REQUEST_S", 1.0)
    server, _ = panel
    with browser(server) as socket_of_a_browser, idle(server, MAX_CONNECTIONS + 6) as connections:
        until(lambda: all(map(is_closed, connections)))
        until(lambda: is_served(server))
        next_text(socket_of_a_browser)  # it has been there for longer, and stays
        socket_of_a_browser.ping().wait(30)
        assert socket_of_a_browser.close_code is None


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n",
    ],
    ids=["the first", "one after a page", "one with an endless body"],
)
def test_a_request_that_comes_letter_by_letter_is_ended(panel, monkeypatch, before):
    monkeypatch.setattr(listening, "REQUEST_S", 0.3)
    with idle(panel[0], 1) as (connection,):
        deadline = time.monotonic() + 60
        with pytest.raises(ConnectionError):  # noqa: PT012  (which send sees the end is chance)
            connection.sendall(before)
            while time.monotonic() < deadline:
                connection.sendall(b"G")
                time.sleep(0.02)


def test_a_browser_that_no_longer_answers_gives_back_its_place(panel, monkeypatch):
    server, _ = panel
    for name in ("ws_ping_interval", "ws_ping_timeout"):
        monkeypatch.setattr(server._server.config, name, 0.2)
    n_seen = server._hub.n_seen
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        until(lambda: server._hub.n_seen > n_seen)
        until(lambda: server._hub.n_clients == 0)


def test_changes_are_what_differs_and_tell_what_has_gone():
    before = {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}
    assert changes(before, {"a": {"x": 1, "y": 5}, "b": [1], "c": 3}) == {"a": {"y": 5}}
    assert changes(before, before) == {}
    assert changes({}, before) == before
    assert changes(before, {"a": {}, "b": []}) == {"a": {"x": None, "y": None}, "b": [], "c": None}


def test_a_track_that_joins_takes_nothing_else_from_what_is_shown():
    surface = MemorySurface(["guitar"])
    before = {**shown(surface), "answers": {"guitar": "like: solo"}}
    surface.instances = ("guitar", "bass")
    news = changes(before, shown(surface, before))
    assert news["instances"] == ["guitar", "bass"]
    assert set(news) == {"instances", "values", "meters", "facts", "timbres"}
    assert all(list(news[part]) == ["bass"] for part in set(news) - {"instances"})
