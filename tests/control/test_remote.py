"""A surface seen from another process: what comes over, and when."""

from __future__ import annotations

import multiprocessing
import threading
import time

import numpy as np
import pytest

from plugin_bridge.control.remote import SurfaceProxy, relay
from plugin_bridge.control.surface import MemorySurface, Sound


class Sounding(MemorySurface):
    looks = 0

    def sound(self, instance):
        self.looks += 1
        rows = [np.full((2, 8), k, np.float32) for k in (3, 1, 2)]
        return Sound(self.looks, 48_000.0, *rows)


@pytest.fixture
def pair():
    """A surface, and its proxy; both ends are in this process."""
    surface = Sounding(["guitar", "bass"])
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=relay, args=(surface, theirs))
    thread.start()
    proxy = SurfaceProxy(ours, {name: surface.controls(name) for name in surface.instances})
    yield surface, proxy
    ours.send(None)
    thread.join(10)
    assert not thread.is_alive()


def attend_until(proxy, condition):
    deadline = time.monotonic() + 10
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
