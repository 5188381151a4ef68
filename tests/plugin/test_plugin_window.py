"""The plugin's window, without a screen: in small hosts of each format, and in jalv."""

from __future__ import annotations

import subprocess
import time

import numpy as np
import pytest

from tests.support.display import HEIGHT as SCREEN_HEIGHT
from tests.support.display import WIDTH as SCREEN_WIDTH
from tests.support.display import display
from tests.support.engine_sandbox import (
    CPP,
    SANITIZED,
    WORK,
    binary,
    built_plugin,
    make_plugin,
    need,
    panned,
    sanitized_plugin,
)
from tests.support.waiting import until
from tests.support.window_host import (
    FIELD,
    HEIGHT,
    TAKEN,
    WIDTH,
    brightness,
    handle_x,
    resources,
    window_host,
    x_of,
)

pytestmark = pytest.mark.host
KINDS = ["clap", "vst3", "lv2"]
MIDDLE = 200
"""A row within the field, beside the handle's name."""


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


def drag(host, *xs, key=None):
    """Press at the first place, go to the others, let go."""
    steps = [word for x in xs[1:] for word in ("mousemove", round(x), MIDDLE)]
    keys = (["keydown", key], ["keyup", key]) if key else ([], [])
    host.display.hand(
        *keys[0], "mousemove", round(xs[0]), MIDDLE, "mousedown", 1, *steps, "mouseup", 1, *keys[1]
    )


def moves_until(host, end, look=lambda: None):
    """Return what the window has moved, as soon as it ends so; `look` is called meanwhile."""
    told = ""

    def ended():
        nonlocal told
        look()
        told += host.ask("moves")
        return told.endswith(end)

    until(ended, f"the host is told '{end}'; it was told '{told}'")
    return told.rstrip(";").split(";")


def near(host, control, value, tolerance=0.06):
    until(
        lambda: abs(host.value(control) - value) < tolerance,
        f"{control} is {value}; it is {host.value(control)}",
    )


def test_a_drag_moves_the_azimuth_and_the_host_is_told_when_it_begins_and_ends(host):
    assert handle_x(host.picture()) == pytest.approx(x_of(0), abs=1)
    drag(host, x_of(0), x_of(5), x_of(20))
    told = moves_until(host, "end azimuth;")
    assert told[0] == "begin azimuth"
    assert told[-1] == "end azimuth"
    values = [float(word.removeprefix("azimuth ")) for word in told[1:-1]]
    assert values
    assert values[-1] == pytest.approx(20, abs=0.1)
    near(host, "azimuth", values[-1])
    until(lambda: abs((handle_x(host.picture()) or 0) - x_of(20)) <= 1.5, "the handle follows")


def test_automation_moves_the_handle(host):
    for azimuth_deg in (-30, 12.5, 40):
        host.ask("set", "azimuth", azimuth_deg)
        until(
            lambda at=azimuth_deg: abs((handle_x(host.picture()) or 0) - x_of(at)) <= 1.5,
            f"the handle is at {azimuth_deg}",
        )
    assert host.ask("moves") == ""  # the window does not tell the host what it has told


def test_shift_is_fine_the_wheel_and_an_edge_are_the_width_a_double_click_puts_back(host):
    drag(host, x_of(0), x_of(10), key="shift")
    near(host, "azimuth", 2, 0.2)
    host.display.hand("mousemove", 100, MIDDLE, "click", 4)
    near(host, "width", 22)
    host.display.hand("keydown", "shift", "click", 5, "keyup", "shift")
    near(host, "width", 21.6)
    drag(host, x_of(2 + 10.8), x_of(2 + 20.8))
    near(host, "width", 41.6, 0.5)
    time.sleep(0.5)  # else the next is a double click with the last
    host.display.hand("mousemove", 120, MIDDLE, "click", "--repeat", 2, "--delay", 60, 1)
    near(host, "azimuth", 0)
    near(host, "width", 20)


def test_keys_move_the_handle_after_a_click_into_the_window(host):
    drag(host, x_of(0), x_of(0))
    host.display.hand("key", "Right", "Right", "Right")
    near(host, "azimuth", 1.5)
    host.display.hand("key", "Left", "shift+Left", "Up", "Prior")
    near(host, "azimuth", 5.9)
    near(host, "width", 21)
    host.display.hand("key", "Home")
    near(host, "azimuth", 0)
    near(host, "width", 20)
    told = ";".join(moves_until(host, "end width;"))
    assert told.count("begin") == told.count("end")


def test_keys_that_mean_nothing_to_the_window_reach_the_host_after_a_click(host):
    drag(host, x_of(0), x_of(0))
    host.display.hand("key", "space", "Right")
    near(host, "azimuth", 0.5)
    space = f"press {SPACE_CODE};release {SPACE_CODE};"
    told = ""

    def ended():
        nonlocal told
        told += host.ask("keys")
        return told.endswith(space)

    until(ended, "the host has it")
    assert told == space
    host.display.hand("key", "ctrl+Right", "super+Right", "ISO_Level3_Shift+Right", "space")
    told = ""
    until(ended, "the host has the second one, too")
    assert told.count("press") == told.count("release") == 7
    near(host, "azimuth", 0.5)


