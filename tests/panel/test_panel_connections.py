"""Who is let in by the panel: pages of elsewhere, paths, connections that are too many or idle."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time

import pytest

from plugin_bridge.panel import listening
from plugin_bridge.panel.listening import MAX_CONNECTIONS
from tests.support.panel_client import browser, code_of_the_end, metered_panel, next_text, request
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


@pytest.fixture(scope="module")
def panel():
    with metered_panel() as made:
        yield made


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
