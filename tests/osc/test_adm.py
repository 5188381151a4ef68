"""ADM-OSC 1.0: by its documents, by its own test client, and queries."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from pythonosc.osc_message import OscMessage

from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc.adm import QUERY_PORT, AdmOsc
from plugin_bridge.osc.dialects import OscDialects
from plugin_bridge.osc.packets import encode
from tests.support.osc_rig import Rig

adm_osc = pytest.importorskip("adm_osc")


def moves(address, *arguments, names=("guitar", "bass", "drums")):
    return OscDialects(MemorySurface(names)).moves(address, arguments)


@pytest.mark.parametrize(
    ("address", "arguments", "expected"),
    [
        ("/adm/obj/1/xy", (0.5, -0.3), [("guitar", "azimuth", 22.5)]),
        ("/adm/obj/1/w", (0.0,), [("guitar", "width", 1)]),
        ("/adm/obj/1/w", (1.0,), [("guitar", "width", 90)]),
        ("/adm/obj/1/w", (45.0,), [("guitar", "width", 45)]),  # a draft's degrees
        ("/adm/obj/1/mute", (1,), [("guitar", "gain", -60)]),
        ("/adm/obj/1/mute", (0,), []),
        ("/adm/obj/*/x", (1.0,), [(n, "azimuth", 45) for n in ("guitar", "bass", "drums")]),
        ("/adm/obj/[2-3]/x", (-1.0,), [(n, "azimuth", -45) for n in ("bass", "drums")]),
        ("/adm/obj/[1,3]/x", (0.0,), [(n, "azimuth", 0) for n in ("guitar", "drums")]),
        ("/adm/obj/{1,2}/gain", (1.0,), [(n, "gain", 0) for n in ("guitar", "bass")]),
        ("/adm/obj/[12]/x", (0.0,), [(n, "azimuth", 0) for n in ("guitar", "bass")]),
        ("/adm/obj/[1-12]/y", (0.5,), []),
        ("/adm/obj/1/elev", (10.0,), []),
        ("/adm/obj/1/dmax", (10.0,), []),
        ("/adm/config/obj/1/cartesian", (1,), []),
        ("/adm/lis/ypr", (1.0, 2.0, 3.0), []),
        ("/adm/env/change", ("scene 2",), []),
        ("/adm/obj/7/azim", (10.0,), []),
    ],
)
def test_a_message_moves_what_it_says(address, arguments, expected):
    assert moves(address, *arguments) == expected


@pytest.mark.parametrize("address", ["/adm/obj/1/bril", "/adm/object/1/azim", "/adm"])
def test_what_is_not_of_adm_osc_is_not_taken_for_it(address):
    assert moves(address, 1.0) is None


def test_a_range_of_objects_counts_numbers_and_not_characters():
    found = moves("/adm/obj/[9-11]/x", 0.0, names=[f"t{k}" for k in range(1, 13)])
    assert [instance for instance, _, _ in found] == ["t9", "t10", "t11"]


def test_an_object_by_the_name_it_was_sent_is_the_instance_of_that_name():
    adm = AdmOsc(MemorySurface(["guitar", "bass"]))
    assert adm.moves("/adm/obj/8/x", (1.0,)) == []
    assert adm.moves("/adm/obj/8/name", ("Bass",)) == []
    assert adm.moves("/adm/obj/8/x", (1.0,)) == [("bass", "azimuth", 45)]
    assert adm.moves("/adm/obj/1/x", (1.0,)) == [("guitar", "azimuth", 45)]


def test_an_object_that_is_muted_is_heard_again_as_it_was():
    surface = MemorySurface(["guitar"])
    adm = AdmOsc(surface)

    def play(address, value):
        for move in adm.moves(address, (value,)):
            surface.set_value(*move)
        return surface.value("guitar", "gain")

    surface.set_value("guitar", "gain", -6.0)
    assert play("/adm/obj/1/mute", 1) == -60
    assert play("/adm/obj/1/mute", 1) == -60
    assert adm.replies("/adm/obj/1/mute") == [("/adm/obj/1/mute", (1,))]
    assert adm.replies("/adm/obj/1/gain")[0][1] == (pytest.approx(0.501, abs=1e-3),)
    assert play("/adm/obj/1/gain", 1.0) == -60, "it is heard when it is no longer muted"
    assert play("/adm/obj/1/mute", 0) == 0
    play("/adm/obj/1/mute", 1)
    surface.set_value("guitar", "gain", -3.0)  # by somebody else
    assert play("/adm/obj/1/mute", 0) == -3


def test_what_was_set_is_what_is_answered(rig):
    for address, sent in (("azim", 20.0), ("w", 0.25), ("gain", 0.5), ("x", -0.5)):
        rig.send(f"/adm/obj/1/{address}", sent)
        found, (value,) = rig.ask(f"/adm/obj/1/{address}")
        assert found == f"/adm/obj/1/{address}"
        assert value == pytest.approx(sent, abs=1e-4)
    assert rig.ask("/adm/obj/2/name") == ("/adm/obj/2/name", ["lead vocals"])
    assert rig.ask("/adm/obj/2/mute") == ("/adm/obj/2/mute", [0])
    assert rig.ask("/adm/lis/xyz") == ("/adm/lis/xyz", [0, 0, 0])
    assert rig.server.counters.faults() == {}


def test_a_pattern_without_arguments_asks_for_every_object(rig):
    answers = [rig.ask("/adm/obj/*/aed"), None]
    message = OscMessage(rig.socket.recv(1000))
    answers[1] = message.address, message.params
    assert answers == [(f"/adm/obj/{n}/aed", [0, 0, 1]) for n in (1, 2)]


def test_an_answer_goes_to_port_4002_of_who_asks_as_well(rig):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
        with contextlib.suppress(OSError):
            waiting.bind(("127.0.0.1", QUERY_PORT))
        if waiting.getsockname()[1] != QUERY_PORT:
            pytest.skip(f"port {QUERY_PORT} is taken")
        waiting.settimeout(30)
        rig.send("/adm/obj/1/azim")
        assert OscMessage(waiting.recv(1000)).address == "/adm/obj/1/azim"


def test_the_test_client_of_adm_osc_is_understood_and_understands_the_answers():
    received, refused = [], []

    class Client(adm_osc.TestClient):
        def on_received_message(self, target, objects, parameter, *values):
            received.append((objects, parameter.osc_command, values))

    with Rig(MemorySurface(["guitar", "bass"])) as rig:
        # It waits on one port and sends from another, as many programs do.
        try:
            client = Client(out_port=rig.server.port, in_port=QUERY_PORT)
        except OSError:
            pytest.skip(f"port {QUERY_PORT} is taken")
        try:
            for kind in adm_osc.tests.ValueType.Min, adm_osc.tests.ValueType.Max:
                client.set_object_stable_parameters_predefined_value(1, kind)
            client.set_all_objects_stable_parameters_predefined_value(
                adm_osc.tests.ValueType.Default
            )
            rig.settle()
            refused = rig.server.counters.faults()
            client.query_all_polar_positions()
            client.query_object_gain(2)
            client.query_object_mute(2)
            client.query_object_name(2)
            deadline = time.monotonic() + 60
            while len(received) < 5:
                assert time.monotonic() < deadline, received
                time.sleep(0.01)
        finally:
            client.server.shutdown()
            client.server.server_close()
    assert not refused
    answers = [(objects, what) for objects, what, _ in received]
    assert answers == [(1, "aed"), (2, "aed"), (2, "gain"), (2, "mute"), (2, "name")]
    assert received[-1][2] == ("bass",)


def test_a_query_is_answered_where_it_was_sent_from():
    with Rig() as rig, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(30)
        asker.sendto(encode("/adm/obj/1/gain", ()), ("127.0.0.1", rig.server.port))
        assert OscMessage(asker.recv(1000)).params == [1]
