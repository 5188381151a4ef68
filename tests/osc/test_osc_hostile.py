"""What hostile packets cost: one packet, no more, and never anybody else's."""

from __future__ import annotations

import random
import socket
import struct
import time

import pytest

from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.packets import MAX_BYTES, decode, encode, encode_bundle
from plugin_bridge.osc.rate_limit import AllowList, RateLimiter
from tests.support.osc_rig import Rig
from tests.support.soak import rounds

GOOD, FLOOD = ("127.0.0.1", 5000), ("127.0.0.1", 6000)


def string(text: bytes) -> bytes:
    return text + b"\0" * (4 - len(text) % 4)


def nested(depth: int) -> bytes:
    """A message whose argument is an array in an array in an array ..."""
    return string(b"/stemsteer/guitar/azimuth") + string(b"," + b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("depth", [1, 8, 9, 100, 3000])
def test_arrays_in_arrays_are_counted_and_the_next_message_is_heard(rig, depth):
    rig.socket.send(nested(depth))
    rig.send("/stemsteer/guitar/azimuth", 12.0)
    assert rig.value() == 12
    kind = "wrong_type" if depth <= 8 else "malformed"
    assert rig.server.counters.faults() == {kind: 1}
    assert max(map(len, rig.reports)) < 600


def test_messages_for_now_are_heard_however_many_wait_for_later(rig):
    message = encode("/x", ())
    packet = encode_bundle([message] * 500, due_s=time.time() + 590)
    for _ in range(20):
        rig.socket.send(packet)
        time.sleep(0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(30)
        other.sendto(encode("/stemsteer/ping", ()), ("127.0.0.1", rig.server.port))
        assert other.recv(1000).startswith(b"/stemsteer/pong")
    assert rig.server.counters.too_many > 0
    assert rig.server.counters.too_far == 0


def test_one_sender_cannot_take_the_room_of_others_for_messages_for_later(rig):
    for _ in range(20):
        rig.socket.send(encode_bundle([encode("/x", ())] * 500, due_s=time.time() + 590))
        time.sleep(0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        packet = encode_bundle([encode("/stemsteer/guitar/azimuth", (9.0,))], time.time() + 0.3)
        other.sendto(packet, ("127.0.0.1", rig.server.port))
        deadline = time.monotonic() + 60
        while rig.surface.value("guitar", "azimuth") != 9:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def costly(seed: int) -> bytes:
    """A packet of patterns with as many choices as fit."""
    r = random.Random(seed)
    words = ("*" + "".join(r.choice("ab") + "?*" for _ in range(30)) for _ in range(60))
    return encode("/stemsteer/*/{" + ",".join(words) + "}", (1.0,))


def test_patterns_without_end_take_no_time():
    surface = MemorySurface([f"track_{k}" for k in range(64)])
    with Rig(surface) as rig:
        began = time.process_time()
        for seed in range(20):
            rig.socket.send(costly(seed))
        rig.settle()
        assert time.process_time() - began < 0.5  # 4.2 s before patterns were bounded


def test_a_packet_of_very_many_moves_is_cut_off_and_counted():
    surface = MemorySurface([f"track_{k}" for k in range(64)])
    with Rig(surface) as rig:
        many = [encode("/stemsteer/*/*", (float(k % 2),)) for k in range(100)]
        rig.socket.send(encode_bundle(many))
        rig.settle()
        counters = rig.server.counters
        assert counters.too_costly > 50
        assert 0 < counters.applied < 10_000


def test_an_exception_that_nobody_has_foreseen_costs_one_message():
    class Broken(MemorySurface):
        def set_value(self, instance, name, value):
            raise RuntimeError("\x1b[31mbroken")

    with Rig(Broken(["guitar"])) as rig:
        for _ in range(3):
            rig.send("/stemsteer/guitar/azimuth", 1.0)
        rig.settle()
        assert rig.server.counters.faults() == {"unforeseen": 3}
        assert len(rig.reports) == 1
        assert "\x1b" not in rig.reports[0]


def test_an_exception_beside_messages_is_told_and_the_server_goes_on(rig):
    def broken(socket):
        raise RuntimeError("no news")

    rig.server.router.subscriptions.send = broken
    rig.settle()
    deadline = time.monotonic() + 60
    while not rig.reports:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    del rig.server.router.subscriptions.send
    rig.settle()
    assert len(rig.reports) == 1
    assert "OscServer: RuntimeError: no news" in rig.reports[0]


@pytest.mark.parametrize("tag", "ISc")
def test_an_unknown_type_costs_its_message_and_not_the_bundle(rig, tag):
    unknown = string(b"/touch") + string(b"," + tag.encode()) + bytes(4)
    rig.socket.send(encode_bundle([unknown, encode("/stemsteer/guitar/azimuth", (17.0,))]))
    assert rig.value() == 17
    assert rig.server.counters.faults() == {"unknown_type": 1}


def test_every_sender_has_a_rate_of_its_own():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), clock=lambda: now_s)
    packet = encode("/stemsteer/ping", ())
    for _ in range(1000):
        limiter.admit(packet, FLOOD)
    assert limiter.admit(packet, GOOD) == packet


def test_all_senders_together_are_bounded_and_each_has_its_turn():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), clock=lambda: now_s)
    packet = encode("/stemsteer/ping", ())
    senders = [("127.0.0.1", port) for port in range(2000, 2050)]
    passed = sum(limiter.admit(packet, s) is not None for _ in range(500) for s in senders)
    assert passed == 1000
    assert limiter.admit(packet, GOOD) is None
    now_s = 0.1
    assert [sender for _, sender in limiter.held_back()] == [GOOD]  # the loud ones are muted
    now_s = 1.1
    assert sorted(sender for _, sender in limiter.held_back()) == senders


