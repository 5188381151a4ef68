"""What is seen of the panel in a browser: the picture, and windows and screens of all sizes."""

from __future__ import annotations

import itertools

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.panel_page import handle
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PHONE = {"width": 375, "height": 740}


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
