"""Servers in a process of their own: the same controls, and quiet beside the audio."""

from __future__ import annotations

import json
import socket
import time
import urllib.request

import pytest
from pythonosc.udp_client import SimpleUDPClient

from plugin_bridge.control.server_process import ServerProcess
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.diagnostics.osc_load import bench_osc
from plugin_bridge.osc.packets import decode, encode, encode_bundle
from plugin_bridge.osc.service import OscOptions
from realtime import load_model
from realtime.errors import StemsteerError


class Metered(MemorySurface):
    def meters(self, instance):
        return {"level_target": (-12.0,)}


@pytest.fixture(scope="module")
def rig():
    surface = Metered(["guitar"])
    with ServerProcess(surface, [OscOptions(port=0)]) as servers:
        yield surface, servers.ports[0]


def until(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.0002)


def test_moves_arrive_soon(rig):
    surface, port = rig
    client = SimpleUDPClient("127.0.0.1", port)
    waits_s = []
    for k in range(100):
        began = time.perf_counter()
        client.send_message("/stemsteer/guitar/azimuth", float(k % 40) + 1)
        until(lambda k=k: surface.value("guitar", "azimuth") == k % 40 + 1, "the move")
        waits_s.append(time.perf_counter() - began)
    assert sorted(waits_s)[50] < 0.005


def test_a_flood_arrives_gathered_and_ends_where_it_ended(rig):
    surface, port = rig
    plays = []
    surface.set_value = lambda *move: (plays.append(move), MemorySurface.set_value(surface, *move))
    client = SimpleUDPClient("127.0.0.1", port)
    began = time.monotonic()
    for k in range(5000):
        client.send_message("/stemsteer/guitar/width", float(k % 80) + 1)
        if k % 20 == 19:
            time.sleep(0.004)  # 5 000 a second: more at once would be lost before they arrive
    time.sleep(0.5)
    client.send_message("/stemsteer/guitar/width", 77.0)
    until(lambda: surface.value("guitar", "width") == 77, "the last value")
    assert len(plays) <= (time.monotonic() - began) / 0.002 + 10
    del surface.set_value


def test_what_moves_here_is_shown_there(rig):
    surface, port = rig
    MemorySurface.set_value(surface, "guitar", "gain", -7.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.settimeout(5)
        ear.bind(("127.0.0.1", 0))
        ear.sendto(encode("/stemsteer/subscribe", (60.0,)), ("127.0.0.1", port))
        heard = {}
        deadline = time.monotonic() + 10
        while heard.get("/stemsteer/guitar/gain") != (-7,) or len(heard) < 12:
            heard |= {m.address: m.arguments for m in decode(ear.recv(65_536))}
            assert time.monotonic() < deadline, heard
        assert heard["/stemsteer/guitar/level_target"] == (-12,)
        ear.sendto(encode("/stemsteer/unsubscribe", ()), ("127.0.0.1", port))
    address = f"http://127.0.0.1:{port}/stemsteer/guitar/gain?VALUE"
    with urllib.request.urlopen(address, timeout=5) as answer:
        assert json.load(answer) == {"VALUE": [-7]}


def test_bundles_keep_their_time(rig):
    surface, port = rig
    due_s = time.time() + 0.3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hand:
        message = encode("/stemsteer/guitar/mix", (0.25,))
        hand.sendto(encode_bundle([message], due_s), ("127.0.0.1", port))
    until(lambda: surface.value("guitar", "mix") == 0.25, "the bundle")
    assert abs(time.time() - due_s) < 0.05


def test_a_port_in_use_is_said_here(rig):
    with pytest.raises(StemsteerError, match="choose another with --port"):
        ServerProcess(MemorySurface(["a"]), [OscOptions(port=rig[1])])
    with pytest.raises(StemsteerError, match="name who may send"):
        ServerProcess(MemorySurface(["a"]), [OscOptions("0.0.0.0", 0)])


def test_a_bench_tells_what_osc_costs_beside_live_sound():
    result = bench_osc(load_model("panorama"), 1.0)
    assert result.blocks == 172
    assert 0 < result.messages <= 5000
    assert result.memory_after_mb > 20
    assert -50 < result.delay_median_ms <= result.delay_p99_ms < 200
    assert result.hop_ms == pytest.approx(5.8, abs=0.1)
