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
