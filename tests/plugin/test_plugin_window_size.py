"""The size of the plugin's window: as the host makes it, and by the host's scale."""

from __future__ import annotations

import pytest

from tests.support.display import HEIGHT as SCREEN_HEIGHT
from tests.support.display import WIDTH as SCREEN_WIDTH
from tests.support.engine_sandbox import built_plugin
from tests.support.waiting import until
from tests.support.window_host import (
    FIELD,
    HEIGHT,
    KINDS,
    MIDDLE,
    TAKEN,
    WIDTH,
    near,
    window_host,
    x_of,
)

pytestmark = pytest.mark.host


def test_the_window_is_as_large_as_the_host_makes_it(host):
    for width, height in ((900, 700), (420, 260), (640, 480)):
        host.ask("size", width, height)
        left, top = FIELD[:2]
        right, bottom = left + width - 20, top + height - 142

        def is_drawn(right=right, bottom=bottom):
            picture = host.display.picture()
            corner = picture[bottom - 1, right - 1]  # of the field's frame
            beyond = picture[bottom + 1, right + 1]
            return tuple(corner) == (0x2A, 0x34, 0x41) and tuple(beyond) == (0x0C, 0x10, 0x16)

        until(is_drawn, f"the field ends at {right}, {bottom}")


@pytest.mark.parametrize("kind", ["clap", "vst3"])
def test_an_older_answer_of_the_server_does_not_undo_a_new_size(screen, engine_sandbox, kind):
    with window_host(screen, kind, built_plugin()) as host:
        host.ask("open")
        assert host.ask("sizes", 800, 600, 700, 500) == "size 700 500"
        host.ask("close")


@pytest.mark.parametrize("kind", KINDS)
def test_the_hosts_scale_makes_everything_larger(screen, engine_sandbox, kind):
    with window_host(screen, kind, built_plugin()) as host:
        host.ask("open", 2)
        until(
            lambda: tuple(screen.picture()[2 * MIDDLE, round(x_of(0, 2))]) == TAKEN,
            "the handle is drawn at twice its place",
        )
        assert SCREEN_WIDTH > 2 * WIDTH
        assert SCREEN_HEIGHT > 2 * HEIGHT
        until(
            lambda: tuple(screen.picture()[2 * HEIGHT - 2, 2 * WIDTH - 2]) == (0x0C, 0x10, 0x16),
            "its last corner is drawn at twice its place",
        )
        assert tuple(screen.picture()[2 * HEIGHT + 1, 2 * WIDTH + 1]) == (0, 0, 0)
        host.display.hand("mousemove", round(x_of(0, 2)), 2 * MIDDLE, "mousedown", 1)
        host.display.hand("mousemove", round(x_of(-15, 2)), 2 * MIDDLE, "mouseup", 1)
        near(host, "azimuth", -15, 0.1)
        host.ask("close")


@pytest.mark.parametrize("kind", ["clap", "vst3"])
def test_a_scale_that_is_set_while_the_window_is_open_makes_it_larger(screen, engine_sandbox, kind):
    with window_host(screen, kind, built_plugin()) as host:
        host.ask("open")
        assert host.ask("scale", 2) == f"size {2 * WIDTH} {2 * HEIGHT}"
        until(
            lambda: tuple(screen.picture()[2 * MIDDLE, round(x_of(0, 2))]) == TAKEN,
            "the handle is drawn at twice its place",
        )
        until(
            lambda: tuple(screen.picture()[2 * HEIGHT - 2, 2 * WIDTH - 2]) == (0x0C, 0x10, 0x16),
            "its last corner is drawn at twice its place",
        )
        assert host.ask("scale", 1) == f"size {WIDTH} {HEIGHT}"
        host.ask("close")
