"""Tracks that join, go and are renamed while the panel shows them, in a browser."""

from __future__ import annotations

import pytest

from plugin_bridge.control.servers import running
from plugin_bridge.panel.server import PanelOptions
from tests.support.panel_page import MIDI, Playing, handle, shown_azimuth
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


def test_what_has_the_focus_keeps_it_when_tracks_join_and_go(told_page):
    told = told_page()
    page = told.page
    tabs = page.get_by_role("tab")
    for element in (handle(page, "lead vocals"), tabs.last):
        element.focus()
        before = page.evaluate_handle("document.activeElement")
        for names in (["bass", "guitar", "lead vocals"], ["guitar", "lead vocals"]):
            told.tell(instances=names)
            until(lambda wanted=names: tabs.all_inner_texts() == wanted)
            assert page.evaluate("before => before === document.activeElement", before)
    colours = tabs.evaluate_all("tabs => tabs.map((tab) => tab.className)")
    assert colours == ["colour-0", "colour-1"]
    assert page.locator(".handle.colour-1.selected").get_attribute("data-name") == "lead vocals"


BRIGHTEST = """
() => {
    const field = document.getElementById("field");
    const { data } = field.getContext("2d").getImageData(0, 0, field.width, field.height);
    let at = 0;
    for (let k = 0; k < data.length; k += 4) if (data[k + 3] > data[at + 3]) at = k;
    return [...data.slice(at, at + 3)];
}
"""


def test_the_colour_is_that_of_the_place_also_when_a_track_goes_and_nothing_sounds(
    panel, open_page
):
    server, surface = panel
    page = open_page(server, color_scheme="light")
    page.get_by_role("tab", name="lead vocals").click()

    def is_all(colour, tolerance=10):
        shown = page.evaluate(BRIGHTEST)
        name = page.locator("#name").evaluate("name => getComputedStyle(name).color")
        is_drawn = max(abs(a - b) for a, b in zip(shown, colour, strict=True)) < tolerance
        return is_drawn and name == "rgb({}, {}, {})".format(*colour)

    # the tone is drawn as taken bit by bit, and then so for good
    until(lambda: is_all((3, 105, 161), tolerance=3), "the second colour")
    surface.sound = lambda instance: None
    surface.instances = ("lead vocals",)
    until(lambda: is_all((169, 79, 0)), "the first colour")
    page.emulate_media(color_scheme="dark")
    until(lambda: is_all((255, 180, 84)), "the first colour in the dark")


def test_the_sound_that_was_chosen_is_chosen_again_when_it_returns(told_page):
    told = told_page()
    told.page.get_by_role("tab", name="lead vocals").click()
    told.shows("lead vocals")
    told.tell(instances=[])
    told.tell(instances=["guitar"])
    told.shows("guitar")
    told.tell(instances=["guitar", "lead vocals"])
    told.shows("lead vocals")
    told.tell(instances=["guitar"])
    handle(told.page).press("PageUp")  # so this one is meant now
    told.tell(instances=["guitar", "lead vocals"])
    handle(told.page, "lead vocals").wait_for()
    told.shows("guitar")


def test_a_sound_that_is_renamed_stays_selected(told_page):
    told = told_page(["guitar", "vocals", "bass"])
    told.tell_tracks(guitar=1, vocals=2, bass=3)
    told.page.get_by_role("tab", name="vocals").click()
    told.shows("vocals")
    told.tell_tracks(guitar=1, Vox=2, bass=3)
    told.shows("Vox")
    told.tell_tracks(Vox=1, guitar=2, bass=3)  # the tracks have changed their names with each other
    told.shows("guitar")
    told.tell_tracks(Vox=1, drums=4, bass=3)  # this one is another
    told.shows("Vox")


