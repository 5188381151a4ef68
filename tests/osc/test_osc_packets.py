"""Packets of OSC: read byte by byte, refused when damaged, let in from whom they may come."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from plugin_bridge.osc.packets import MalformedError, decode, encode, encode_bundle
from plugin_bridge.osc.rate_limit import AllowList, Counters, RateLimiter

LOCAL = ("127.0.0.1", 5000)


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


def test_only_this_machine_and_those_named_may_send():
    allowed = AllowList(["192.168.1.7", "10.0.0.0/8"])
    for host in ("127.0.0.1", "::1", "192.168.1.7", "10.9.8.7", "::ffff:10.9.8.7"):
        assert host in allowed
    for host in ("192.168.1.8", "8.8.8.8", "fe80::1%eth0", "::ffff:8.8.8.8"):
        assert host not in allowed
    counters = Counters()
    assert RateLimiter(allowed, counters).admit(encode("/a", ()), ("8.8.8.8", 5000)) is None
    assert counters.faults() == {"stranger": 1}


def test_what_is_not_let_in_is_told_once_of_each_kind():
    told = []
    limiter = RateLimiter(AllowList([]), Counters(report=told.append), clock=lambda: 0.0)
    for _ in range(3):
        limiter.admit(encode("/a", ()), ("::ffff:10.9.8.7", 5000))
        limiter.admit(bytes(9000), ("127.0.0.1", 5001))
    for _ in range(1000):
        limiter.admit(encode("/a", ()), LOCAL)
    expected = (
        "10.9.8.7 may not send: --allow 10.9.8.7 lets it (",
        "a packet of 9000 bytes from 127.0.0.1 is left out, expected at most 8192 (",
        "127.0.0.1 sends too much at once: the last of each address arrives (",
    )
    assert [words.startswith(begin) for words, begin in zip(told, expected, strict=True)] == 3 * [1]


def test_a_flood_is_thinned_and_the_last_of_each_address_arrives():
    now_s = 0.0
    counters = Counters()
    limiter = RateLimiter(AllowList([]), counters, per_s=100, clock=lambda: now_s)
    last = {address: encode(address, (float(9999),)) for address in ("/a", "/b")}
    passed = 0
    for number in range(10_000):
        for address in last:
            passed += limiter.admit(encode(address, (float(number),)), LOCAL) is not None
    assert passed == 500
    assert counters.flooded == 20_000 - 500
    assert limiter.waiting
    assert list(limiter.held_back()) == []
    now_s = 3.0  # so loud a sender is muted for a second
    assert sorted(limiter.held_back()) == sorted((packet, LOCAL) for packet in last.values())
    assert not limiter.waiting


def test_a_packet_that_waited_never_overrules_a_newer_one():
    now_s = 0.0
    limiter = RateLimiter(AllowList([]), Counters(), per_s=100, clock=lambda: now_s)
    while limiter.admit(encode("/other", ()), LOCAL):
        pass
    assert limiter.admit(encode("/a", (1.0,)), LOCAL) is None
    now_s = 0.011
    assert limiter.admit(encode("/a", (2.0,)), LOCAL) is not None
    now_s = 1.0
    assert encode("/a", (1.0,)) not in [packet for packet, _ in limiter.held_back()]
