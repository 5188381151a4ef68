"""The panel in a real browser: Debian's chromium, without a window."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import sync_playwright

from plugin_bridge.automation import read_automation
from plugin_bridge.cli.panel import FileTrial, file_panel
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions
from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface, Sound
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.observer import EngineObserver
from plugin_bridge.panel import examples
from plugin_bridge.panel.server import PanelOptions
from plugin_bridge.picture.recognise import Recognised
from plugin_bridge.timbre import Timbre, TimbreLibrary
from tests.support.engine_sandbox import need

pytestmark = pytest.mark.realtime  # processes enough to disturb others
CHROMIUM = "/usr/bin/chromium"
WINDOW = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}


class Playing(MemorySurface):
    """Two sounds; at -30 degrees there is a tone, which is taken."""

    end = 0

    def actions(self, instance):
        return ACTIONS

    def timbres(self, instance):
        return {"encoder": "listen", "like": "solo"}

    def meters(self, instance):
        figures = {"level_target": -12.3, "level_residual": -20.0, "latency": 1024, "load": 0.25}
        return {name: (float(value),) for name, value in {**figures, "dropouts": 3}.items()}

    def facts(self, instance):
        return {"model": "steer", "tier": "live", "rate_hz": "44100", "instruments": "piano,bass"}

    def sound(self, instance):
        self.end += 700
        wave = 0.1 * np.sin(2 * np.pi * 1000 * (self.end + np.arange(2048)) / 44_100)
        tone = np.outer([np.cos(np.radians(15)), np.sin(np.radians(15))], wave).astype(np.float32)
        return Sound(self.end, 44_100, tone, tone, 0 * tone)


@pytest.fixture(scope="module")
def chromium():
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
            page.set_default_timeout(10_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
            page.add_init_script(script)
            page.goto(server if isinstance(server, str) else f"http://127.0.0.1:{server.port}/")
            page.get_by_role("status").get_by_text("Connected").wait_for()
            return page

        yield opened
        assert complaints == []


def until(condition, what="it"):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def handle(page, name="guitar"):
    return page.get_by_role("slider", name=f"{name}, azimuth")


def shown_azimuth(page, name="guitar"):
    return float(handle(page, name).get_attribute("aria-valuenow"))


def drag(page, locator, by_px, modifier=None):
    box = locator.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    if modifier:
        page.keyboard.down(modifier)
    page.mouse.move(x + by_px / 2, y)
    page.mouse.move(x + by_px, y)
    page.mouse.up()
    if modifier:
        page.keyboard.up(modifier)


def degrees(page, px):
    return px / page.locator("#plot").bounding_box()["width"] * 90


def test_a_drag_moves_the_sound_with_shift_finely_and_at_the_edge_its_width(panel, open_page):
    server, surface = panel
    page = open_page(server)
    drag(page, handle(page), 200)
    expected = degrees(page, 200)
    until(lambda: abs(surface.value("guitar", "azimuth") - expected) < 0.2, "dragged")
    assert surface.value("lead vocals", "azimuth") == 0
    drag(page, handle(page), 100, "Shift")
    expected += degrees(page, 100) * 0.2
    until(lambda: abs(surface.value("guitar", "azimuth") - expected) < 0.3, "dragged finely")
    drag(page, page.locator(".selected .edge.right"), 50)
    expected = 20 + 2 * degrees(page, 50)
    until(lambda: abs(surface.value("guitar", "width") - expected) < 0.3, "wider")
    page.locator("#plot").dblclick(position={"x": 30, "y": 300})
    until(
        lambda: surface.value("guitar", "width") == 20 and surface.value("guitar", "azimuth") == 0
    )


def test_wheel_numbers_and_keys_move_it_too(panel, open_page):
    server, surface = panel
    page = open_page(server)
    page.locator("#plot").hover(position={"x": 300, "y": 400})
    page.mouse.wheel(0, -100)
    until(lambda: surface.value("guitar", "width") == 22)
    number = page.get_by_label("Azimuth", exact=True)
    number.fill("-12.25")
    number.press("Enter")
    until(lambda: surface.value("guitar", "azimuth") == -12.25)
    number.fill("1000")
    number.press("Enter")
    until(lambda: surface.value("guitar", "azimuth") == 45)
    assert number.input_value() == "45"
    handle(page).press("ArrowLeft")
    handle(page).press("Shift+ArrowLeft")
    handle(page).press("ArrowUp")
    until(lambda: surface.value("guitar", "azimuth") == 44.4)
    until(lambda: surface.value("guitar", "width") == 23)


def test_keys_choose_what_is_heard_and_undo_takes_back(panel, open_page):
    server, surface = panel
    page = open_page(server)

    def heard():
        return tuple(surface.value("guitar", name) for name in ("mode", "mix", "bypass"))

    for key, expected in (("2", (1, 1, 0)), ("3", (1, 1, 1)), ("1", (0, 1, 0)), ("b", (0, 1, 1))):
        page.keyboard.press(key)
        until(lambda e=expected: heard() == e, f"after {key}")
    for expected in ((0, 1, 0), (1, 1, 1), (1, 1, 0), (0, 1, 0)):
        page.keyboard.press("Control+z")
        until(lambda e=expected: heard() == e, "undone")
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.keyboard.press("Control+Shift+z")
    until(lambda: heard() == (1, 1, 0), "done again")


def test_two_browsers_and_automation_are_in_step(panel, open_page):
    server, surface = panel
    one, two = open_page(server), open_page(server)
    handle(one, "lead vocals").press("PageDown")
    handle(two, "lead vocals").and_(two.locator("[aria-valuenow='-5']")).wait_for()
    surface.set_value("guitar", "azimuth", 17.5)
    for page in (one, two):
        handle(page).and_(page.locator("[aria-valuenow='17.5']")).wait_for()
    assert handle(one).get_attribute("aria-valuetext") == "17.5 degrees right"


def test_a_touched_handle_stays_under_the_hand_and_lets_go_afterwards(panel, open_page):
    server, surface = panel
    page = open_page(server)
    box = handle(page).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 10, steps=3)
    until(lambda: shown_azimuth(page) > 10, "it follows")
    until(lambda: abs(surface.value("guitar", "azimuth") - shown_azimuth(page)) < 0.1, "all of it")
    held = shown_azimuth(page)
    surface.set_value("guitar", "azimuth", -40.0)
    time.sleep(0.15)
    assert shown_azimuth(page) == held > 10
    page.mouse.up()
    until(lambda: shown_azimuth(page) == -40, "it lets go")


def test_instruments_are_chosen_by_their_buttons_and_by_arrows(panel, open_page):
    server, surface = panel
    page = open_page(server)
    choices = page.get_by_role("radiogroup", name="Instrument").get_by_role("radio")
    assert choices.all_inner_texts() == ["any", "piano", "bass"]
    choices.nth(2).click()
    until(lambda: surface.value("guitar", "instrument") == 10)
    choices.nth(2).press("ArrowRight")
    choices.nth(0).press("ArrowRight")
    until(lambda: surface.value("guitar", "instrument") == 4)
    until(lambda: page.get_by_role("radio", checked=True).inner_text() == "piano")


def test_a_timbre_is_learned_and_forgotten_by_a_press(panel, open_page):
    server, surface = panel
    page = open_page(server)
    page.get_by_text("solo", exact=True).wait_for()
    page.get_by_role("button", name="Learn").click()
    page.get_by_role("button", name="Forget").click()
    asked = []
    until(lambda: asked.extend(surface.requests.take_all()) or len(asked) == 2)
    assert [(each.action, each.arguments) for each in asked] == [("learn", (2.0,)), ("like", ("",))]


def test_the_field_shows_what_is_taken_and_the_meters_what_is_so(panel, open_page):
    page = open_page(panel[0])
    page.wait_for_timeout(1000)
    brightest = page.evaluate(
        """() => {
        const field = document.getElementById("field");
        const { data, width, height } = field.getContext("2d").getImageData(
            0, 0, field.width, field.height);
        let most = 0, at = 0;
        for (let k = 3; k < data.length; k += 4) if (data[k] > most) [most, at] = [data[k], k >> 2];
        return [most, at % width / width * 90 - 45, 1 - Math.floor(at / width) / height];
    }"""
    )
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


def test_everything_is_reached_by_the_keyboard(panel, open_page):
    page = open_page(panel[0])
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(
            "() => { const e = document.activeElement; return e.ariaLabel || e.innerText || e.id; }"
        ))  # fmt: skip
    words = " | ".join(seen)
    for wanted in ("guitar, azimuth", "lead vocals, azimuth", "Residual", "Bypass",
                   "number-azimuth", "number-gain", "any"):  # fmt: skip
        assert wanted in words, words


def test_an_engine_that_is_killed_is_missed_and_found_again(engine_sandbox, chromium, open_page):
    pid = engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)
    with contextlib.closing(EngineObserver()) as engine:
        server = PanelOptions(port=0).open(engine, print)
        with running(server, print, engine):
            page = open_page(server)
            handle(page).press("PageUp")
            until(lambda: engine_sandbox.instances(), "it is there")
            os.kill(pid, signal.SIGKILL)
            page.get_by_text("The engine is not there.").wait_for()
            assert handle(page).count() == 0
            track.close()
            engine_sandbox.start(engine_sandbox.identity)
            track = PluginClient(label="guitar", offline=True)
            handle(page).wait_for()
            page.get_by_role("status").get_by_text("Connected").wait_for()
            track.close()


def test_a_performance_is_recorded_as_lanes_and_downloaded(tmp_path, open_page):
    surface = Playing(["guitar", "lead vocals"])
    options = PanelOptions("0.0.0.0", 0, "a-token-of-a-tablet", tmp_path)
    with running(options.open(surface, print), print) as server:
        page = open_page(f"http://127.0.0.1:{server.port}/#a-token-of-a-tablet")
        handle(page).press("PageUp")
        page.get_by_role("button", name="Record").click()
        page.get_by_text("recording to").wait_for()
        handle(page).press("PageUp")
        until(lambda: surface.value("guitar", "azimuth") == 10)
        surface.set_value("lead vocals", "mix", 0.5)  # automation, say
        time.sleep(0.2)
        page.get_by_role("button", name="Record").click()
        page.get_by_text("2 moves in").wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        answer = urllib.request.Request(f"http://127.0.0.1:{server.port}/lanes")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(answer)
    (file,) = tmp_path.iterdir()
    assert file.name == download.value.suggested_filename
    assert file.read_bytes() == Path(download.value.path()).read_bytes()
    lanes = read_automation(file, 44_100)
    azimuth = lanes.lane("guitar", "azimuth")
    assert [azimuth.at(time_s) for time_s in (0.0, 100.0)] == [5, 10]
    assert lanes.lane("lead vocals", "mix").at(100.0) == 0.5


def test_what_is_heard_is_on_the_buttons_and_the_library_is_chosen_from(
    panel, open_page, monkeypatch
):
    server, surface = panel
    for name, encoder in (("solo", "listen"), ("of another", "else")):
        TimbreLibrary().save(name, Timbre(np.eye(1, 4, dtype=np.float32)[0], encoder))
    heard = {"guitar": [("piano", 0.72), ("bass", 0.2)], "lead vocals": []}
    monkeypatch.setattr(server._heard, "chances", heard.get)
    page = open_page(server)
    piano = page.get_by_role("radio", name="piano 72 %")
    piano.wait_for()
    assert page.get_by_role("radiogroup").get_by_role("radio").all_inner_texts()[2] == "bass"
    library = page.get_by_role("combobox", name="Timbre of your library")
    assert library.get_by_role("option").all_inner_texts() == ["From your library …", "solo"]
    library.select_option("solo")
    asked = []
    until(lambda: asked.extend(surface.requests.take_all()) or asked)
    assert [(each.action, each.arguments) for each in asked] == [("like", ("solo",))]
    assert Axe().run(page).violations_count == 0
    heard["guitar"] = []
    piano.wait_for(state="detached")


MIDI = """
const input = {};
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["one", input]]) });
window.play = (...data) => input.onmidimessage?.({ data: Uint8Array.from(data) });
"""


def test_a_controller_is_learned_by_a_right_click_and_known_the_next_time(panel, open_page):
    server, surface = panel
    page = open_page(server, script=MIDI)
    page.get_by_label("Width", exact=True).click(button="right")
    menu = page.get_by_role("dialog", name="Control from elsewhere")
    menu.get_by_text("/stemsteer/guitar/width").wait_for()
    assert Axe().run(page).violations_count == 0
    page.keyboard.press("Escape")
    handle(page, "lead vocals").click(button="right")
    menu.get_by_text("/stemsteer/lead_vocals/azimuth").wait_for()
    menu.get_by_role("button", name="Learn MIDI").click()
    page.get_by_text("Move the controller that is to move azimuth of lead vocals.").wait_for()
    page.evaluate("play(0x90, 7, 127); play(0xb2, 7, 127)")  # a note is none
    page.get_by_text("controller 7 of channel 3 moves azimuth of lead vocals.").wait_for()
    until(lambda: surface.value("lead vocals", "azimuth") == 45)
    page.reload()
    handle(page).wait_for()
    page.evaluate("play(0xb1, 7, 64); play(0xb2, 8, 64); play(0xb2, 7, 0)")
    until(lambda: surface.value("lead vocals", "azimuth") == -45)
    assert surface.value("guitar", "azimuth") == 0
    handle(page, "lead vocals").click(button="right")
    menu.get_by_role("button", name="Forget controller 7 of channel 3").click()
    page.evaluate("play(0xb2, 7, 127)")
    time.sleep(0.2)
    assert surface.value("lead vocals", "azimuth") == -45


DROP = """
([name, text, kind, selector]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: kind }));
    const to = document.querySelector(selector);
    for (const type of ["dragover", "drop"]) {
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        to.dispatchEvent(new DragEvent(type, options));
    }
}
"""


def test_a_file_that_is_dropped_onto_a_handle_says_what_the_sound_is(panel, open_page, monkeypatch):
    sizes = []

    def recognised(pixels, what):
        sizes.append(pixels.shape)
        dark = pixels[..., 0].mean() < 10 and pixels[..., 1].mean() > 190
        return Recognised(("bass" if dark else "piano",), 0.9, {})

    monkeypatch.setattr(examples, "recognise_pixels", recognised)
    surface = panel[1]
    page = open_page(panel[0])

    def drop(name, kind, contents, selector):
        page.evaluate(DROP, [name, base64.b64encode(contents).decode(), kind, selector])

    noise, picture = io.BytesIO(), io.BytesIO()
    sound = 0.1 * np.random.default_rng(3).standard_normal((48_000, 1))
    soundfile.write(noise, sound, 48_000, format="FLAC")
    Image.new("RGB", (300, 500), (0, 200, 0)).save(picture, "PNG")
    grip = "[data-name='lead vocals'] .grip"
    drop("my voice.flac", "audio/flac", noise.getvalue(), grip)
    page.get_by_text("lead vocals goes by the timbre my voice").wait_for()
    (asked,) = surface.requests.take_all()
    assert (asked.instance, asked.arguments) == ("lead vocals", ("my voice",))
    drop("player.png", "image/png", picture.getvalue(), "[data-name='guitar'] .grip")
    page.get_by_text("player shows bass (90% sure)").wait_for()
    assert sizes == [(256, 256, 3)]
    until(lambda: surface.value("guitar", "instrument") == 10)
    drop("notes.txt", "text/plain", b"no sound", "#plot")
    page.get_by_text("notes.txt is neither a sound nor a picture").wait_for()
    page.get_by_label("Example", exact=True).set_input_files(
        {"name": "tone.wav", "mimeType": "audio/wav", "buffer": b"RIFF, and then nothing"}
    )
    page.get_by_text("tone.wav is neither a sound nor a picture").wait_for()
    assert Axe().run(page).violations_count == 0


HEAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to) {
    if (!window.ear && to === this.context.destination) {
        window.ear = new AnalyserNode(this.context);
        connect.call(this, window.ear);
    }
    return connect.apply(this, arguments);
};
window.loudness = () => {
    const samples = new Float32Array(2048);
    window.ear.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
};
"""


def test_a_file_is_played_in_the_browser_and_its_stems_written(song, tmp_path, open_page, capsys):
    folder = tmp_path / "stems"
    trial = FileTrial(song, TargetOptions(model="panorama"), SoundOptions(), folder, False)
    with file_panel(PanelOptions(port=0), False, trial):
        page = open_page(capsys.readouterr().err.split("panel: ")[1].split()[0], script=HEAR)
        page.get_by_role("button", name="Play").click()
        until(lambda: page.evaluate("window.ear ? loudness() : 0") > 0.01, "it is heard")
        page.get_by_role("button", name="Pause").click()
        until(lambda: page.evaluate("loudness()") == 0, "it is silent")
        page.get_by_role("slider", name="Position").fill("4.5")
        page.get_by_text("0:04 / 0:05").wait_for()
        page.get_by_role("button", name="Write stems").click()
        page.get_by_text("written to").wait_for()
    assert sorted(path.name for path in folder.iterdir()) == ["residual.wav", "target.wav"]