def test_a_track_that_is_renamed_is_undone_and_keeps_its_controller(told_page):
    told = told_page(["guitar", "vocals", "bass"])
    page = told.page
    told.tell_tracks(guitar=1, vocals=2, bass=3)
    page.evaluate(f"() => {{ {MIDI} }}")
    page.get_by_role("tab", name="vocals").click()
    handle(page, "vocals").press("PageUp")
    handle(page, "vocals").click(button="right")
    page.get_by_role("button", name="Learn MIDI").click()
    page.get_by_text("Move the controller that is to move azimuth of vocals.").wait_for()
    told.tell_tracks(guitar=1, Vox=2, bass=3)  # while it is waited for
    page.evaluate("play(0xb0, 7, 127)")
    page.get_by_text("controller 7 of channel 1 moves azimuth of Vox.").wait_for()
    told.tell_tracks(guitar=1, **{"Lead Vox": 2}, bass=3)
    told.shows("Lead Vox")
    page.get_by_text("controller 7 of channel 1 moves azimuth of Vox.").wait_for()
    page.evaluate("play(0xb0, 7, 0)")
    until(lambda: told.moves()[-1:] == [("Lead Vox", "azimuth", -45)])
    page.get_by_role("button", name="Undo").click()
    until(lambda: told.moves()[-1:] == [("Lead Vox", "azimuth", 0)])
    told.tell_tracks(guitar=1, vocals=2, bass=3)  # the rename is undone in the host
    page.get_by_role("button", name="Redo").click()
    until(lambda: told.moves()[-1:] == [("vocals", "azimuth", 5)])
    page.evaluate("play(0xb0, 7, 127)")
    until(lambda: told.moves()[-1:] == [("vocals", "azimuth", 45)])
    assert page.evaluate("localStorage['stemsteer-midi']") == '{"azimuth vocals":"1 7"}'


def test_what_a_sound_no_longer_has_is_not_shown(panel, open_page):
    server, surface = panel
    meters, controls = surface.meters, surface.controls
    surface.meters = lambda instance: {**meters(instance), "activity": (0.9,)}
    page = open_page(server)
    shown = page.locator(".handle.selected")
    until(lambda: "--activity: 0.9" in shown.get_attribute("style"))
    surface.meters = meters
    until(lambda: "--activity: 0.9" not in shown.get_attribute("style"), "not in the same sound")
    assert page.locator("#bypass").is_visible()
    surface.instances = ()
    page.get_by_text("There is no track yet").wait_for()
    few = {name: row for name, row in controls("guitar").items() if name not in ("mode", "bypass")}
    surface.controls = lambda instance: few
    surface.instances = ("guitar",)
    page.get_by_text("every stem is heard").wait_for()
    assert page.locator("#bypass").is_hidden()


def test_another_panel_at_the_same_address_has_its_own_player_and_instruments(told_page):
    player = {"playing": False, "position_s": 0, "duration_s": 5, "writing": False,
              "message": "", "file": "song.wav", "rate_hz": 44_100}  # fmt: skip
    told = told_page(told={"player": player, "heard": {"guitar": [["piano", 0.72]]}})
    play = told.page.get_by_role("button", name="Play")
    play.wait_for()
    told.page.get_by_role("radio", name="piano 72 %").wait_for()
    told.tell(**told.everything)
    play.wait_for(state="hidden")
    told.page.get_by_role("radio", name="piano", exact=True).wait_for()


def test_an_answer_is_shown_with_the_sound_that_it_is_of(told_page):
    told = told_page()
    line = told.page.locator("#told")
    told.tell(answers={"guitar": "like: learned, 2 s"})
    until(lambda: line.inner_text() == "like: learned, 2 s")
    told.page.get_by_role("tab", name="lead vocals").click()
    until(lambda: line.inner_text() == "")
    told.tell(answers={"guitar": "learn: nothing sounds here"})
    told.tell(answers={"lead vocals": "listening for 10 s"})
    until(lambda: line.inner_text() == "listening for 10 s")
    told.page.get_by_role("tab", name="guitar").click()
    until(lambda: line.inner_text() == "learn: nothing sounds here")


@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_a_sound_may_have_any_name(open_page, name):
    surface = Playing([name])
    with running(PanelOptions(port=0).open(surface, print), print) as server:
        page = open_page(server)
        handle(page, name).press("PageUp")
        until(lambda: surface.value(name, "azimuth") == 5)
        surface.set_value(name, "azimuth", 20.0)
        until(lambda: shown_azimuth(page, name) == 20)


def test_a_sound_with_plugins_has_no_controls_that_do_nothing(told_page):
    everything = told_page().everything
    left = {name: dict(row) for name, row in everything["values"].items()}
    for name in ("mix", "mode", "bypass"):
        del left["guitar"][name]
    told = told_page(told={"values": left})
    page = told.page
    page.get_by_text("every stem is heard").wait_for()
    for name in ("#bypass", "#hear", "[data-control=mix]"):
        assert page.locator(name).is_hidden(), name
    handle(page).focus()
    for key in ("1", "2", "3", "b", "PageUp"):
        page.keyboard.press(key)
    until(told.moves)
    assert told.moves() == [("guitar", "azimuth", 5)]
    handle(page, "lead vocals").click()
    told.shows("lead vocals")
    assert page.locator("#bypass").is_visible()
    assert page.get_by_text("every stem is heard").is_hidden()
