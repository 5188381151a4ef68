"""The panel's server: what a browser is told, what it may move, and what ends its connection."""

from __future__ import annotations

import contextlib
import json
import random
import time

import pytest
from websockets.exceptions import ConnectionClosed

from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.panel.picture import N_BANDS
from plugin_bridge.panel.server import PanelOptions
from tests.support.panel_client import browser, code_of_the_end, metered_panel, next_text
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


@pytest.fixture(scope="module")
def panel():
    with metered_panel() as made:
        yield made


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
     '{"set": {"guitar": {"mix": true}}}', '{"set": {"guitar": {"' + 40 * "ギ" + '": "1"}}}',
     '{"set": {"\\ud800": {"mix": 1e999}}}',
     '{"a": [[[[[[]]]]]]}', '{"show": "' + 5000 * "x" + '"}'],
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
