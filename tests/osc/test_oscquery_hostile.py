"""OSCQuery asked by strangers: web pages, slow ones, those that leave."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from plugin_bridge.osc import http_guard
from plugin_bridge.osc.http_guard import MAX_CONNECTIONS
from plugin_bridge.osc.oscquery import QueryServer
from plugin_bridge.own_name import is_own_name

pytestmark = pytest.mark.waits


@pytest.fixture
def query(rig):
    with QueryServer(rig.server, rig.surface, 0) as server:
        yield server


def ask(port, request, timeout_s=30.0):
    """The status line and the body that a request is answered by; nothing if it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as client:
        client.sendall(request)
        answer = b""
        while more := client.recv(65_536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def get(port, path="/", *headers):
    return ask(port, "\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""]).encode())


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9900", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "127.8.9.7"]
)
def test_who_calls_us_by_our_own_name_is_answered(query, host):
    status, body = get(query.port, "/?HOST_INFO", f"Host: {host}")
    assert status.endswith("200 OK")
    assert json.loads(body)["NAME"] == "Stemsteer"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:9900",
     "8.8.8.8", "[::1", "", "[", "127.0.0.1:x@evil.example", "2130706433"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(query, host):
    status, body = get(query.port, "/", f"Host: {host}")
    assert " 403 " in status
    assert b"guitar" not in body


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1234", "https://127.0.0.1", "["]
)
def test_a_page_of_elsewhere_is_refused(query, origin):
    status, body = get(query.port, "/", "Host: localhost", f"Origin: {origin}")
    assert " 403 " in status
    assert b"guitar" not in body


def test_a_page_of_ours_would_be_answered(query):
    host = f"127.0.0.1:{query.port}"
    assert get(query.port, "/", f"Host: {host}", f"Origin: http://{host}")[0].endswith("200 OK")


def test_reached_from_outside_any_address_is_a_name_of_ours():
    assert is_own_name("192.168.1.5:9900", "192.168.1.5")
    assert is_own_name("10.0.0.1", "172.17.0.2")  # behind a router
    assert not is_own_name("evil.example", "192.168.1.5")
    assert not is_own_name("192.168.1.5", "127.0.0.1")


@pytest.mark.parametrize(
    "request_line",
    [b"GET http://[::1/ HTTP/1.1", b"GET / HTTP/9.9", b"\xff\xfe", b"GET", b"POST / HTTP/1.1",
     b"GET /" + b"a" * 20_000 + b" HTTP/1.1", b"GET /%00%ff HTTP/1.1", b"GET //[ HTTP/1.1"],
)  # fmt: skip
def test_a_request_that_is_none_is_refused_without_a_traceback(query, request_line, capfd):
    try:
        status, _ = ask(query.port, request_line + b"\r\nHost: localhost\r\n\r\n")
        assert "200" not in status
    except ConnectionError:
        pass
    assert get(query.port, "/?HOST_INFO", "Host: localhost")[0].endswith("200 OK")
    assert capfd.readouterr().err == ""


def test_clients_that_leave_early_are_nobodys_business(query, capfd):
    for _ in range(50):
        client = socket.create_connection(("127.0.0.1", query.port), timeout=30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.close()
    time.sleep(0.5)
    assert get(query.port, "/", "Host: localhost")[0].endswith("200 OK")
    assert capfd.readouterr().err == ""


def said_slowly(client, request):
    """Send a byte every 0.1 s; whether all of them could be sent."""
    try:
        for byte in request:
            client.sendall(bytes([byte]))
            time.sleep(0.1)
    except OSError:
        return False
    return True


def test_a_request_byte_by_byte_has_its_time_and_no_more(query, monkeypatch, capfd):
    monkeypatch.setattr(http_guard, "REQUEST_S", 1.0)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", query.port), timeout=10) as slow:
        assert not said_slowly(slow, b"GET / HTTP/1.1\r\nX: " + b"x" * 200)
    assert time.monotonic() - began < 6
    assert capfd.readouterr().err == ""


def test_connections_that_say_nothing_hold_no_more_than_their_number(query, monkeypatch):
    monkeypatch.setattr(http_guard, "REQUEST_S", 2.0)
    silent = [
        socket.create_connection(("127.0.0.1", query.port)) for _ in range(3 * MAX_CONNECTIONS)
    ]
    time.sleep(0.5)
    assert threading.active_count() < 2 * MAX_CONNECTIONS
    deadline = time.monotonic() + 15
    while True:
        try:
            if get(query.port, "/?HOST_INFO", "Host: localhost")[0].endswith("200 OK"):
                break
        except ConnectionError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for client in silent:
        client.close()


def test_every_value_has_the_type_that_is_declared(query):
    _, body = get(query.port, "/stemsteer/guitar", "Host: localhost")
    for leaf in json.loads(body)["CONTENTS"].values():
        assert leaf["TYPE"] == "f" * len(leaf["VALUE"])
        assert all(type(value) is float for value in leaf["VALUE"])
