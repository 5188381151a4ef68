"""The panel in a real browser: Debian's chromium, without a window."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import threading
import time

import pytest
from axe_playwright_python.sync_playwright import Axe

from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import INPUTS_BY_NAME
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.observer import EngineObserver
from plugin_bridge.panel.server import PanelOptions
from realtime.encoder import load_encoder
from tests.support.engine_sandbox import noise
from tests.support.models import timbre_model
from tests.support.panel_page import handle, shown_azimuth
from tests.support.serve_process import BLOCK, HOP
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PHONE = {"width": 375, "height": 740}


HELD_S = 0.4
"""So long a control that is dragged stays where the hand has it."""
SHORT_S = 0.4
"""A press that is shorter listens for two seconds."""


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


def test_instruments_are_chosen_by_their_buttons_and_by_arrows(panel, open_page):
    server, surface = panel
    page = open_page(server)
    choices = page.get_by_role("radiogroup", name="Instrument").get_by_role("radio")
    assert choices.all_inner_texts() == ["any", "piano", "bass"]
    choices.nth(2).click()
    until(lambda: surface.value("guitar", "instrument") == 10)
    choices.nth(2).press("ArrowRight")
    choices.nth(0).press("ArrowRight")
    until(lambda: surface.value("guitar", "instrument") == 4)
    until(lambda: page.get_by_role("radio", checked=True).inner_text() == "piano")


def test_an_instrument_that_the_model_does_not_know_is_told_and_another_one_is_reached(
    panel, open_page
):
    server, surface = panel
    page = open_page(server)
    surface.set_value("guitar", "instrument", INPUTS_BY_NAME["instrument"].choices.index("flute"))
    words = page.get_by_text("This model does not know the instrument flute: it takes any.")
    words.wait_for()
    choices = page.get_by_role("radiogroup", name="Instrument").get_by_role("radio")
    assert [each.get_attribute("tabindex") for each in choices.all()] == ["0", "-1", "-1"]
    choices.first.press("ArrowRight")
    until(lambda: page.get_by_role("radio", checked=True).inner_text() == "piano")
    assert words.is_hidden()


def asked(surface, count):
    """What is asked of timbres: so many actions with their argument."""
    found = []
    until(lambda: found.extend(surface.requests.take_all()) or len(found) >= count, found)
    return [(each.action, *each.arguments) for each in found]


def learn_button(page):
    return page.get_by_role("button", name="Learn: hold to listen")


def test_a_timbre_is_learned_and_forgotten_by_a_press(panel, open_page):
    server, surface = panel
    page = open_page(server)
    page.get_by_text("solo", exact=True).wait_for()
    for _ in range(20):
        began_s = time.monotonic()
        learn_button(page).click()
        if time.monotonic() - began_s < SHORT_S:  # else a busy machine has held it
            break
        asked(surface, 2)
    page.get_by_role("button", name="Forget").click()
    assert asked(surface, 3) == [("learn", 10), ("learn", 2), ("like", "")]
    learn_button(page).evaluate("button => button.click()")  # as a screen reader does
    assert asked(surface, 1) == [("learn", 2)]


def test_a_timbre_is_learned_for_as_long_as_the_button_is_held(panel, open_page):
    server, surface = panel
    page = open_page(server, has_touch=True)
    button = learn_button(page)
    box = button.bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touch = page.context.new_cdp_session(page)

    def touched(kind, points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    page.mouse.move(**at)
    holds = [
        (lambda: page.mouse.down(), lambda: page.mouse.up()),
        (lambda: touched("touchStart", [at]), lambda: touched("touchEnd", [])),
        (lambda: button.focus() or page.keyboard.down("Enter"), lambda: page.keyboard.up("Enter")),
        (lambda: page.keyboard.down(" "), lambda: page.keyboard.up(" ")),
        (lambda: page.keyboard.down(" "), lambda: button.blur()),
    ]
    for hold, let_go in holds:
        hold()
        page.wait_for_timeout(600)
        assert button.get_attribute("aria-pressed") == "true"
        let_go()
        assert asked(surface, 2) == [("learn", 10), ("learn", 0)]
        assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.up(" ")
    page.wait_for_timeout(100)
    assert surface.requests.is_empty


def test_the_field_shows_what_is_taken_and_the_meters_what_is_so(panel, open_page):
    page = open_page(panel[0])
    look = """() => {
        const field = document.getElementById("field");
        const { data, width, height } = field.getContext("2d").getImageData(
            0, 0, field.width, field.height);
        let most = 0, at = 0;
        for (let k = 3; k < data.length; k += 4) if (data[k] > most) [most, at] = [data[k], k >> 2];
        return [most, at % width / width * 90 - 45, 1 - Math.floor(at / width) / height];
    }"""
    until(lambda: page.evaluate(look)[0] > 150, "the sound is drawn")
    page.wait_for_timeout(500)
    brightest = page.evaluate(look)
    assert brightest[0] > 150
    assert abs(brightest[1] + 30) < 2
    hz = 50 * (16_000 / 50) ** brightest[2]
    assert 900 < hz < 1100
    meters = page.locator("#truth").inner_text().replace("\n", " ")
    for words in (
        "Correlation 1.00",
        "R − L −11.4 dB",
        "Latency 23.2 ms",
        "Load 25 %",
        "steer · live",
    ):
        assert words in meters
    ghosts = page.locator(".ghosts i")
    assert [round(float(g.get_attribute("style").split()[1].rstrip("%;")) * 0.9 - 45)
            for g in ghosts.all()] == [-30]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(panel, open_page, scheme):
    page = open_page(panel[0], color_scheme=scheme)
    handle(page, "lead vocals").focus()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_it_fits_a_phone_and_is_moved_by_touch(panel, open_page):
    server, surface = panel
    page = open_page(server, PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    box = page.locator("#plot").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 6, box["y"] + 200)
    until(lambda: abs(surface.value("guitar", "azimuth") + 30) < 1, "tapped")
    for name in ("Target 1", "Bypass"):
        button = page.get_by_role("button", name=name.split()[0]).first
        assert button.bounding_box()["x"] + button.bounding_box()["width"] <= 375


@pytest.mark.parametrize(("width", "height"), [(1024, 700), (1280, 800), (3840, 2160)])
def test_it_fits_a_window_and_a_large_screen(panel, open_page, width, height):
    page = open_page(panel[0], {"width": width, "height": height})
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") == width
        boxes = [page.locator(each).bounding_box() for each in ("header", "main", "footer")]
        for upper, lower in itertools.pairwise(boxes):
            assert upper["y"] + upper["height"] <= lower["y"] + 1
        assert boxes[2]["y"] + boxes[2]["height"] <= height + 1
        assert boxes[1]["height"] > 0.6 * height
        panel[0]._performance._message = "something in a line"  # it stands between them
        page.get_by_text("something in a line").wait_for()


@pytest.mark.parametrize("height", [320, 375, 440, 480])
def test_in_a_low_window_nothing_covers_another(panel, open_page, height):
    page = open_page(panel[0], {"width": 900, "height": height})
    panel[0]._performance._message = "something in a line"
    page.get_by_text("something in a line").wait_for()
    parts = ("header", "#plot", "#azimuths", "#past", "footer")
    boxes = [page.locator(part).bounding_box() for part in parts]
    for upper, lower in itertools.pairwise(boxes):
        assert upper["y"] + upper["height"] <= lower["y"] + 1
    assert boxes[1]["height"] > 140
    side, stage = (page.locator(part).bounding_box() for part in ("#side", "#stage"))
    assert side["y"] + side["height"] <= boxes[-1]["y"] + 1
    assert stage["y"] + stage["height"] <= boxes[-1]["y"] + 1


@pytest.mark.parametrize("width_deg", [20, 2])
def test_fingers_have_room_on_the_edges_and_between_them(panel, open_page, width_deg):
    server, surface = panel
    surface.set_value("guitar", "width", float(width_deg))
    page = open_page(server, PHONE, has_touch=True, is_mobile=True)
    until(lambda: page.get_by_label("Width", exact=True).input_value() == str(width_deg))
    found = page.evaluate(
        """() => {
            const { left, width, bottom } = document.getElementById("plot").getBoundingClientRect();
            const parts = {};
            for (let x = left; x < left + width; x++) {
                const part = document.elementFromPoint(x, bottom - 30).className;
                parts[part] = (parts[part] ?? 0) + 1;
            }
            return parts;
        }"""
    )
    rem = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
    assert found["edge left"] >= 24
    assert found["edge right"] >= 24
    assert found["beam"] >= rem - 1


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


@contextlib.contextmanager
def sounding(track):
    """Noise on a track, about as fast as it sounds."""
    ended = threading.Event()

    def play():
        for at in itertools.cycle(range(0, 44_100 - BLOCK, BLOCK)):
            track.push(sound[:, at : at + BLOCK], width=90)
            track.wait(track.position - BLOCK - HOP)
            if ended.wait(BLOCK / 44_100):
                return

    sound = noise(44_100)
    thread = threading.Thread(target=play)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_a_track_is_learned_while_the_button_is_held_and_that_is_said(
    engine_sandbox, open_page, tmp_path
):
    spec = load_encoder().spec
    drums = (0.0, 1.0, *[0.0] * (spec.size - 2))
    model = timbre_model(tmp_path / "t.onnx", {"drums": drums}, encoder=spec.encoder)
    engine_sandbox.start(model)
    track = PluginClient(label="guitar", offline=True)
    with contextlib.closing(EngineObserver()) as engine, sounding(track):
        server = PanelOptions(port=0).open(engine, print)
        with running(server, print, engine):
            page = open_page(server)
            box = learn_button(page).bounding_box()
            page.mouse.move(box["x"] + 10, box["y"] + 10)
            page.mouse.down()
            page.get_by_text("listening for 10 s").wait_for()
            page.wait_for_timeout(1000)
            page.mouse.up()
            page.get_by_text("like: learned, ").wait_for()
            words = page.locator("#words")
            until(lambda: re.fullmatch(r"learned, \d(\.\d+)? s", words.inner_text()))
    track.close()
