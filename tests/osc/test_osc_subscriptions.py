"""What OSC tells: values and meters to subscribers, and OSCQuery's description of every control."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from plugin_bridge.control.controls import REMOTE_CONTROLS
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc import OscServer, subscriptions
from plugin_bridge.osc.oscquery import QueryServer, host_info
from plugin_bridge.osc.packets import decode
from plugin_bridge.osc.service import OscOptions
from plugin_bridge.osc.subscriptions import KEPT_S, Subscriptions
from realtime.errors import StemsteerError
from tests.support.osc_rig import Rig


class Metered(MemorySurface):
    def meters(self, instance):
        return {"level_target": (-12.0,), "directions": tuple(0.0 for _ in range(45))}


def test_a_subscriber_hears_values_when_they_move_and_meters(monkeypatch):
    rig = Rig(surface=Metered(["guitar"]))
    with rig:
        rig.send("/stemsteer/subscribe", 60.0)
        heard = {}
        while len(heard) < len(REMOTE_CONTROLS) + 2:
            heard |= {m.address: m.arguments for m in decode(rig.socket.recv(65_536))}
        assert heard["/stemsteer/guitar/width"] == (20,)
        assert heard["/stemsteer/guitar/level_target"] == (-12,)
        assert len(heard["/stemsteer/guitar/directions"]) == 45
        rig.send("/stemsteer/guitar/azimuth", -30.0)
        news = decode(rig.socket.recv(65_536))
        assert [(m.address, m.arguments) for m in news] == [("/stemsteer/guitar/azimuth", (-30,))]
        rig.send("/stemsteer/unsubscribe")
        rig.settle()
        rig.send("/stemsteer/guitar/azimuth", 10.0)
        rig.settle()
        rig.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            rig.socket.recv(65_536)


def test_a_subscriber_that_left_does_no_harm(rig):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        rig.send("/stemsteer/subscribe", 60.0, float(gone.getsockname()[1]))
        rig.settle()
    for azimuth in range(20):
        rig.send("/stemsteer/guitar/azimuth", float(azimuth))
        time.sleep(0.03)
    assert rig.value() == 19


def test_news_that_a_busy_socket_refuses_is_told_the_next_time():
    class Busy:
        """A socket that takes two packets and then no more, until it is `free`."""

        def __init__(self):
            self.sent, self.free = [], False

        def sendto(self, packet, receiver):
            if len(self.sent) >= 2 and not self.free:
                raise BlockingIOError
            self.sent.append(packet)

    surface, busy = Metered([f"track_{k}" for k in range(20)]), Busy()
    subscriptions = Subscriptions(surface)
    subscriptions.subscribe(("127.0.0.1", 9), 1e6)
    subscriptions.send(busy)
    assert len(busy.sent) == 2
    busy.free = True
    time.sleep(0.001)
    subscriptions.send(busy)
    told = [m.address for packet in busy.sent for m in decode(packet)]
    assert len(told) == len(set(told)) == 20 * (len(REMOTE_CONTROLS) + 2)


def test_one_subscriber_too_many_is_refused_and_said(rig):
    for port in range(2000, 2016):
        rig.send("/stemsteer/subscribe", 1.0, float(port))
    rig.settle()
    assert rig.server.counters.faults() == {}
    rig.send("/stemsteer/subscribe", 1.0, 2016.0)
    rig.settle()
    assert rig.server.counters.faults() == {"too_many": 1}


@pytest.mark.parametrize("asked_hz", [1e-30, 1e-4, 0.1])
def test_a_subscription_that_is_not_renewed_frees_its_place_at_any_rate(rig, monkeypatch, asked_hz):
    for port in range(2000, 2016):
        rig.send("/stemsteer/subscribe", asked_hz, float(port))
    rig.settle()
    assert len(rig.server.router.subscriptions._subscribers) == 16
    later = time.monotonic() + KEPT_S + 1
    monkeypatch.setattr(subscriptions, "time", SimpleNamespace(monotonic=lambda: later))
    rig.send("/stemsteer/subscribe", 1.0, 2016.0)
    rig.settle()
    assert rig.server.counters.faults() == {}


def test_a_subscriber_with_a_tiny_rate_is_told_every_ten_seconds(rig):
    rig.send("/stemsteer/subscribe", 1e-30, 2016.0)
    rig.settle()
    rig.settle()  # it has been told everything once
    assert 0 < rig.server.router.subscriptions.due_in_s() <= 10


def test_values_and_answers_are_floats_before_anything_has_moved(rig):
    rig.send("/stemsteer/get", "/stemsteer/guitar/*")
    for _ in REMOTE_CONTROLS:
        assert b",f\0\0" in rig.socket.recv(1000)
    rig.send("/stemsteer/subscribe", 60.0)
    for message in decode(rig.socket.recv(65_536)):
        assert all(type(value) is float for value in message.arguments)


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.status, json.loads(answer.read() or b"null")


def test_oscquery_describes_every_control_and_where_to_send(rig):
    with QueryServer(rig.server, rig.surface, 0) as query:
        _, info = fetch(query.port, "/?HOST_INFO")
        assert (info["OSC_PORT"], info["OSC_TRANSPORT"]) == (rig.server.port, "UDP")
        assert info["OSC_IP"] == "127.0.0.1"
        _, whole = fetch(query.port, "/")
        guitar = whole["CONTENTS"]["stemsteer"]["CONTENTS"]["guitar"]["CONTENTS"]
        assert list(guitar) == [*REMOTE_CONTROLS, "morph"]
        azimuth = guitar["azimuth"]
        assert azimuth["RANGE"] == [{"MIN": -45, "MAX": 45}]
        assert (azimuth["TYPE"], azimuth["ACCESS"]) == ("f", 3)
        rig.send(azimuth["FULL_PATH"], -30.0)
        rig.settle()
        assert fetch(query.port, f"{azimuth['FULL_PATH']}?VALUE") == (200, {"VALUE": [-30]})
        assert fetch(query.port, f"{azimuth['FULL_PATH']}?UNIT")[1] == {"UNIT": ["angle.degree"]}
        assert fetch(query.port, "/stemsteer/guitar/mix?UNIT") == (204, None)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(query.port, "/stemsteer/drums")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            fetch(query.port, "/?COLOUR")


def test_who_listens_everywhere_names_no_address_to_send_to():
    server = OscServer(MemorySurface(["a"]), host="0.0.0.0", port=0, allowed=["192.168.1.0/24"])
    assert "OSC_IP" not in host_info(server)
    server.stop()


def test_oscquery_is_answered_by_ipv6_too():
    try:
        server = OscServer(MemorySurface(["a"]), host="::1", port=0)
    except StemsteerError:
        pytest.skip("this machine has no IPv6")
    with QueryServer(server, MemorySurface(["a"]), 0) as query:
        answer = urllib.request.urlopen(f"http://[::1]:{query.port}/?HOST_INFO", timeout=30).read()
    assert json.loads(answer)["OSC_IP"] == "::1"


def test_a_port_of_oscquery_in_use_names_the_option_to_change(rig):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StemsteerError, match="choose another with --port"):
            QueryServer(rig.server, rig.surface, port)


def test_a_free_port_is_free_for_both_protocols(monkeypatch):
    """The system knows what is free for UDP; the number may be taken for TCP."""
    bound, tried = OscServer.__init__, []
    with contextlib.ExitStack() as stack:

        def bind_and_let_others_come(server, *arguments, **options):
            bound(server, *arguments, **options)
            tried.append(server.port)
            if len(tried) <= 3:
                stack.enter_context(socket.create_server(("127.0.0.1", server.port)))

        monkeypatch.setattr(OscServer, "__init__", bind_and_let_others_come)
        service = OscOptions(port=0).open(MemorySurface(["a"]), print)
        assert (len(tried), service.port) == (4, tried[-1])
        assert fetch(service.port, "/?HOST_INFO")[1]["OSC_PORT"] == service.port
        service.stop()
        for port in tried[:3]:
            with pytest.raises(StemsteerError, match="choose another with --port"):
                OscOptions(port=port).open(MemorySurface(["a"]), print)