def test_what_is_left_of_the_total_is_for_those_who_have_sent_little():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), clock=lambda: now_s)
    packet = encode("/stemsteer/ping", ())
    for port in (6001, 6002, 6003):
        for _ in range(300):
            limiter.admit(packet, ("127.0.0.1", port))
    assert limiter.admit(packet, ("127.0.0.1", 6001)) is None
    assert limiter.admit(packet, GOOD) == packet


def test_large_packets_take_more_of_the_rate():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), clock=lambda: now_s)
    packet = encode_bundle([encode("/x", ())] * 500)
    assert sum(limiter.admit(packet, FLOOD) is not None for _ in range(100)) == 6


def test_a_very_loud_sender_is_muted_for_longer_each_time_and_then_heard_again():
    now_s, told = 0.0, []
    counters = Counters(report=told.append)
    limiter = RateLimiter(AllowList([]), counters, clock=lambda: now_s)
    packet = encode("/a", (1.0,))
    muted_s = []
    for _ in range(3):
        while FLOOD not in limiter.muted():
            limiter.admit(packet, FLOOD)
        began_s = now_s
        while FLOOD in limiter.muted():
            now_s += 0.01
        muted_s.append(now_s - began_s)
    assert muted_s == pytest.approx([1, 2, 4], abs=0.02)
    assert counters.muted == 3
    assert f"{FLOOD[0]} sends far too much and is not listened to for 1 s: what it" in told[1]
    now_s += 10
    assert limiter.admit(packet, FLOOD) == packet


def test_what_is_held_back_takes_bounded_memory():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), clock=lambda: now_s)
    for port in range(1, 3000):
        for k in range(3):
            limiter.admit(encode(f"/a{k}", ("x" * (MAX_BYTES - 100),)), ("127.0.0.1", port))
    assert sum(len(p) for s in limiter._senders.values() for p in s.waiting.values()) <= 4 << 20
    assert len(limiter._senders) <= 1024
    now_s = 1e6
    while list(limiter.held_back()):
        now_s += 100
    assert limiter._waiting_bytes == 0
    assert not limiter.waiting


@pytest.mark.soak
def test_packets_of_random_bytes_and_mutations_never_raise_anything_else():
    r, count = random.Random(7), rounds(200_000)
    good = [
        encode("/stemsteer/guitar/azimuth", (1.0,)),
        encode_bundle([encode("/a", (1, "b")), encode("/c", ())], due_s=1000.0),
        nested(4),
        struct.pack(">12s", b"/a\0\0,b\0\0\0\0\0\4") + b"blob",
    ]
    refused = 0
    for _ in range(count):
        packet = bytearray(r.choice(good))
        for _ in range(r.randint(1, 6)):
            packet[r.randrange(len(packet))] = r.choice((0, 255, 91, 93, 44, r.randrange(256)))
        try:
            decode(bytes(packet))
        except ValueError:
            refused += 1
    assert 0 < refused < count
