"""Instruments and timbres in the panel, in a browser: chosen, learned and forgotten."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time

import pytest

from plugin_bridge.control.controls import REMOTE_CONTROLS
from plugin_bridge.control.servers import running
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.observer import EngineObserver
from plugin_bridge.panel.server import PanelOptions
from realtime.encoder import load_encoder
from tests.support.engine_sandbox import noise
from tests.support.models import timbre_model
from tests.support.panel_page import touches
from tests.support.serve_process import BLOCK, HOP
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others
SHORT_S = 0.4
"""A press that is shorter listens for two seconds."""


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
    instrument = REMOTE_CONTROLS["instrument"]
    surface.set_value("guitar", "instrument", instrument.choices.index("flute"))
    words = page.get_by_text("This model does not know the instrument flute: it takes any.")
    words.wait_for()
    choices = page.get_by_role("radiogroup", name="Instrument").get_by_role("radio")
    assert [each.get_attribute("tabindex") for each in choices.all()] == ["0", "-1", "-1"]
    choices.first.press("ArrowRight")
    until(lambda: page.get_by_role("radio", checked=True).inner_text() == "piano")
    assert words.is_hidden()


def test_what_an_instrument_beside_an_example_does_is_told(panel, open_page):
    server, surface = panel
    page = open_page(server)
    page.get_by_text("solo", exact=True).wait_for()
    page.get_by_role("radio", name="piano").click()
    page.get_by_text("solo: the instrument counts alone, Morph is 0", exact=True).wait_for()
    surface.set_value("guitar", "timbre_morph", 1.0)
    page.get_by_text("solo: the example counts alone, Morph is 1", exact=True).wait_for()
    surface.set_value("guitar", "timbre_morph", 0.5)
    page.get_by_text("solo", exact=True).wait_for()


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
    touched = touches(page)
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
