"""Sounds and pictures that a browser sends: what becomes of them, and who sends nonsense."""

from __future__ import annotations

import http.client
import random
from urllib.parse import urlencode

import numpy as np
import pytest

from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.panel.examples import MAX_BYTES, SIDE
from plugin_bridge.panel.server import PanelOptions
from plugin_bridge.picture import recognise
from plugin_bridge.timbre import TimbreLibrary
from realtime.encoder import load_encoder
from tests.support.timbres import sound

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PIXELS = bytes(SIDE * SIDE * 3)
ENCODER = load_encoder().spec.encoder


class Playing(MemorySurface):
    def timbres(self, instance):
        return {"encoder": ENCODER if instance == "guitar" else ""}

    def facts(self, instance):
        return {"instruments": "piano,cello"}


@pytest.fixture
def panel(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path))
    surface, reports = Playing(["guitar", "bass"]), []
    with running(PanelOptions(port=0).open(surface, reports.append), reports.append) as server:
        yield server, surface
    assert reports == []


def send(server, kind, body, *, instance="guitar", name="solo.wav", **headers):
    """The status and the line with which the panel answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    query = urlencode({"instance": instance, "name": name})
    connection.request("POST", f"/{kind}-example?{query}", body, headers)
    answer = connection.getresponse()
    line = answer.read().decode()
    assert len(line.splitlines()) == 1
    return answer.status, line


def samples(seconds=1.0):
    """A guitar, as a browser sends it."""
    audio = sound(np.random.default_rng(1), "guitar", round(seconds * 44_100))
    return np.repeat(audio[:, None], 2, axis=1).astype("<f4").tobytes()


def test_a_sound_is_kept_in_the_library_and_the_instance_goes_by_it(panel):
    server, surface = panel
    for expected in ("solo", "solo 2"):
        status, line = send(server, "sound", samples())
        assert (status, line) == (
            200, f"guitar goes by the timbre {expected}, which is in your library now",
        )  # fmt: skip
        (asked,) = surface.requests.take_all()
        assert (asked.instance, asked.action) == ("guitar", "like")
        assert asked.arguments == (expected,)
        assert not asked.names_files
    assert TimbreLibrary().names() == ["solo", "solo 2"]


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "", "a\0b.wav", "C:\\x\\solo.wav", "/" + 300 * "y", "\n", "💥",
     "con.wav", 90 * "日" + ".wav"],
)  # fmt: skip
def test_no_name_reaches_a_file_but_in_the_library(panel, tmp_path, name):
    status, _ = send(panel[0], "sound", samples(0.5), name=name)
    assert status == 200
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in made] == [TimbreLibrary().folder]


def test_a_picture_makes_it_the_instrument_that_is_shown(panel, monkeypatch):
    class Network:
        def run(self, names, inputs):
            assert inputs["image"].shape == (1, 3, 224, 224)
            chances = np.zeros((1, 1000), np.float32)
            chances[0, 486 if inputs["image"].min() < 0 else 401] = 0.9  # dark: a cello
            return [chances]

    class Spec:
        size = 224

    monkeypatch.setattr(recognise, "_network", lambda: (Network(), Spec()))
    server, surface = panel
    status, line = send(server, "picture", PIXELS, name="player.png", instance="bass")
    assert (status, line[:32]) == (200, "player shows cello (90% sure); a")
    assert surface.value("bass", "instrument") == INSTRUMENTS.index("cello")
    status, line = send(server, "picture", bytes([255]) * len(PIXELS))
    assert (status, line) == (
        422, "solo shows accordion (90% sure), which its model does not know",
    )  # fmt: skip


def test_without_its_network_a_picture_is_answered_by_what_to_do(panel):
    status, line = send(panel[0], "picture", PIXELS)
    assert status == 422
    assert "stemsteer models add efficientnet-lite0" in line


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("sound", b"", "no sound of up to 30 s"),
        ("sound", b"RIFF of somebody", "is silent|too short|no sound|is 0"),
        ("sound", b"x" * 1001, "no sound of up to 30 s"),
        ("sound", bytes(8 * 44_100), "silen"),
        ("sound", np.full(88_200, np.nan, "<f4").tobytes(), "samples that are no sound"),
        ("sound", np.full(88_200, 1e30, "<f4").tobytes(), "samples that are no sound"),
        ("sound", bytes(MAX_BYTES + 8), "larger than 11 MB"),
        ("picture", b"\x89PNG", "no picture of 256 by 256"),
        ("picture", PIXELS + b"x", "no picture of 256 by 256"),
    ],
)
def test_what_is_none_is_refused_in_a_line_and_nothing_is_kept(panel, kind, body, words):
    status, line = send(panel[0], kind, body)
    assert status == 422
    assert any(word in line for word in words.split("|")), line
    assert TimbreLibrary().names() == []
    assert panel[1].requests.is_empty


def test_a_model_without_timbres_and_an_instance_that_is_not_there_are_said(panel):
    status, line = send(panel[0], "sound", samples(0.5), instance="bass")
    assert (status, line) == (422, "its model takes no timbre: choose one that does, as steer")
    for kind, body in (("sound", samples(0.5)), ("picture", PIXELS)):
        status, line = send(panel[0], kind, body, instance="no\nbody")
        assert (status, line) == (422, "'no\\nbody' is no sound that is here")


def test_random_uploads_do_no_harm(panel):
    chance = random.Random(5)
    for _ in range(60):
        kind = chance.choice(["sound", "picture"])
        body = chance.randbytes(chance.choice([0, 1, 7, 8, 4096, 44_100 * 8, SIDE * SIDE * 3]))
        assert send(panel[0], kind, body, name=chance.randbytes(9).decode("latin-1"))[0] in (
            200, 422,
        )  # fmt: skip
    assert send(panel[0], "sound", samples(0.5))[0] == 200


def test_another_page_and_another_machine_without_the_token_are_refused(panel, tmp_path):
    assert send(panel[0], "sound", samples(0.5), Origin="http://evil.example")[0] == 403
    options = PanelOptions("0.0.0.0", 0, "a-long-token")
    with running(options.open(panel[1], print), print) as server:
        assert send(server, "sound", samples(0.5))[0] == 403
        assert send(server, "sound", samples(0.5), Authorization="Bearer guess")[0] == 403
        assert TimbreLibrary().names() == []
        assert send(server, "sound", samples(0.5), Authorization="Bearer a-long-token")[0] == 200
