"""What the panel in a browser does beside moving: files, timbres, MIDI, performances, playing."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from plugin_bridge.automation import read_automation
from plugin_bridge.cli.file_trial import FileTrial, file_panel
from plugin_bridge.cli.render import RenderOptions
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions
from plugin_bridge.control.servers import running
from plugin_bridge.panel import examples
from plugin_bridge.panel.server import PanelOptions
from plugin_bridge.picture.recognise import Recognised
from plugin_bridge.timbre import Timbre, TimbreLibrary
from plugin_bridge.timbre.service import TimbreService
from tests.support.panel_page import ENCODER, MIDI, Playing, handle
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # processes enough to disturb others


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
        until(lambda: server._performance._n_moves == 2, "both are recorded")
        page.get_by_role("button", name="Record").click()
        page.get_by_text("2 moves in").wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        downloaded = Path(download.value.path()).read_bytes()
        answer = urllib.request.Request(f"http://127.0.0.1:{server.port}/lanes")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(answer)
    (file,) = tmp_path.iterdir()
    assert file.name == download.value.suggested_filename
    assert file.read_bytes() == downloaded
    lanes = read_automation(file, 44_100)
    azimuth = lanes.lane("guitar", "azimuth")
    assert [azimuth.at(time_s) for time_s in (0.0, 100.0)] == [5, 10]
    assert lanes.lane("lead vocals", "mix").at(100.0) == 0.5


def test_what_is_heard_is_on_the_buttons_and_the_library_is_chosen_from(
    panel, open_page, monkeypatch
):
    server, surface = panel
    for name, encoder in (("solo", ENCODER), ("strings", ENCODER), ("of another", "else")):
        TimbreLibrary().save(name, Timbre(np.eye(1, 4, dtype=np.float32)[0], encoder))
    heard = {"guitar": [("piano", 0.72), ("bass", 0.2)], "lead vocals": []}
    monkeypatch.setattr(server._heard, "chances", heard.get)
    page = open_page(server)
    piano = page.get_by_role("radio", name="piano 72 %")
    piano.wait_for()
    assert page.get_by_role("radiogroup").get_by_role("radio").all_inner_texts()[2] == "bass"
    library = page.get_by_role("combobox", name="Timbre of your library")
    assert library.get_by_role("option").all_inner_texts() == [
        "From your library …", "solo", "strings"
    ]  # fmt: skip
    library.select_option("solo")
    library.focus()
    asked = []
    until(lambda: asked.extend(surface.requests.take_all()) or asked)
    assert [(each.action, each.arguments) for each in asked] == [("like", ("solo",))]
    for ways in (["ArrowDown", "ArrowDown", "Enter"], [" ", "ArrowDown", "ArrowDown", "Enter"]):
        for key in ways:
            page.keyboard.press(key)
        until(lambda: asked.extend(surface.requests.take_all()) or len(asked) > 1)
        assert [each.arguments for each in asked[1:]] == [("strings",)]
        assert library.input_value() == ""
        del asked[1:]
    library.press("s")
    page.get_by_role("button", name="Use this timbre").click()
    until(lambda: asked.extend(surface.requests.take_all()) or len(asked) > 1)
    assert [each.arguments for each in asked[1:]] == [("solo",)]
    page.get_by_role("button", name="Use this timbre").wait_for(state="hidden")
    assert surface.value("guitar", "width") == 20
    assert Axe().run(page).violations_count == 0
    heard["guitar"] = []
    piano.wait_for(state="detached")


def test_why_a_sound_was_not_learned_is_said_in_the_page(panel, open_page):
    server, surface = panel
    page = open_page(server)
    service = TimbreService(surface, print)
    try:
        page.get_by_role("button", name="Learn").click()
        page.get_by_text("learn: nothing sounds here that could be learned").wait_for()
    finally:
        service.stop()


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
    for value, azimuth in ((127, 45), (64, 0), (0, -45), (96, 45 * 32 / 63), (32, -22.5)):
        page.evaluate("value => play(0xb2, 7, value)", value)
        until(lambda at=azimuth: abs(surface.value("lead vocals", "azimuth") - at) < 1e-3)
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


def loud(page):
    until(lambda: page.evaluate("window.ear ? loudness() : 0") > 0.01, "it is heard")


@contextlib.contextmanager
def tried(song, folder, capsys):
    """The panel of a file; gives its address."""
    trial = FileTrial(
        song, TargetOptions(model="panorama"), SoundOptions(), RenderOptions(), folder
    )
    with file_panel(PanelOptions(port=0), False, trial):
        yield capsys.readouterr().err.split("panel: ")[1].split()[0]


NO_WORKLET = (
    'Object.defineProperty(BaseAudioContext.prototype, "audioWorklet", { value: undefined });'
)
"""As in a page that comes by plain http from another machine."""


def test_a_file_is_heard_where_the_browser_has_no_worklet(song, tmp_path, open_page, capsys):
    with tried(song, tmp_path, capsys) as address:
        page = open_page(address, script=HEAR + NO_WORKLET)
        page.get_by_role("button", name="Play").click()
        loud(page)
        page.get_by_role("button", name="Pause").click()
        until(lambda: page.evaluate("loudness()") == 0, "it is silent")


def test_a_browser_that_opens_no_sound_says_so_and_still_plays_for_others(
    song, tmp_path, open_page, capsys
):
    script = 'window.AudioContext = class { constructor() { throw new Error("no device"); } };'
    with tried(song, tmp_path, capsys) as address:
        page = open_page(address, script=script)
        page.get_by_role("button", name="Play").click()
        page.get_by_text("This browser opens no sound (no device).").wait_for()
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Play").wait_for()


def test_a_page_that_comes_while_a_file_plays_lets_it_be_heard_by_a_press(
    song, tmp_path, open_page, capsys
):
    with tried(song, tmp_path, capsys) as address:
        first = open_page(address, script=HEAR)
        first.get_by_role("button", name="Play").click()
        first.get_by_role("button", name="Pause").wait_for()
        page = open_page(address, script=HEAR)
        page.get_by_role("button", name="Listen").click()
        loud(page)
        loud(first)  # which nobody has paused
        page.get_by_role("button", name="Pause").click()
        first.get_by_role("button", name="Play").wait_for()


CONTEXTS = """
window.contexts = [];
window.AudioContext = class extends AudioContext {
    constructor(options) { super(options); window.contexts.push(this); }
};
const later = setTimeout;
window.setTimeout = (todo, ms) => later(todo, ms / 20);
window.shown = () => window.contexts.map(({ sampleRate, state }) => [sampleRate, state]);
"""


def test_another_rate_gets_sound_of_its_own_and_a_panel_without_a_file_none(panel, open_page):
    player = dict.fromkeys(("playing", "position_s", "writing", "message"), 0)
    player |= {"file": "a.wav", "duration_s": 5, "rate_hz": 44_100}
    surfaces, sounds = [], []

    def beside(socket):
        """Let the panel tell of a player."""
        surfaces.append(socket)
        server = socket.connect_to_server()

        def tell(data):
            if isinstance(data, str) and "controls" in data and player:
                data = json.dumps({**json.loads(data), "player": player})
            socket.send(data)

        server.on_message(tell)

    def come(sockets, number):
        until(lambda: page.evaluate("1") and len(sockets) >= number, f"{number} times")

    page = open_page(panel[0], script=CONTEXTS)
    page.route_web_socket("**/ws", beside)
    page.route_web_socket("**/sound", lambda socket: sounds.append(socket))
    page.reload()
    page.get_by_role("button", name="Play").click()
    come(sounds, 1)
    player["rate_hz"] = 48_000  # the server is started with another file
    surfaces[-1].close()
    sounds[-1].close()
    come(sounds, 2)
    assert [rate for rate, _ in page.evaluate("shown()")] == [44_100, 48_000]
    until(lambda: page.evaluate("shown()[0][1]") == "closed", "the first is closed")
    player.clear()  # and then with none
    surfaces[-1].close()
    sounds[-1].close()
    page.get_by_role("button", name="Play").wait_for(state="hidden")
    for number in range(len(surfaces) + 1, len(surfaces) + 4):
        surfaces[-1].close()
        come(surfaces, number)
    assert len(sounds) == 2
    until(lambda: page.evaluate("shown()[1][1]") == "closed", "it is closed")


def test_a_file_is_played_in_the_browser_and_its_stems_written(song, tmp_path, open_page, capsys):
    folder = tmp_path / "stems"
    with tried(song, folder, capsys) as address:
        page = open_page(address, script=HEAR)
        page.get_by_role("button", name="Play").click()
        loud(page)
        page.get_by_role("button", name="Pause").click()
        until(lambda: page.evaluate("loudness()") == 0, "it is silent")
        page.get_by_role("slider", name="Position").fill("4.5")
        page.get_by_text("0:04 / 0:05").wait_for()
        page.get_by_role("button", name="Write stems").click()
        page.get_by_text("written to").wait_for()
    assert sorted(path.name for path in folder.iterdir()) == ["residual.wav", "target.wav"]
