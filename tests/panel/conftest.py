"""Debian's chromium for the tests of the panel: it is started once, and every page is watched."""

from __future__ import annotations

import contextlib

import pytest

from plugin_bridge.control.servers import running
from plugin_bridge.panel.server import PanelOptions
from tests.support.engine_sandbox import need
from tests.support.panel_page import Playing
from tests.support.told_page import ToldPage

CHROMIUM = "/usr/bin/chromium"
WINDOW = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # the other tests do without

    need(CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def panel(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path))
    surface = Playing(["guitar", "lead vocals"])
    with running(PanelOptions(port=0).open(surface, print), print) as server:
        yield server, surface


@pytest.fixture
def open_page(chromium):
    """Open pages of a panel; what their consoles complain of fails the test."""
    with contextlib.ExitStack() as stack:
        complaints = []

        def opened(server, viewport=WINDOW, script="", **options):
            context = stack.enter_context(chromium.new_context(viewport=viewport, **options))
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
            page.add_init_script(script)
            page.goto(server if isinstance(server, str) else f"http://127.0.0.1:{server.port}/")
            page.get_by_role("status").get_by_text("Connected").wait_for()
            return page

        yield opened
        assert complaints == []


@pytest.fixture
def told_page(panel, open_page):
    """Open pages that are told all by the test."""
    return lambda *sounds, **options: ToldPage(open_page, panel[0], *sounds, **options)
