"""The panel in a real browser: Debian's chromium, without a window."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from plugin_bridge.control.servers import running
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.observer import EngineObserver
from plugin_bridge.panel.server import PanelOptions
from tests.support.panel_page import handle, shown_azimuth
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


HELD_S = 0.4
"""So long a control that is dragged stays where the hand has it."""


def drag(page, locator, by_px, modifier=None):
    box = locator.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    if modifier:
        page.keyboard.down(modifier)
    page.mouse.move(x + by_px / 2, y)
    page.mouse.move(x + by_px, y)
    page.mouse.up()
    if modifier:
        page.keyboard.up(modifier)


def degrees(page, px):
    return px / page.locator("#plot").bounding_box()["width"] * 90


def test_a_drag_moves_the_sound_with_shift_finely_and_at_the_edge_its_width(panel, open_page):
    server, surface = panel
    page = open_page(server)
    drag(page, handle(page), 200)
    expected = degrees(page, 200)
    until(lambda: abs(surface.value("guitar", "azimuth") - expected) < 0.2, "dragged")
    assert surface.value("lead vocals", "azimuth") == 0
    drag(page, handle(page), 100, "Shift")
    expected += degrees(page, 100) * 0.2
    until(lambda: abs(surface.value("guitar", "azimuth") - expected) < 0.3, "dragged finely")
    drag(page, page.locator(".selected .edge.right"), 50)
    expected = 20 + 2 * degrees(page, 50)
    until(lambda: abs(surface.value("guitar", "width") - expected) < 0.3, "wider")
    page.locator("#plot").dblclick(position={"x": 30, "y": 300})
    until(
        lambda: surface.value("guitar", "width") == 20 and surface.value("guitar", "azimuth") == 0
    )


def test_wheel_numbers_and_keys_move_it_too(panel, open_page):
    server, surface = panel
    page = open_page(server)
    page.locator("#plot").hover(position={"x": 300, "y": 400})
    page.mouse.wheel(0, -100)
    until(lambda: surface.value("guitar", "width") == 22)
    number = page.get_by_label("Azimuth", exact=True)
    number.fill("-12.25")
    number.press("Enter")
    until(lambda: surface.value("guitar", "azimuth") == -12.25)
    number.fill("1000")
    number.press("Enter")
    until(lambda: surface.value("guitar", "azimuth") == 45)
    assert number.input_value() == "45"
    handle(page).press("ArrowLeft")
    handle(page).press("Shift+ArrowLeft")
    handle(page).press("ArrowUp")
    until(lambda: surface.value("guitar", "azimuth") == 44.4)
    until(lambda: surface.value("guitar", "width") == 23)


@pytest.mark.parametrize(
    ("typed", "value"), [("1,5", 1.5), ("-12,5", -12.5), ("\N{MINUS SIGN}3", -3), (" 7 ", 7)]
)
def test_a_number_is_taken_as_people_write_it(panel, open_page, typed, value):
    server, surface = panel
    number = open_page(server).get_by_label("Azimuth", exact=True)
    number.press("Control+a")
    number.press_sequentially(typed)
    number.press("Enter")
    until(lambda: surface.value("guitar", "azimuth") == value, f"{typed} is {value}")
    until(lambda: number.input_value() == f"{value:g}", "it is shown")


@pytest.mark.parametrize("typed", ["1,2,3", "1.000,5", "left", "1e", ""])
def test_what_is_no_number_moves_nothing(panel, open_page, typed):
    server, surface = panel
    page = open_page(server)
    number = page.get_by_label("Azimuth", exact=True)
    number.press("Control+a")
    number.press_sequentially(typed)
    number.press("Enter")
    number.blur()
    until(lambda: number.input_value() == "0", "it is shown as it was")
    number.press("ArrowUp")
    until(lambda: surface.value("guitar", "azimuth") == 1, "arrows count")
    number.press("ArrowDown")
    number.press("ArrowDown")
    until(lambda: surface.value("guitar", "azimuth") == -1, "arrows count")


def test_keys_choose_what_is_heard_and_undo_takes_back(panel, open_page):
    server, surface = panel
    page = open_page(server)

    def heard():
        return tuple(surface.value("guitar", name) for name in ("mode", "mix", "bypass"))

    for key, expected in (("2", (1, 1, 0)), ("3", (1, 1, 1)), ("1", (0, 1, 0)), ("b", (0, 1, 1))):
        page.keyboard.press(key)
        until(lambda e=expected: heard() == e, f"after {key}")
    for expected in ((0, 1, 0), (1, 1, 1), (1, 1, 0), (0, 1, 0)):
        page.keyboard.press("Control+z")
        until(lambda e=expected: heard() == e, "undone")
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.keyboard.press("Control+Shift+z")
    until(lambda: heard() == (1, 1, 0), "done again")


def test_a_slider_has_its_own_arrow_keys_and_leaves_the_others(panel, open_page):
    server, surface = panel
    page = open_page(server)
    slider = page.get_by_label("Gain, slider")
    slider.press("ArrowLeft")
    until(lambda: surface.value("guitar", "gain") == -0.5)
    slider.press("2")
    until(lambda: surface.value("guitar", "mode") == 1, "it is heard what is left")
    slider.press("Control+z")
    until(lambda: surface.value("guitar", "mode") == 0, "undone")
    assert (surface.value("guitar", "azimuth"), surface.value("guitar", "gain")) == (0, -0.5)


def test_two_browsers_and_automation_are_in_step(panel, open_page):
    server, surface = panel
    one, two = open_page(server), open_page(server)
    handle(one, "lead vocals").press("PageDown")
    handle(two, "lead vocals").and_(two.locator("[aria-valuenow='-5']")).wait_for()
    surface.set_value("guitar", "azimuth", 17.5)
    for page in (one, two):
        handle(page).and_(page.locator("[aria-valuenow='17.5']")).wait_for()
    assert handle(one).get_attribute("aria-valuetext") == "17.5 degrees right"


def test_a_touched_handle_stays_under_the_hand_and_lets_go_afterwards(panel, open_page):
    server, surface = panel
    page = open_page(server)
    box = handle(page).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 10, steps=3)
    until(lambda: shown_azimuth(page) > 10, "it follows")
    until(lambda: abs(surface.value("guitar", "azimuth") - shown_azimuth(page)) < 0.1, "all of it")
    for pixel in range(20):
        moved_s = time.monotonic()
        page.mouse.move(box["x"] + 221 + pixel, box["y"] + 10)
        before = shown_azimuth(page)
        until(lambda at=before: abs(surface.value("guitar", "azimuth") - at) < 0.1, "all of it")
        surface.set_value("guitar", "azimuth", -40.0)
        time.sleep(0.15)
        after = shown_azimuth(page)
        if time.monotonic() - moved_s < HELD_S:  # else the machine was too slow to see it
            assert after == before > 10
            break
    page.mouse.up()
    until(lambda: shown_azimuth(page) == -40, "it lets go")


def test_what_the_hand_has_stays_where_a_slow_browser_is_told_everything_anew(panel, open_page):
    server, _ = panel
    page = open_page(server)
    was = shown_azimuth(page)
    handle(page).press("PageUp")
    for client in server._hub._clients:
        client.needs_all = True
    shown = {shown_azimuth(page) for _ in range(20) if not time.sleep(0.01)}
    assert shown == {was + 5}


def test_an_answer_is_shown_where_a_slow_browser_is_told_everything_anew(panel, open_page):
    server, surface = panel
    surface.requests.answers["guitar"] = "like: of before"
    page = open_page(server)
    for client in server._hub._clients:
        client.needs_all = True
    surface.requests.answers["guitar"] = "listening for 10 s"
    page.get_by_text("listening for 10 s").wait_for()
    assert page.get_by_text("like: of before").count() == 0


def test_everything_is_reached_by_the_keyboard(panel, open_page):
    page = open_page(panel[0])
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(
            "() => { const e = document.activeElement; return e.ariaLabel || e.innerText || e.id; }"
        ))  # fmt: skip
    words = " | ".join(seen)
    for wanted in ("guitar, azimuth", "Residual", "Bypass",
                   "number-azimuth", "number-gain", "any"):  # fmt: skip
        assert wanted in words, words


def test_an_engine_that_is_killed_is_missed_and_found_again(engine_sandbox, chromium, open_page):
    pid = engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)
    with contextlib.closing(EngineObserver()) as engine:
        server = PanelOptions(port=0).open(engine, print)
        with running(server, print, engine):
            page = open_page(server)
            handle(page).press("PageUp")
            until(lambda: engine_sandbox.instances(), "it is there")
            os.kill(pid, signal.SIGKILL)
            page.get_by_text("The engine is not there.").wait_for()
            assert handle(page).count() == 0
            track.close()
            engine_sandbox.start(engine_sandbox.identity)
            track = PluginClient(label="guitar", offline=True)
            handle(page).wait_for()
            page.get_by_role("status").get_by_text("Connected").wait_for()
            track.close()
