"""A surface seen from another process: what comes over, and when."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
import pytest

from plugin_bridge.control.relay import relay
from plugin_bridge.control.remote import LEASE_S, METERS_EVERY, Refusal, SurfaceProxy
from plugin_bridge.control.server_process import SharedPipe
from plugin_bridge.control.surface import MemorySurface, Sound
from plugin_bridge.control.timbre_requests import TimbreChange


class Sounding(MemorySurface):
    looks = measured = 0
    fails = False

    def __init__(self, instances):
        super().__init__(instances)
        self.faults = []

    def set_value(self, instance, name, value):
        if self.fails and instance == "bass":
            raise KeyError(name)
        super().set_value(instance, name, value)

    def meters(self, instance):
        if self.fails:
            raise ValueError("no negative elements")
        self.measured += 1
        return {"load": (float(self.measured),)}

    def sound(self, instance):
        self.looks += 1
        rows = [np.full((2, 8), k, np.float32) for k in (3, 1, 2)]
        return Sound(self.looks, 48_000.0, *rows)

    def timbres(self, instance):
        return {"like": "of before"}


@pytest.fixture
def pair():
    """A surface, and its proxy; both ends are in this process."""
    surface = Sounding(["guitar", "bass"])
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=relay, args=(surface, theirs, surface.faults.append))
    thread.start()
    proxy = SurfaceProxy(ours, {name: surface.controls(name) for name in surface.instances})
    yield surface, proxy
    ours.send(None)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("size", [10, 100_000])
def test_messages_of_two_threads_go_over_whole(size):
    ours, theirs = socket.socketpair()
    with SharedPipe(ours.detach()) as near, Connection(theirs.detach()) as far:

        def send(number):
            for _ in range(200):
                near.send(bytes([number]) * size)

        threads = [threading.Thread(target=send, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        came = [far.recv() for _ in range(400)]
        for thread in threads:
            thread.join()
    assert all(message == message[:1] * size for message in came)


def attend_until(proxy, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        proxy.attend()
        time.sleep(0.001)


def test_a_sound_that_is_asked_for_comes_once_and_whole(pair):
    surface, proxy = pair
    assert not proxy.refresh({"guitar"})
    attend_until(proxy, lambda: proxy.refresh({"guitar"}))
    sound = proxy.sound("guitar")
    assert (sound.end, sound.sample_rate) == (1, 48_000.0)
    for rows, expected in ((sound.mixture, 3), (sound.target, 1), (sound.residual, 2)):
        np.testing.assert_array_equal(rows, np.full((2, 8), expected))
    assert proxy.sound("bass") is None
    assert surface.looks == 1


def test_a_value_that_is_moved_here_and_moved_back_there_is_told_again(pair):
    surface, proxy = pair
    surface.set_value("guitar", "azimuth", -30.0)
    proxy.refresh(())
    attend_until(proxy, lambda: proxy.value("guitar", "azimuth") == -30)
    proxy.set_value("guitar", "azimuth", 10.0)
    attend_until(proxy, lambda: surface.value("guitar", "azimuth") == 10)
    surface.set_value("guitar", "azimuth", -30.0)
    time.sleep(0.02)
    proxy.meters("guitar")
    attend_until(proxy, lambda: proxy.value("guitar", "azimuth") == -30)


def test_after_a_refusal_the_vector_is_that_of_the_timbre_before():
    ours, theirs = multiprocessing.Pipe()
    proxy = SurfaceProxy(ours, {"guitar": {}})
    before, refused, after = np.eye(3, dtype=np.float32)
    proxy.change_timbre(TimbreChange("guitar", "like", before, "before.wav"))
    proxy.change_timbre(TimbreChange("guitar", "like", refused, "refused.wav"))
    theirs.send(Refusal("guitar", "like: the model takes another size", {"like": "before.wav"}))
    attend_until(proxy, lambda: proxy.requests.answers)
    assert proxy.timbre_vector("guitar", "like") is before
    proxy.change_timbre(TimbreChange("guitar", "like", after, "after.wav"))
    assert proxy.timbre_vector("guitar", "like") is after
    proxy.change_timbre(TimbreChange("guitar", "like", None))
    assert proxy.timbre_vector("guitar", "like") is None


def test_a_stream_comes_by_itself_at_its_pace_beside_moves(pair):
    surface, proxy = pair
    ends, began_s = set(), time.monotonic()

    def followed():
        proxy.refresh({"guitar"}, 0.02)
        if sound := proxy.sound("guitar"):
            ends.add(sound.end)
        return len(ends) == 20

    proxy.set_value("bass", "gain", -6.0)
    attend_until(proxy, followed)
    looks, measured, lasted_s = surface.looks, surface.measured, time.monotonic() - began_s
    assert lasted_s > 19 * 0.019
    assert looks <= lasted_s / 0.02 + 5  # nothing was asked beside it
    assert measured <= 2 * (looks // METERS_EVERY + 2)  # of two instances
    assert proxy.meters("guitar")["load"][0] > 10  # those that came last stay
    assert surface.value("bass", "gain") == -6


def test_a_stream_ends_when_nobody_follows_it_or_the_other_side_is_silent(pair):
    surface, proxy = pair
    attend_until(proxy, lambda: proxy.refresh({"guitar"}, 0.02))
    time.sleep(LEASE_S + 0.2)  # nothing is said
    looks = surface.looks
    time.sleep(0.2)
    assert surface.looks == looks
    attend_until(proxy, lambda: proxy.refresh({"guitar"}, 0.02) and surface.looks > looks + 5)
    until_s = time.monotonic() + 2 * LEASE_S
    attend_until(proxy, lambda: time.monotonic() > until_s)  # somebody attends, nobody follows
    looks = surface.looks
    until_s += 0.2
    attend_until(proxy, lambda: time.monotonic() > until_s)
    assert surface.looks == looks


def test_a_timbre_that_is_refused_there_is_told_here_and_moves_go_on(pair):
    surface, proxy = pair
    proxy.change_timbre(TimbreChange("guitar", "like", np.ones(1, np.float32), "new.wav"))
    assert proxy.timbres("guitar")["like"] == "new.wav"
    reason = "like: nothing sounds here that could have a timbre"
    attend_until(proxy, lambda: proxy.requests.answers.get("guitar") == reason)
    assert proxy.timbres("guitar")["like"] == "of before"
    assert proxy.timbre_vector("guitar", "like") is None, "that of before was not given from here"
    proxy.listen("bass", 1.0)
    attend_until(proxy, lambda: "learn: nothing" in proxy.requests.answers.get("bass", ""))
    proxy.set_value("guitar", "azimuth", 10.0)
    attend_until(proxy, lambda: surface.value("guitar", "azimuth") == 10)


def test_a_fault_in_what_a_surface_shows_is_told_once_and_ends_nothing(pair):
    surface, proxy = pair
    surface.fails = True
    surface.set_value("guitar", "width", 30.0)
    proxy.set_value("bass", "azimuth", 5.0)
    proxy.set_value("guitar", "azimuth", 10.0)
    attend_until(proxy, lambda: len(surface.faults) == 2)
    attend_until(proxy, lambda: surface.value("guitar", "azimuth") == 10)  # other moves are made
    until_s = time.monotonic() + 0.2
    attend_until(proxy, lambda: proxy.meters("guitar") or time.monotonic() > until_s)
    named = sorted(words.split("it goes on: Sounding: ")[1] for words in surface.faults)
    assert named == ["KeyError: 'azimuth'", "ValueError: no negative elements"]
    surface.fails = False
    attend_until(proxy, lambda: proxy.meters("guitar"))
    assert proxy.value("guitar", "width") == 30, "what was not told is told"
    attend_until(proxy, lambda: proxy.refresh({"guitar"}, 0.02))
    surface.fails = True
    attend_until(proxy, lambda: len(surface.faults) == 2 and not proxy.refresh({"guitar"}, 0.02))
    surface.fails = False
    attend_until(proxy, lambda: proxy.refresh({"guitar"}, 0.02))
