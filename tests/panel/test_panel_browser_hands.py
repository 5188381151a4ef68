"""Several sounds, several hands and a panel that comes and goes, in a browser."""

from __future__ import annotations

import pytest

from plugin_bridge.control.servers import running
from plugin_bridge.panel.server import PanelOptions
from tests.support.panel_page import ENCODER, MIDI, Playing, handle, shown_azimuth
from tests.support.told_page import ToldPage
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PHONE = {"width": 740, "height": 375}  # it lies


@pytest.fixture
def told_page(panel, open_page):
    return lambda *sounds, **options: ToldPage(open_page, panel[0], *sounds, **options)


def middle(locator):
    box = locator.bounding_box()
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}


def focused(page):
    return page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id")


def test_what_another_hand_moves_soon_after_a_touch_stays(told_page):
    told = told_page()
    told.stop_clock()
    handle(told.page).press("PageUp")
    told.page.clock.run_for(300)
    told.tell(values={"guitar": {"azimuth": 5}})  # the touch itself, and it is still held
    told.page.clock.run_for(200)
    told.tell(values={"guitar": {"azimuth": 30}})
    told.page.clock.run_for(1000)
    assert shown_azimuth(told.page) == 30


def test_a_number_goes_to_the_sound_for_which_it_was_typed(told_page):
    told = told_page()
    number = told.page.get_by_label("Azimuth", exact=True)
    number.fill("-12")
    handle(told.page, "lead vocals").click()
    until(told.moves)
    assert told.moves() == [("guitar", "azimuth", -12)]
    told.shows("lead vocals")
    assert number.input_value() == "0"


