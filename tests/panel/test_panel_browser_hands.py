"""Several sounds, several hands and a panel that comes and goes, in a browser."""

from __future__ import annotations

import pytest

from plugin_bridge.control.servers import running
from plugin_bridge.panel.server import PanelOptions
from tests.support.panel_page import Playing, handle, shown_azimuth, until
from tests.support.told_page import ToldPage

pytestmark = pytest.mark.realtime  # processes enough to disturb others


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
