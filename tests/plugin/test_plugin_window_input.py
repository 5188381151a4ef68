"""What hands, keys, wheels and automation do in the plugin's window."""

from __future__ import annotations

import time

import pytest

from tests.support.engine_sandbox import built_plugin
from tests.support.waiting import until
from tests.support.window_host import MIDDLE, drag, handle_x, moves_until, near, window_host, x_of

pytestmark = pytest.mark.host


def test_a_drag_moves_the_azimuth_and_the_host_is_told_when_it_begins_and_ends(host):
    assert handle_x(host.picture()) == pytest.approx(x_of(0), abs=1)
    drag(host, x_of(0), x_of(5), x_of(20))
    told = moves_until(host, "end azimuth;")
    assert told[0] == "begin azimuth"
    assert told[-1] == "end azimuth"
    values = [float(word.removeprefix("azimuth ")) for word in told[1:-1]]
    assert values
    assert values[-1] == pytest.approx(20, abs=0.1)
    near(host, "azimuth", values[-1])
    until(lambda: abs((handle_x(host.picture()) or 0) - x_of(20)) <= 1.5, "the handle follows")


def test_automation_moves_the_handle(host):
    for azimuth_deg in (-30, 12.5, 40):
        host.ask("set", "azimuth", azimuth_deg)
        until(
            lambda at=azimuth_deg: abs((handle_x(host.picture()) or 0) - x_of(at)) <= 1.5,
            f"the handle is at {azimuth_deg}",
        )
    assert host.ask("moves") == ""  # the window does not tell the host what it has told


def test_shift_is_fine_the_wheel_and_an_edge_are_the_width_a_double_click_puts_back(host):
    drag(host, x_of(0), x_of(10), key="shift")
    near(host, "azimuth", 2, 0.2)
    host.display.hand("mousemove", 100, MIDDLE, "click", 4)
    near(host, "width", 22)
    host.display.hand("keydown", "shift", "click", 5, "keyup", "shift")
    near(host, "width", 21.6)
    drag(host, x_of(2 + 10.8), x_of(2 + 20.8))
    near(host, "width", 41.6, 0.5)
    time.sleep(0.5)  # else the next is a double click with the last
    host.display.hand("mousemove", 120, MIDDLE, "click", "--repeat", 2, "--delay", 60, 1)
    near(host, "azimuth", 0)
    near(host, "width", 20)


def test_keys_move_the_handle_after_a_click_into_the_window(host):
    drag(host, x_of(0), x_of(0))
    host.display.hand("key", "Right", "Right", "Right")
    near(host, "azimuth", 1.5)
    host.display.hand("key", "Left", "shift+Left", "Up", "Prior")
    near(host, "azimuth", 5.9)
    near(host, "width", 21)
    host.display.hand("key", "Home")
    near(host, "azimuth", 0)
    near(host, "width", 20)
    told = ";".join(moves_until(host, "end width;"))
    assert told.count("begin") == told.count("end")


def test_keys_that_mean_nothing_to_the_window_reach_the_host_after_a_click(host):
    drag(host, x_of(0), x_of(0))
    host.display.hand("key", "space", "Right")
    near(host, "azimuth", 0.5)
    space = f"press {SPACE_CODE};release {SPACE_CODE};"
    told = ""

    def ended():
        nonlocal told
        told += host.ask("keys")
        return told.endswith(space)

    until(ended, "the host has it")
    assert told == space
    host.display.hand("key", "ctrl+Right", "super+Right", "ISO_Level3_Shift+Right", "space")
    told = ""
    until(ended, "the host has the second one, too")
    assert told.count("press") == told.count("release") == 7
    near(host, "azimuth", 0.5)


SPACE_CODE = 65  # as keyboards of X number it
HOME, LEFT, UP, RIGHT, PAGE_UP, ESCAPE, SPACE = 10, 11, 12, 13, 15, 6, 7  # as VST3 numbers them
SHIFT, CONTROL = 1, 8


def test_a_vst3_host_hands_keys_over_and_keeps_its_own(screen, engine_sandbox):
    with window_host(screen, "vst3", built_plugin()) as host:
        host.ask("open")
        for code, modifiers in ((RIGHT, 0), (RIGHT, 0), (LEFT, SHIFT), (PAGE_UP, 0), (UP, 0)):
            assert host.ask("key", code, modifiers) == "taken"
        told = moves_until(host, "end width;")
        assert told.count("begin azimuth") == told.count("end azimuth") == 4
        near(host, "azimuth", 5.9)
        near(host, "width", 21)
        for code, modifiers in ((ESCAPE, 0), (SPACE, 0), (0, 0), (LEFT, CONTROL), (99, 0)):
            assert host.ask("key", code, modifiers) == "left"
        assert host.ask("moves") == ""
        assert host.ask("key", HOME, 0) == "taken"
        near(host, "azimuth", 0)
        near(host, "width", 20)
        host.ask("close")


def test_the_buttons_are_instrument_learn_mode_and_bypass(host):
    row = 388 - 25
    for place, control, value in (
        (297, "instrument", 1),  # next
        (20, "instrument", 0),  # previous
        (20, "instrument", 31),  # the last that has a name
        (434, "mode", 1),
        (515, "bypass", 1),
        (515, "bypass", 0),
    ):
        time.sleep(0.05)
        host.display.hand("mousemove", place, row, "click", 1)
        near(host, control, value)
    host.display.hand("mousemove", 353, row, "mousedown", 1)
    near(host, "learn", 1)  # as long as it is held
    host.display.hand("mouseup", 1)
    near(host, "learn", 0)
    moves_until(host, "learn 0;end learn;")

    def is_seen():  # unless the machine stands still meanwhile
        time.sleep(0.5)
        host.display.hand("click", 1)
        seen = []
        told = moves_until(host, "end learn;", lambda: seen.append(host.value("learn")))
        assert told == ["begin learn", "learn 1", "learn 0", "end learn"]
        return 1 in seen

    until(is_seen, "a click is long enough for a block to see it")
    near(host, "learn", 0)
