"""What an OSC message does: from python-osc, from liblo, and from nobody's friends."""

from __future__ import annotations

import math
import random
import subprocess
import time

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

from plugin_bridge.control.controls import REMOTE_CONTROLS
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc import OscServer
from plugin_bridge.osc.packets import encode, encode_bundle
from plugin_bridge.osc.patterns import matches
from realtime.errors import StemsteerError
from tests.support.engine_sandbox import need
from tests.support.osc_rig import Rig

pytestmark = pytest.mark.realtime


def test_python_osc_moves_every_control_in_its_own_unit(rig):
    client = SimpleUDPClient("127.0.0.1", rig.server.port)
    for control in REMOTE_CONTROLS.values():
        client.send_message(f"/stemsteer/guitar{control.address}", control.from_norm(0.75))
        assert rig.value(name=control.name) == pytest.approx(control.from_norm(0.75), abs=1e-5)


@pytest.mark.parametrize(
    ("types", "argument", "azimuth"),
    [("f", "-30.5", -30.5), ("i", "12", 12), ("d", "7.25", 7.25), ("h", "-3", -3), ("T", None, 1)],
)
def test_liblo_moves_a_control_with_any_kind_of_number(rig, types, argument, azimuth):
    need("oscsend")
    words = ["oscsend", "127.0.0.1", str(rig.server.port), "/stemsteer/guitar/azimuth", types]
    subprocess.run([*words, *([argument] if argument else [])], check=True)
    deadline = time.monotonic() + 60
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
    rig.send("/*/guitar/azimuth", 7)
    assert rig.value() == 7
    assert rig.ask("/{stem,stemsteer}/get", "/?temsteer/guitar/azimuth")[1] == [7]
    rig.send("/[!s]temsteer/guitar/azimuth", 8)
    assert rig.value() == 7


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
    began = time.thread_time()
    assert matches(pattern, part) is does
    assert time.thread_time() - began < 0.5


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


def test_a_bundle_is_applied_at_its_time_and_in_order(rig, monkeypatch):
    moves, set_value = [], rig.surface.set_value

    def noted(instance, name, value):
        moves.append((value, time.time()))
        set_value(instance, name, value)

    monkeypatch.setattr(rig.surface, "set_value", noted)
    messages = [encode("/stemsteer/guitar/azimuth", (value,)) for value in (1.0, 2.0, 3.0)]
    for _ in range(20):  # a busy machine may be late now and then
        moves.clear()
        due_s = time.time() + 0.3
        rig.socket.send(encode_bundle(messages, due_s=due_s))
        rig.socket.send(encode_bundle([encode("/stemsteer/guitar/azimuth", (9.0,))], due_s - 0.1))
        deadline = time.monotonic() + 60
        while len(moves) < 4:
            assert time.monotonic() < deadline, moves
            time.sleep(0.0005)
        values, times_s = zip(*moves, strict=True)
        lates_s = [at - due for at, due in zip(times_s, [due_s - 0.1] + 3 * [due_s], strict=True)]
        assert min(lates_s) > -0.05
        if max(lates_s) < 0.05:
            break
    assert max(lates_s) < 0.05
    assert values == (9, 1, 2, 3)
    assert rig.value() == 3
    assert set(rig.server.counters.faults()) <= {"late"}


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
    chance = random.Random(3)
    for size in (1, 3, 16, 100, 8192):
        rig.socket.send(chance.randbytes(size))
    rig.socket.send(bytes(20_000))
    rig.send("/stemsteer/guitar/azimuth", 7.0)
    assert rig.value() == 7
    counts = rig.server.counters
    assert (counts.malformed, counts.oversized) == (5, 1)


def test_a_port_in_use_is_said_with_what_to_do(rig):
    with pytest.raises(StemsteerError, match="choose another with --port"):
        OscServer(rig.surface, port=rig.server.port)


def test_a_host_open_to_others_needs_the_names_of_who_may_send():
    with pytest.raises(ValueError, match="name who may send, with --allow"):
        OscServer(MemorySurface(["a"]), host="0.0.0.0", port=0)
    OscServer(MemorySurface(["a"]), host="0.0.0.0", port=0, allowed=["192.168.1.0/24"]).stop()
    with pytest.raises(ValueError, match="does not appear to be"):
        OscServer(MemorySurface(["a"]), port=0, allowed=["my phone"])


@pytest.mark.parametrize("pattern", ["[12]", "{1,2}", "[1-2]", "{2,1}"])
def test_a_pattern_of_digits_matches_the_numbers_of_instances(rig, pattern):
    rig.send(f"/stemsteer/{pattern}/gain", -3.0)
    assert rig.value("guitar", "gain") == rig.value("lead vocals", "gain") == -3


@pytest.mark.parametrize("pattern", ["?", "*1", "[!g]", "[1", "{1", "{1,a}"])
def test_any_other_pattern_matches_names_alone(rig, pattern):
    rig.send(f"/stemsteer/{pattern}/gain", -3.0)
    assert rig.value("guitar", "gain") == rig.value("lead vocals", "gain") == 0


@pytest.mark.parametrize("name", ["latency_mode", "offline"])
def test_what_only_a_host_can_set_is_refused(rig, name):
    rig.send(f"/stemsteer/guitar/{name}", 1024)
    rig.send("/stemsteer/get", f"/stemsteer/guitar/{name}")
    rig.settle()
    assert rig.server.counters.unknown_address == 2
    assert rig.reports[0].startswith(
        f"no control at /stemsteer/guitar/{name}; only the plugin's host sets {name} ("
    )


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("/stemsteer/guitar/azimut", "guitar has azimuth, width, instrument, "),
        ("/stemsteer/nobody/azimuth", "here there is guitar, lead_vocals: names are given"),
        ("/stemsteer/guitar/load", "it is a meter, which is sent to subscribers"),
        ("/stemsteer/guitar/learn", "guitar has azimuth"),
        ("/stemsteer/*/wid", "guitar has azimuth"),
    ],
)
def test_what_is_asked_for_and_has_no_value_is_counted_and_told(rig, wanted, words):
    rig.send("/stemsteer/get", wanted)
    rig.settle()
    assert rig.server.counters.unknown_address == 1
    assert rig.reports[0].startswith(f"/stemsteer/get: no value at {wanted}; {words}")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (("/stemsteer/get", "/stemsteer/1/gain", "/stemsteer/2/gain"), "expected one address"),
        (("/stemsteer/get", 5), "/stemsteer/get: it has [5], expected one address or nothing"),
        (("/stemsteer/subscribe", "x"), "it has ['x'], expected a rate in Hz and a port at most"),
        (("/stemsteer/subscribe", 10, "x"), "expected a rate in Hz and a port at most"),
        (("/stemsteer/unsubscribe", 10, 9000, 1), "expected a rate in Hz and a port at most"),
    ],
)
def test_arguments_that_get_and_subscribe_do_not_know_are_told_and_nothing_done(
    rig, message, words
):
    rig.send(*message)
    rig.settle()
    assert rig.server.counters.wrong_type == 1
    assert words in rig.reports[0]
    assert rig.server.router.subscriptions.due_in_s() == math.inf
