"""What the tests of the plugin's window share: a screen, and hosts whose window is open on it."""

from __future__ import annotations

import pytest

from tests.support.display import display
from tests.support.engine_sandbox import built_plugin, need
from tests.support.waiting import until
from tests.support.window_host import KINDS, handle_x, window_host


@pytest.fixture(scope="module")
def screen():
    need("/usr/include/xcb/xcb.h", "/usr/include/cairo/cairo-xcb.h")
    with display() as made:
        yield made


@pytest.fixture(params=KINDS)
def host(request, screen, engine_sandbox):
    """A host of each format, whose window is open."""
    with window_host(screen, request.param, built_plugin()) as running:
        assert running.ask("open").startswith("window ")
        until(lambda: handle_x(running.picture()) is not None, "the handle is drawn")
        yield running
        running.ask("close")
