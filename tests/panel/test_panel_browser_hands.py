"""Several sounds and several hands in the panel, in a browser."""

from __future__ import annotations

import pytest

from tests.support.panel_page import ENCODER, handle, shown_azimuth, touches
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PHONE = {"width": 740, "height": 375}  # it lies


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
    touch = touches(page)
    per_px = 90 / page.locator("#plot").bounding_box()["width"]

    def touched(kind, points):
        touch(kind, points)
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