def test_fingers_move_a_handle_each_and_one_more_disturbs_none(told_page):
    told = told_page(has_touch=True)
    page = told.page
    told.stop_clock()
    touch = page.context.new_cdp_session(page)
    per_px = 90 / page.locator("#plot").bounding_box()["width"]

    def touched(kind, points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.clock.run_for(50)

    fingers = []
    elements = [handle(page), handle(page, "lead vocals"), page.locator(".selected .edge.right")]
    for element in (*elements, page.locator("#plot")):
        at = middle(element)
        fingers.append({"x": at["x"] + (200 if element not in elements else 0), "y": at["y"]})
        touched("touchStart", [{**finger, "id": k} for k, finger in enumerate(fingers)])
    for _ in range(3):
        for finger, by_px in zip(fingers, (100, -100, 10, 20), strict=True):
            finger["x"] += by_px
        touched("touchMove", [{**finger, "id": k} for k, finger in enumerate(fingers)])
    touched("touchEnd", [])
    last = {(sound, name): value for sound, name, value in told.moves()}
    assert last == {
        ("guitar", "azimuth"): pytest.approx(300 * per_px, abs=0.2),
        ("lead vocals", "azimuth"): pytest.approx(-300 * per_px, abs=0.2),
        ("lead vocals", "width"): pytest.approx(20 + 2 * 30 * per_px, abs=0.2),
    }
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    page.clock.run_for(50)
    assert (shown_azimuth(page), shown_azimuth(page, "lead vocals")) == (0, 0)
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_drag_ends_with_the_track_and_moves_no_other(told_page):
    told = told_page()
    mouse, at = told.page.mouse, middle(handle(told.page))
    mouse.move(**at)
    mouse.down()
    mouse.move(at["x"] + 50, at["y"])
    until(told.moves)
    told.tell(instances=["lead vocals"])
    mouse.move(at["x"] + 150, at["y"], steps=3)
    told.tell(instances=["guitar", "lead vocals"])
    mouse.move(at["x"] + 250, at["y"], steps=3)
    handle(told.page).wait_for()
    assert told.page.locator("body.dragging").count() == 0
    mouse.up()
    assert {sound for sound, *_ in told.moves()} == {"guitar"}
    assert max(value for *_, value in told.moves()) < 10


def test_the_controls_of_every_sound_are_reached_by_the_keyboard(panel, open_page):
    page = open_page(panel[0])
    page.get_by_role("tab", name="guitar").press("ArrowRight")
    seen = []
    while "number-azimuth" not in seen:
        page.keyboard.press("Tab")
        seen.append(focused(page))
        assert len(seen) < 20, seen
    assert [each for each in seen if each.endswith(", azimuth")] == ["lead vocals, azimuth"]
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    until(lambda: panel[1].value("lead vocals", "azimuth") == 7)


def test_keys_move_the_sound_from_its_handle_and_the_page_alone(told_page):
    told = told_page(["guitar", "lead vocals", "bass"])
    page = told.page
    tabs, residual = page.get_by_role("tab"), page.get_by_role("button", name="Residual")
    for key, place in (("End", 2), ("Home", 0), ("ArrowLeft", 2), ("ArrowRight", 0)):
        tabs.and_(page.locator("[aria-selected=true]")).press(key)
        told.shows(tabs.nth(place).inner_text())
        assert page.evaluate("document.activeElement.dataset.name") == tabs.nth(place).inner_text()
    handle(page).click(button="right")
    learn = page.get_by_role("button", name="Learn MIDI")
    for key in ("PageDown", "ArrowDown", "Home", "1", "2", "b"):
        learn.press(key)
    page.keyboard.press("Escape")
    for key in ("PageDown", "ArrowDown", "Home"):
        residual.press(key)
    page.wait_for_timeout(50)
    assert told.moves() == []
    handle(page).press("PageDown")
    page.locator("body").press("PageDown")
    until(lambda: told.moves()[-1:] == [("guitar", "azimuth", -10)])


@pytest.mark.parametrize(
    "viewport", [{"width": 700, "height": 500}, {"width": 1100, "height": 500}]
)
def test_what_is_too_large_is_scrolled_by_the_keyboard(told_page, viewport):
    page = told_page(viewport=viewport).page
    page.get_by_role("button", name="Residual").focus()
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("PageDown")
    until(lambda: page.evaluate("Math.max(scrollY, document.getElementById('side').scrollTop)"))


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


def test_a_library_that_is_too_large_says_how_many_it_does_not_show(told_page):
    saved = {"timbres": [["solo", ENCODER], ["of another", "else"]], "n_more": 312}
    told = told_page(told={"saved_timbres": saved})
    options = told.page.get_by_role("combobox", name="Timbre of your library").get_by_role("option")
    assert options.all_inner_texts() == ["From your library (not shown: 312) …", "solo"]
    told.tell(saved_timbres={"timbres": []})
    until(lambda: options.all_inner_texts() == ["From your library (not shown: 312) …"])


def test_a_screen_reader_is_told_no_time_while_a_file_plays(told_page):
    player = {"playing": True, "position_s": 0, "duration_s": 5, "writing": False,
              "message": "", "file": "song.wav", "rate_hz": 44_100}  # fmt: skip
    told = told_page(told={"player": player})
    page = told.page
    page.get_by_text("0:00 / 0:05").wait_for()
    ids = page.get_by_role("status").evaluate_all("found => found.map(({ id }) => id)")
    assert "message" in ids
    assert "time" not in ids
    page.evaluate(
        "new MutationObserver(() => { window.written = (window.written ?? 0) + 1; })"
        ".observe(document.getElementById('time'), { childList: true })"
    )
    for position_s in (0.3, 0.6, 0.9, 1.0):
        told.tell(player={"position_s": position_s})
        until(lambda s=position_s: page.locator("#position").input_value() == f"{s:g}")
    page.get_by_text("0:01 / 0:05").wait_for()
    assert page.evaluate("window.written") == 1
    button = page.get_by_role("button", name="Listen", exact=True)
    assert button.get_attribute("aria-pressed") is None  # its words tell it


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


def test_a_number_that_has_the_focus_follows_unless_something_is_typed(told_page):
    told = told_page()
    number = told.page.get_by_label("Azimuth", exact=True)
    number.fill("5")
    number.press("Enter")
    told.tell(values={"guitar": {"azimuth": 20}})
    until(lambda: number.input_value() == "20", "it follows")
    number.fill("3")
    told.tell(values={"guitar": {"azimuth": 25}})
    until(lambda: shown_azimuth(told.page) == 25)
    assert number.input_value() == "3"
    number.fill("20")  # as it was, so that nothing has been typed
    number.blur()
    until(lambda: number.input_value() == "25", "it follows again")


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


ON_TOP = """
grip => {
    const { left, top, width, height } = grip.getBoundingClientRect();
    const heights = Array.from({ length: 20 }, (_, k) => top + (k + 0.5) / 20 * height);
    return heights.filter((y) => grip.contains(document.elementFromPoint(left + width / 2, y)));
}
"""


@pytest.mark.parametrize(("n_sounds", "touched"), [(8, 8), (30, 8)])
def test_a_handle_of_many_is_touched_on_a_phone_that_lies(told_page, n_sounds, touched):
    sounds = [f"sound {k}" for k in range(n_sounds)]
    told = told_page(sounds, viewport=PHONE)
    grips = told.page.locator(".grip")
    until(lambda: grips.count() == n_sounds)
    grips.first.scroll_into_view_if_needed()
    on_top = [grip.evaluate(ON_TOP) for grip in grips.all()]
    assert sum(len(points) > 10 for points in on_top) >= touched, on_top
    for k in range(0, n_sounds, 7):
        told.page.get_by_role("tab", name=sounds[k], exact=True).click()
        told.shows(sounds[k])
        grip = handle(told.page, sounds[k])
        grip.scroll_into_view_if_needed()
        assert len(grip.evaluate(ON_TOP)) == 20


def test_a_browser_for_which_there_is_no_room_is_told_so_until_there_is(told_page):
    told = told_page()
    told.stop_clock()
    close = "socket.onclose({ code: 1013, reason: '16 browsers are connected already' })"
    told.page.evaluate(close)
    told.page.clock.run_for(100)
    notice = told.page.locator("#notice")
    assert notice.inner_text() == "The panel refuses: 16 browsers are connected already."
    told.page.clock.run_for(6000)
    assert told.page.locator("#status").inner_text() == "Connected"
    assert notice.inner_text() == ""


NOT_KEPT = """
Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied"); } });
"""


@pytest.mark.parametrize("script", [NOT_KEPT, "localStorage['stemsteer-midi'] = '{nothing';"])
def test_without_what_was_kept_in_the_browser_the_page_is_there(panel, open_page, script):
    page = open_page(panel[0], script=script)
    handle(page).press("PageUp")
    until(lambda: panel[1].value("guitar", "azimuth") == 5)


@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_a_sound_may_have_any_name(open_page, name):
    surface = Playing([name])
    with running(PanelOptions(port=0).open(surface, print), print) as server:
        page = open_page(server)
        handle(page, name).press("PageUp")
        until(lambda: surface.value(name, "azimuth") == 5)
        surface.set_value(name, "azimuth", 20.0)
        until(lambda: shown_azimuth(page, name) == 20)


def test_what_changes_nothing_is_no_step_to_undo(told_page):
    told = told_page()
    undo = told.page.get_by_role("button", name="Undo")
    for key in ("1", "2", "2", "1", "1"):
        told.page.keyboard.press(key)
    for _ in range(2):
        assert undo.is_enabled()
        undo.click()
    assert undo.is_disabled()
    told.page.keyboard.press("1")
    assert undo.is_disabled()
    assert told.page.get_by_role("button", name="Redo").is_enabled()


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
