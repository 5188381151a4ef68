"""The plugin's window, without a screen: in small hosts of each format, and in jalv."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

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
    HEIGHT,
    KINDS,
    MIDDLE,
    WIDTH,
    brightness,
    drag,
    handle_x,
    near,
    resources,
    window_host,
    x_of,
)

pytestmark = pytest.mark.host


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


@contextlib.contextmanager
def refusing_engine(path: Path, why: str) -> Iterator[None]:
    """An engine at a socket that takes no instance, for a reason."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.recv(1 << 16)
                        peer.send(f"error {why}".encode())

        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_why_the_engine_refuses_the_track_is_shown_in_the_line_of_the_engine(
    screen, engine_sandbox, monkeypatch, kind
):
    place = engine_sandbox.folder / "engine.sock"
    monkeypatch.setenv("STEMSTEER_SOCKET", str(place))
    with window_host(screen, kind, built_plugin()) as host:

        def words():
            return host.picture()[10:36, 26:446]

        def shows_otherwise(than: np.ndarray) -> None:
            until(lambda: (words() != than).any(), "other words are shown")
            time.sleep(0.3)  # for all of them

        host.ask("open")
        until(lambda: handle_x(host.picture()) is not None, "the handle is drawn")
        none = words()
        with refusing_engine(place, "no model 'a'"):
            shows_otherwise(none)
            short = words()
        until(lambda: (words() == none).all(), "no engine is shown")
        with refusing_engine(place, "no model 'ä ö ü' " * 40):
            shows_otherwise(none)
            assert (words() != short).any()
            gap = host.picture()[10:36, 446:454]
            assert (gap == gap[0, 0]).all(), "words that are too many are cut"
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