SPACE_CODE = 65  # as keyboards of X number it
HOME, LEFT, UP, RIGHT, PAGE_UP, ESCAPE, SPACE = 10, 11, 12, 13, 15, 6, 7  # as VST3 numbers them
SHIFT, CONTROL = 1, 8


def test_a_vst3_host_hands_keys_over_and_keeps_its_own(screen, engine_sandbox):
    with window_host(screen, "vst3", built_plugin()) as host:
        host.ask("open")
        for code, modifiers in ((RIGHT, 0), (RIGHT, 0), (LEFT, SHIFT), (PAGE_UP, 0), (UP, 0)):
            assert host.ask("key", code, modifiers) == "taken"
        told = moves_until(host, "end width;")
        assert told.count("begin azimuth") == told.count("end azimuth") == 4
        near(host, "azimuth", 5.9)
        near(host, "width", 21)
        for code, modifiers in ((ESCAPE, 0), (SPACE, 0), (0, 0), (LEFT, CONTROL), (99, 0)):
            assert host.ask("key", code, modifiers) == "left"
        assert host.ask("moves") == ""
        assert host.ask("key", HOME, 0) == "taken"
        near(host, "azimuth", 0)
        near(host, "width", 20)
        host.ask("close")


def test_the_buttons_are_instrument_learn_mode_and_bypass(host):
    row = 388 - 25
    for place, control, value in (
        (297, "instrument", 1),  # next
        (20, "instrument", 0),  # previous
        (20, "instrument", 31),  # the last that has a name
        (434, "mode", 1),
        (515, "bypass", 1),
        (515, "bypass", 0),
    ):
        time.sleep(0.05)
        host.display.hand("mousemove", place, row, "click", 1)
        near(host, control, value)
    host.display.hand("mousemove", 353, row, "mousedown", 1)
    near(host, "learn", 1)  # as long as it is held
    host.display.hand("mouseup", 1)
    near(host, "learn", 0)
    moves_until(host, "learn 0;end learn;")

    def is_seen():  # unless the machine stands still meanwhile
        time.sleep(0.5)
        host.display.hand("click", 1)
        seen = []
        told = moves_until(host, "end learn;", lambda: seen.append(host.value("learn")))
        assert told == ["begin learn", "learn 1", "learn 0", "end learn"]
        return 1 in seen

    until(is_seen, "a click is long enough for a block to see it")
    near(host, "learn", 0)


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


@pytest.mark.parametrize("kind", KINDS)
def test_the_sound_is_shown_where_it_comes_from_in_colour_if_it_is_heard(
    screen, engine_sandbox, tmp_path, kind
):
    sound = tmp_path / "sound.f32"
    panned(44_100, [-30]).sum(0).T.astype(np.float32).tofile(sound)
    with window_host(screen, kind, built_plugin(), sound) as host:
        host.ask("open")
        host.ask("set", "azimuth", 20)
        until(lambda: brightness(host.picture(), -30).mean() > 60, "the sound is drawn")
        red, _, blue = brightness(host.picture(), -30)
        assert blue > red  # no engine: grey
        assert brightness(host.picture(), -10).mean() < 25
        engine_sandbox.start(engine_sandbox.identity)
        until(lambda: host.value("connected") == 1, "the engine is met")
        until(
            lambda: brightness(host.picture(), -30) @ [1, 0, -1] > 40, "what is heard is in colour"
        )
        host.ask("close")


def test_without_the_instance_the_controls_are_shown_and_moved(screen, engine_sandbox, tmp_path):
    sound = tmp_path / "sound.f32"
    panned(44_100, [-30]).sum(0).T.astype(np.float32).tofile(sound)
    with window_host(screen, "lv2", built_plugin(), sound, LV2_APART="1") as host:
        host.ask("open")
        host.ask("set", "azimuth", 20)
        until(lambda: abs((handle_x(host.picture()) or 0) - x_of(20)) <= 1.5, "the handle is there")
        drag(host, x_of(20), x_of(-20))
        near(host, "azimuth", -20, 0.1)
        assert brightness(host.picture(), -38).mean() < 25
        host.ask("close")


