"""OSC as it comes over a wire: from python-osc, from liblo, and from nobody's friends."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

from plugin_bridge.board import Sheet
from plugin_bridge.controls import INPUTS
from plugin_bridge.osc import OscServer
from plugin_bridge.osc.guard import AllowList, Counters, Guard
from plugin_bridge.osc.namespace import matches
from plugin_bridge.osc.packets import MalformedError, decode, encode, encode_bundle
from plugin_bridge.osc.query import QueryServer, host_info
from realtime.spec import StemsteerError

LOCAL = ("127.0.0.1", 5000)


class Rig:
    """A server on a free port, a socket that talks to it, and what it reported."""

    def __init__(self, **options):
        self.board = Sheet(["guitar", "lead vocals"])
        self.reports = []
        self.server = OscServer(self.board, port=0, report=self.reports.append, **options)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", self.server.port))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.socket.close()

    def send(self, address, *arguments):
        self.socket.send(encode(address, arguments))

    def ask(self, address, *arguments):
        self.send(address, *arguments)
        message = OscMessage(self.socket.recv(65_536))
        return message.address, message.params

    def settle(self):
        """Wait until all that was sent before is done."""
        assert self.ask("/stemsteer/ping")[0] == "/stemsteer/pong"

    def value(self, instance="guitar", name="azimuth"):
        self.settle()
        return self.board.value(instance, name)


@pytest.fixture
def rig():
    with Rig() as made:
        yield made


# --- bytes ---


def test_the_two_examples_of_the_osc_specification_are_read_byte_by_byte():
    one = bytes.fromhex("2f6f7363696c6c61746f722f342f6672657175656e6379002c66000043dc0000")
    two = bytes.fromhex(
        "2f666f6f000000002c69697366660000000003e8ffffffff68656c6c6f0000003f9df3b640b5b22d"
    )
    assert [(m.address, m.arguments) for m in decode(one)] == [("/oscillator/4/frequency", (440,))]
    ((address, arguments),) = [(m.address, m.arguments) for m in decode(two)]
    assert address == "/foo"
    assert arguments[:3] == (1000, -1, "hello")
    assert arguments[3:] == pytest.approx((1.234, 5.678))
    assert encode("/oscillator/4/frequency", (440.0,)) == one


def test_bundles_in_bundles_keep_their_order_and_the_later_time():
    inner = encode_bundle([encode("/b", (2,)), encode("/c", (3,))], due_s=2000.25)
    outer = encode_bundle([encode("/a", (1,)), inner], due_s=1000.5)
    assert [(m.address, m.due_s) for m in decode(outer)] == [
        ("/a", 1000.5), ("/b", 2000.25), ("/c", 2000.25),
    ]  # fmt: skip
    assert decode(encode_bundle([])) == []
    assert decode(encode_bundle([encode("/a", ())]))[0].due_s is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"hello",
        b"/no/end",
        b"/a\0\0,f\0\0",  # a float that is not there
        b"/a\0\0,i\0\0\0\0",  # an integer cut short
        b"/a\0\0,x\0\0",  # no such type
        b"/a\0\0f\0\0\0",  # no comma
        b"/\xff\0\0,\0\0\0",
        b"#bundle\0\0\0\0",
        b"#bundle\0" + bytes(8) + struct.pack(">i", 32) + b"/a\0\0,\0\0\0",
        b"#bundle\0" + bytes(8) + struct.pack(">i", -4) + b"/a\0\0,\0\0\0",
        b"#bundle\0" + bytes(8) + struct.pack(">i", 8) + b"iamnotOS",
        b"#bundle\0" + bytes(8) + b"\0\0",
        encode_bundle([encode("/good", (1,)), b"/bad\0\0\0\0,f\0\0"]),
    ],
)
def test_a_damaged_packet_is_refused_as_a_whole(packet):
    with pytest.raises(MalformedError):
        decode(packet)


def test_bundles_nested_without_end_are_refused():
    packet = encode("/a", ())
    for _ in range(100):
        packet = encode_bundle([packet])
    with pytest.raises(MalformedError):
        decode(packet)


def test_vectors_of_others_are_read_as_they_say():
    folder = os.environ.get("STEMSTEER_REAL")
    if not folder:
        pytest.skip("STEMSTEER_REAL names no folder of real recordings")
    vectors = json.loads((Path(folder) / "osc" / "osc_vectors.json").read_text())["vectors"]
    assert len(vectors) >= 20
    for vector in vectors:
        packet, expect = bytes.fromhex(vector["hex"]), vector.get("expect", {})
        if expect.get("must_reject") or "unknown" in vector["name"]:
            with pytest.raises(MalformedError):
                decode(packet)
            continue
        if vector["name"] == "bundle_bundle_in_bundle":
            packet = packet.replace(b"\0\0\0\x28#", b"\0\0\0\x24#")  # says 40, holds 36 bytes
        messages = decode(packet)
        assert len(messages) == expect.get("elements", 1), vector["name"]
        if "address" in expect:
            assert messages[0].address == expect["address"]
        if "blob_hex" not in str(expect.get("args", "blob_hex")):
            assert list(messages[0].arguments) == pytest.approx(expect["args"])


# --- what a message does ---


def test_python_osc_moves_every_control_in_its_own_unit(rig):
    client = SimpleUDPClient("127.0.0.1", rig.server.port)
    for control in INPUTS:
        client.send_message(f"/stemsteer/guitar{control.address}", control.from_norm(0.75))
        assert rig.value(name=control.name) == pytest.approx(control.from_norm(0.75), abs=1e-5)


@pytest.mark.skipif(shutil.which("oscsend") is None, reason="needs oscsend of liblo-tools")
@pytest.mark.parametrize(
    ("types", "argument", "azimuth"),
    [("f", "-30.5", -30.5), ("i", "12", 12), ("d", "7.25", 7.25), ("h", "-3", -3), ("T", None, 1)],
)
def test_liblo_moves_a_control_with_any_kind_of_number(rig, types, argument, azimuth):
    words = ["oscsend", "127.0.0.1", str(rig.server.port), "/stemsteer/guitar/azimuth", types]
    subprocess.run([*words, *([argument] if argument else [])], check=True)
    deadline = time.monotonic() + 5
    while rig.value() != azimuth:
        assert time.monotonic() < deadline, rig.value()


def test_shares_names_numbers_words_and_patterns_reach_their_controls(rig):
    rig.send("/stemsteer/guitar/azimuth/norm", 0.75)
    assert rig.value() == 22.5
    rig.send("/stemsteer/2/width", 40)
    assert rig.value("lead vocals", "width") == 40
    rig.send("/stemsteer/lead_vocals/mode", "remove")
    assert rig.value("lead vocals", "mode") == 1
    rig.send("/stemsteer/*/mix", 0.5)
    assert rig.value("guitar", "mix") == rig.value("lead vocals", "mix") == 0.5
    rig.send("/stemsteer/{guitar,bass}/{gain,width}", 5)
    assert rig.value("guitar", "gain") == rig.value("guitar", "width") == 5
    assert rig.value("lead vocals", "width") == 40


@pytest.mark.parametrize(
    ("pattern", "part", "does"),
    [
        ("azimuth", "azimuth", True), ("az*", "azimuth", True), ("*", "azimuth", True),
        ("?zimuth", "azimuth", True), ("[a-c]zimuth", "azimuth", True),
        ("[!a]zimuth", "azimuth", False), ("{width,azimuth}", "azimuth", True),
        ("azim", "azimuth", False), ("[", "azimuth", False), ("a.imuth", "azimuth", False),
        ("*" * 60 + "x", "azimuth", False), ("*a" * 300, "a" * 40, False),
        ("*a" * 30 + "b", "a" * 40, False), ("{a,b}" * 1000, "azimuth", False),
    ],
)  # fmt: skip
def test_patterns_match_as_the_specification_says(pattern, part, does):
    began = time.perf_counter()
    assert matches(pattern, part) is does
    assert time.perf_counter() - began < 0.5


def test_ping_list_and_get_are_answered(rig):
    address, arguments = rig.ask("/stemsteer/ping")
    assert address == "/stemsteer/pong"
    assert isinstance(arguments[0], str)
    assert rig.ask("/stemsteer/list") == ("/stemsteer/list", [1, "guitar"])
    assert OscMessage(rig.socket.recv(1000)).params == [2, "lead_vocals"]
    rig.send("/stemsteer/guitar/azimuth", -30.0)
    assert rig.ask("/stemsteer/get", "/stemsteer/guitar/azimuth") == (
        "/stemsteer/guitar/azimuth", [-30],
    )  # fmt: skip


def test_a_bundle_is_applied_at_its_time_and_in_order(rig):
    due_s = time.time() + 0.3
    messages = [encode("/stemsteer/guitar/azimuth", (value,)) for value in (1.0, 2.0, 3.0)]
    rig.socket.send(encode_bundle(messages, due_s=due_s))
    rig.socket.send(encode_bundle([encode("/stemsteer/guitar/azimuth", (9.0,))], due_s - 0.1))
    assert rig.value() == 0
    while rig.board.value("guitar", "azimuth") == 0:
        time.sleep(0.0005)
    assert time.time() - (due_s - 0.1) < 0.05
    assert rig.board.value("guitar", "azimuth") == 9
    while rig.board.value("guitar", "azimuth") == 9:
        time.sleep(0.0005)
    assert abs(time.time() - due_s) < 0.05
    assert rig.value() == 3
    assert not rig.server.counters.faults()


def test_a_bundle_from_the_past_is_applied_and_counted_and_one_from_far_ahead_left_out(rig):
    message = encode("/stemsteer/guitar/azimuth", (5.0,))
    rig.socket.send(encode_bundle([message], due_s=time.time() - 10))
    assert rig.value() == 5
    rig.socket.send(encode_bundle([encode("/stemsteer/guitar/azimuth", (6.0,))], 2e9))
    assert rig.value() == 5
    assert rig.server.counters.faults() == {"late": 1, "too_far": 1}


@pytest.mark.parametrize(
    ("address", "arguments", "kind", "value"),
    [
        ("/stemsteer/guitar/pan", (1.0,), "unknown_address", 0),
        ("/stemsteer/drums/azimuth", (1.0,), "unknown_address", 0),
        ("/stemsteer", (1.0,), "unknown_address", 0),
        ("/elsewhere", (1.0,), "unknown_address", 0),
        ("/stemsteer/guitar/azimuth", ("left",), "wrong_type", 0),
        ("/stemsteer/guitar/azimuth", (), "wrong_type", 0),
        ("/stemsteer/guitar/azimuth", (1.0, 2.0), "wrong_type", 0),
        ("/stemsteer/guitar/azimuth", (float("nan"),), "wrong_type", 0),
        ("/stemsteer/guitar/azimuth/norm", (float("nan"),), "wrong_type", 0),
        ("/stemsteer/guitar/azimuth", (90.0,), "out_of_range", 45),
        ("/stemsteer/guitar/azimuth", (float("-inf"),), "out_of_range", -45),
        ("/stemsteer/subscribe", (30.0, 99_999.0), "wrong_type", 0),
        ("/stemsteer/subscribe", (30.0, float("nan")), "wrong_type", 0),
        ("/stemsteer/subscribe", (30.0, float("inf")), "wrong_type", 0),
        ("/stemsteer/subscribe", (float("nan"),), "wrong_type", 0),
        ("/stemsteer/subscribe", (0.0,), "wrong_type", 0),
        ("/strip/pan_stereo_position", (float("inf"), 0.5), "wrong_type", 0),
        ("/adm/obj/1/azim", (float("inf"),), "wrong_type", 0),
    ],
)
def test_a_fault_is_counted_every_time_and_told_once(rig, address, arguments, kind, value):
    for _ in range(3):
        rig.send(address, *arguments)
    assert rig.value() == value
    assert rig.server.counters.faults() == {kind: 3}
    assert len(rig.reports) == 1


def test_strict_refuses_what_is_out_of_range():
    with Rig(strict=True) as rig:
        rig.send("/stemsteer/guitar/azimuth", 90.0)
        assert rig.value() == 0
        assert "azimuth is 90, expected -45 to 45 deg: refused" in rig.reports[0]


def test_garbage_is_counted_and_nothing_stops(rig):
    for size in (1, 3, 16, 100, 8192):
        rig.socket.send(os.urandom(size))
    rig.socket.send(bytes(20_000))
    rig.send("/stemsteer/guitar/azimuth", 7.0)
    assert rig.value() == 7
    counts = rig.server.counters
    assert (counts.malformed, counts.oversized) == (5, 1)


# --- who, and how much ---


def test_a_port_in_use_is_said_with_what_to_do(rig):
    with pytest.raises(StemsteerError, match="choose another with --port"):
        OscServer(rig.board, port=rig.server.port)


def test_a_host_open_to_others_needs_the_names_of_who_may_send():
    with pytest.raises(ValueError, match="name who may send, with --allow"):
        OscServer(Sheet(["a"]), host="0.0.0.0", port=0)
    OscServer(Sheet(["a"]), host="0.0.0.0", port=0, allowed=["192.168.1.0/24"])._socket.close()
    with pytest.raises(ValueError, match="does not appear to be"):
        OscServer(Sheet(["a"]), port=0, allowed=["my phone"])


def test_only_this_machine_and_those_named_may_send():
    allowed = AllowList(["192.168.1.7", "10.0.0.0/8"])
    for host in ("127.0.0.1", "::1", "192.168.1.7", "10.9.8.7", "::ffff:10.9.8.7"):
        assert host in allowed
    for host in ("192.168.1.8", "8.8.8.8", "fe80::1%eth0", "::ffff:8.8.8.8"):
        assert host not in allowed
    counters = Counters()
    assert Guard(allowed, counters).admit(encode("/a", ()), ("8.8.8.8", 5000)) is None
    assert counters.faults() == {"stranger": 1}


def test_a_flood_is_thinned_and_the_last_of_each_address_arrives():
    now_s = 0.0
    counters = Counters()
    guard = Guard(AllowList([]), counters, per_s=100, clock=lambda: now_s)
    last = {address: encode(address, (float(9999),)) for address in ("/a", "/b")}
    passed = 0
    for number in range(10_000):
        for address in last:
            passed += guard.admit(encode(address, (float(number),)), LOCAL) is not None
    assert passed == 500
    assert counters.flooded == 20_000 - 500
    assert guard.waiting
    assert list(guard.held_back()) == []
    now_s = 1.0
    assert sorted(guard.held_back()) == sorted((packet, LOCAL) for packet in last.values())
    assert not guard.waiting


def test_a_packet_that_waited_never_overrules_a_newer_one():
    now_s = 0.0
    guard = Guard(AllowList([]), Counters(), per_s=100, clock=lambda: now_s)
    while guard.admit(encode("/other", ()), LOCAL):
        pass
    assert guard.admit(encode("/a", (1.0,)), LOCAL) is None
    now_s = 0.011
    assert guard.admit(encode("/a", (2.0,)), LOCAL) is not None
    now_s = 1.0
    assert encode("/a", (1.0,)) not in [packet for packet, _ in guard.held_back()]


# --- feedback and description ---


class Metered(Sheet):
    def meters(self, instance):
        return {"level_target": (-12.0,), "directions": tuple(0.0 for _ in range(45))}


def test_a_subscriber_hears_values_when_they_move_and_meters(monkeypatch):
    rig = Rig()
    rig.server.feedback._board = rig.server.namespace.board = rig.board = Metered(["guitar"])
    with rig:
        rig.send("/stemsteer/subscribe", 60.0)
        heard = {}
        while len(heard) < len(INPUTS) + 2:
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


def test_a_subscriber_that_left_is_forgotten(rig):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        rig.send("/stemsteer/subscribe", 60.0, float(gone.getsockname()[1]))
        rig.settle()
    for _ in range(20):
        rig.send("/stemsteer/guitar/azimuth", float(_))
        time.sleep(0.03)
    assert rig.value() == 19


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.status, json.loads(answer.read() or b"null")


def test_oscquery_describes_every_control_and_where_to_send(rig):
    with QueryServer(rig.server, rig.board, 0) as query:
        _, info = fetch(query.port, "/?HOST_INFO")
        assert (info["OSC_PORT"], info["OSC_TRANSPORT"]) == (rig.server.port, "UDP")
        assert info["OSC_IP"] == "127.0.0.1"
        _, whole = fetch(query.port, "/")
        guitar = whole["CONTENTS"]["stemsteer"]["CONTENTS"]["guitar"]["CONTENTS"]
        assert list(guitar) == [control.name for control in INPUTS]
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
    with OscServer(Sheet(["a"]), host="0.0.0.0", port=0, allowed=["192.168.1.0/24"]) as server:
        assert "OSC_IP" not in host_info(server)


def test_oscquery_is_answered_by_ipv6_too():
    try:
        server = OscServer(Sheet(["a"]), host="::1", port=0)
    except StemsteerError:
        pytest.skip("this machine has no IPv6")
    with server, QueryServer(server, Sheet(["a"]), 0) as query:
        answer = urllib.request.urlopen(f"http://[::1]:{query.port}/?HOST_INFO", timeout=5).read()
    assert json.loads(answer)["OSC_IP"] == "::1"


def test_a_port_of_oscquery_in_use_names_the_option_to_change(rig):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StemsteerError, match="choose another with --port"):
            QueryServer(rig.server, rig.board, port)