@pytest.mark.parametrize("kind", KINDS)
def test_to_close_and_open_it_again_costs_nothing_and_it_has_no_thread(
    screen, engine_sandbox, kind
):
    with window_host(screen, kind, built_plugin()) as host:
        assert host.value("azimuth") == 0  # the plugin is there
        before = resources(host)
        for turn in range(25):
            host.ask("open")
            if turn == 0:
                until(lambda: handle_x(host.picture()) is not None, "the handle is drawn")
                assert resources(host)[0] == before[0]  # threads
            else:
                time.sleep(0.05)
            host.ask("close")
            if turn == 4:
                early = resources(host)
        threads, files, memory_mb = resources(host)
        assert threads == before[0]
        assert files <= before[1] + 1  # the plugin looks for an engine now and then
        assert memory_mb < early[2] + 1
        host.ask("open")
        until(lambda: handle_x(host.picture()) is not None, "it is drawn again")
        host.ask("close")


@pytest.mark.parametrize("kind", ["clap", "vst3"])
def test_sanitizers_find_nothing_wrong_with_it(screen, engine_sandbox, tmp_path, kind):
    sound = tmp_path / "sound.f32"
    panned(44_100, [-30]).sum(0).T.astype(np.float32).tofile(sound)
    folder = sanitized_plugin()
    known = tmp_path / "known"
    known.write_text("leak:libfontconfig\n")  # what it caches once, by pointers that are not seen
    options = {
        "name": "StemsteerSplit",
        "LSAN_OPTIONS": f"suppressions={known}:print_suppressions=0",
    }
    with window_host(screen, kind, folder, sound, SANITIZED, **options) as host:
        for turn in range(3):
            host.ask("open")
            until(lambda: brightness(host.picture(), -30).mean() > 40, "the sound is drawn")
            drag(host, x_of(0), x_of(-20), x_of(30))
            host.display.hand("key", "Left", "Home")
            host.display.hand("click", 4)
            host.ask("size", 700 + turn, 500)
            time.sleep(0.1)
            host.ask("close")
        near(host, "azimuth", 0, 91)


def test_a_host_may_end_its_window_first(host):
    assert host.ask("orphan") == "orphaned"
    time.sleep(0.2)
    host.ask("set", "azimuth", 20)
    near(host, "azimuth", 20)


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_without_the_libraries_has_the_plugin_without_a_window(
    screen, engine_sandbox, tmp_path, kind
):
    source = tmp_path / "lacks.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <string.h>\n"
        "void* dlopen(const char* name, int flags) {\n"
        "  Dl_info caller; void* (*real)(const char*, int) = dlsym(RTLD_NEXT, __func__);\n"
        "  int ours = dladdr(__builtin_return_address(0), &caller)\n"
        '    && strstr(caller.dli_fname, "Stemsteer");\n'
        '  return ours && name && strstr(name, "libcairo") ? 0 : real(name, flags);\n}\n'
    )
    library = tmp_path / "lacks.so"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    with window_host(screen, kind, built_plugin(), LD_PRELOAD=str(library)) as host:
        assert host.ask("open") == "no window"
        host.ask("set", "azimuth", 20)
        near(host, "azimuth", 20)
    needed = subprocess.run(
        ["readelf", "-d", binary(built_plugin(), kind)], capture_output=True, text=True, check=True
    )
    assert "NEEDED" in needed.stdout
    assert not [word for word in ("cairo", "xcb", "X11") if word in needed.stdout]


def test_the_plugin_is_built_without_a_window_and_says_so(screen, engine_sandbox):
    folder = WORK / f"{built_plugin().name}-without-window"
    make_plugin(folder, "native-Stemsteer", "WINDOW=false")
    for wanted, told in (("false", "without a window"), ("true", "with their window")):
        command = ["make", "-n", "-C", CPP, f"OUT={folder}", f"WINDOW={wanted}", "native"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert told in said.stdout
    for kind in ("clap", "vst3"):
        with window_host(screen, kind, folder) as host:
            assert host.ask("open") == "no window"
            host.ask("set", "azimuth", 20)
            near(host, "azimuth", 20)


@pytest.mark.realtime
def test_jalv_shows_the_window_and_takes_a_drag_from_it(screen, jack, engine_sandbox):
    need("jalv.gtk3")
    engine_sandbox.start(engine_sandbox.identity)
    environment = {
        **screen.environment,
        "LV2_PATH": f"{built_plugin()}:/usr/lib/lv2",
    }
    command = ["jalv.gtk3", "-c", "azimuth=-20", "urn:stemsteer:stemsteer"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as jalv:
        try:
            menu = 25

            def seen():
                return handle_x(screen.picture(WIDTH, HEIGHT + menu)[menu:])

            until(lambda: abs((seen() or 0) - x_of(-20)) <= 1.5, "the handle is where jalv says")
            row = MIDDLE + menu
            screen.hand("mousemove", round(x_of(-20)), row, "mousedown", 1)
            screen.hand("mousemove", round(x_of(0)), row, "mousemove", round(x_of(25)), row)
            screen.hand("mouseup", 1)
            until(lambda: abs((seen() or 0) - x_of(25)) <= 1.5, "the handle follows")
            assert jalv.poll() is None
        finally:
            jalv.terminate()
