"""A file that is tried in the panel: played, heard in the browser, moved, and its stems written."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner
from websockets.sync.client import connect

from plugin_bridge.automation import Automation
from plugin_bridge.automation.lane import Lane
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.cli.app import app
from plugin_bridge.cli.file_trial import (
    FileTrial,
    file_panel,
    free_folder,
    moved_lanes,
    moved_target,
    moved_timbres,
)
from plugin_bridge.cli.render import RenderOptions
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.target import Target
from plugin_bridge.control.timbre_requests import TimbreChange
from plugin_bridge.control.timbres_live import LiveTimbres
from plugin_bridge.offline.render import separated
from plugin_bridge.panel.player import check_order
from plugin_bridge.panel.server import PanelOptions
from realtime import load_model
from realtime.encoder import load_encoder
from tests.support.fakes import fake_spec

pytestmark = pytest.mark.realtime  # processes enough to disturb others
PORT_LINE = "panel: http://127.0.0.1:"


def write_stems(browser, before=""):
    """Press *Write stems*, wait until they are written, elsewhere than before, and return where."""
    browser.send(json.dumps({"player": {"write": 1}}))
    message = before
    while message == before or not message.startswith("written to"):
        data = browser.recv(timeout=30)
        if isinstance(data, str):
            message = json.loads(data).get("player", {}).get("message", message)
    return message


def test_the_end_of_a_panel_that_writes_stems_says_so_and_leaves_no_file(
    song, tmp_path, capsys, monkeypatch
):
    begun = threading.Event()

    def endless(plan, blocks):
        for pair in separated(plan, blocks):
            while not time.sleep(0.01):
                yield pair
                begun.set()

    monkeypatch.setattr("plugin_bridge.offline.render.separated", endless)
    folder = tmp_path / "stems"
    with (
        tried(song, folder, capsys, model="panorama") as port,
        connect(f"ws://127.0.0.1:{port}/ws") as socket,
    ):
        socket.send(json.dumps({"player": {"write": 1}}))
        assert begun.wait(60)
        assert list(folder.glob(".*.part"))
    assert "the stems are not written" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("order", [None, {}, {"play": "1"}, {"open": 1}, {"play": 1, "seek": 1}])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(ValueError, match="expected one of play, seek and write"):
        check_order(order)


@pytest.fixture
def pressed(monkeypatch):
    """Run a command that opens the panel of a file; press *Write stems* there, then Ctrl-C."""

    def run(*arguments):
        ports, told = [], {}

        def write():
            with connect(f"ws://127.0.0.1:{ports[0]}/ws") as browser:
                told.update(json.loads(browser.recv()))
                write_stems(browser)

        def announce(settings, port, open_it):
            ports.append(port)

        monkeypatch.setattr("plugin_bridge.cli.file_trial.announce", announce)
        monkeypatch.setattr("plugin_bridge.cli.file_trial.wait_for_interrupt", write)
        done = CliRunner().invoke(app, [*map(str, arguments), "--panel", "--panel-port", "0"])
        assert done.exit_code == 0, done.output
        return told

    return run


def test_render_and_scan_try_a_file_in_the_panel(song, tmp_path, monkeypatch, pressed):
    monkeypatch.chdir(tmp_path)
    sounds = ("--azimuth", "guitar=-30", "--model", "panorama")
    form = ("--format", "flac", "--subtype", "PCM_24", "--out", "stems")
    told = pressed("render", song, *sounds, *form)
    assert told["values"]["guitar"]["azimuth"] == -30
    info = soundfile.info("stems/guitar.flac")
    assert (info.subtype, info.frames) == ("PCM_24", soundfile.info(song).frames)
    assert pressed("scan", song)["instances"] == ["target"]
    assert sorted(p.name for p in Path(f"{song.stem}-stems").iterdir()) == [
        "residual.wav",
        "target.wav",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "--report", "r.json", "--json"], "--report, --json cannot go with --panel"),
        (["scan", "--plot", "p.png"], "--plot cannot go with --panel"),
        (["scan", "--no-instruments"], "--instruments cannot go with --panel"),
        (["render", "--mode", "all"], "mode is 'all', expected one of isolate, remove"),
    ],
)
def test_options_that_mean_nothing_in_the_panel_are_refused(song, arguments, words):
    done = CliRunner().invoke(app, [*arguments, str(song), "--panel", "--panel-port", "0"])
    assert done.exit_code != 0
    assert words in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "option",
    [
        ("--azimuth", "3"), ("--width", "30"), ("--targets", "t.json"), ("--automation", "l.csv"),
        ("--chain", "target=c.json"), ("--model", "steer"), ("--instrument", "drums"),
        ("--like", "song.wav"), ("--strength", "0.5"), ("--all",), ("--out", "stems"), ("--force",),
    ],
)  # fmt: skip
def test_options_for_a_file_are_refused_where_tracks_are_shown(monkeypatch, option):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("plugin_bridge.cli.panel.wait_for_interrupt", interrupt)
    done = CliRunner().invoke(app, ["panel", "--port", "0", *option])
    assert done.exit_code == 2
    words = f"'{option[0]}': it is for a file: give FILE, too"
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_lanes_of_a_file_are_written_but_for_what_has_been_moved():
    turn = Lane.steps([0.0, 1.0], [-30.0, 30.0])
    lanes = Automation({("*", "azimuth"): turn, ("guitar", "gain"): Lane.level(-6.0)})
    surface = LiveLanes(lanes, ["guitar", "bass"], {}, 0.006)
    assert moved_lanes(lanes, surface).lanes == lanes.lanes
    for instance, name in (("guitar", "azimuth"), ("guitar", "gain"), ("bass", "width")):
        surface.set_value(instance, name, 10.0)
    written = moved_lanes(lanes, surface)
    assert [written.lane("guitar", "azimuth").at(time_s) for time_s in (0.5, 2.0)] == [10, 10]
    assert [written.lane("bass", "azimuth").at(time_s) for time_s in (0.5, 2.0)] == [-30, 30]
    assert written.lane("guitar", "gain").at(0.0) == -6  # of what is heard, not of what is taken
    assert written.lane("bass", "width") is None


def test_an_instrument_is_written_as_it_was_moved_also_back_to_any():
    target = Target("lead", 0.0, 90.0, ("vocals",))
    surface = LiveLanes(Automation(), ["lead"], {"lead": target.values}, 0.006)
    spec = fake_spec(conditions={}, mask_axes="mixture", targets=("vocals", "accompaniment"))
    assert moved_target(target, surface, spec).instruments == ("vocals",)
    bass, own = INSTRUMENTS.index("bass"), len(INSTRUMENTS)
    for number, name in ((bass, "bass"), (own, "accompaniment"), (0, None), (own + 1, None)):
        surface.set_value("lead", "instrument", float(number))
        assert moved_target(target, surface, spec).instruments == ((name,) if name else ())


@pytest.fixture
def written(song, tmp_path, monkeypatch):
    """Move a surface that plays, press *Write stems*; gives the model and the settings of it."""

    def write(move, **wanted):
        got = []

        def render(source, model, settings, folder, progress):
            got.append((model.spec, settings))
            return SimpleNamespace(stems=())

        monkeypatch.setattr("plugin_bridge.offline.render.render", render)
        folder = tmp_path / "stems"
        trial = FileTrial(song, TargetOptions(**wanted), SoundOptions(), RenderOptions(), folder)
        session = trial.session()
        move(session.surface)
        trial.write(session.surface)
        return got[0]

    return write


def test_a_timbre_that_was_learned_is_written_as_it_is_heard(written):
    vector = np.eye(1, load_encoder().spec.size, dtype=np.float32)[0]

    def move(surface):
        surface.change_timbre(TimbreChange("guitar", "unlike", -vector, "other.wav"))
        surface.change_timbre(TimbreChange("guitar", "like", vector, "learned, 2 s"))
        surface.change_timbre(TimbreChange("guitar", "unlike", None))
        surface.set_value("guitar", "timbre_morph", 0.5)

    spec, settings = written(move, azimuths=["guitar=-30"])
    assert spec.encoder == load_encoder().spec.encoder  # another model than for a direction alone
    np.testing.assert_array_equal(settings.timbres["guitar"].like, vector)
    assert settings.timbres["guitar"].unlike is None
    (target,) = settings.targets
    assert (target.azimuth_deg, target.values["timbre_morph"]) == (-30, 0.5)


def test_an_instrument_that_was_chosen_in_the_panel_is_written_by_a_model_that_knows_it(written):
    bass = float(INSTRUMENTS.index("bass"))
    spec, settings = written(
        lambda surface: surface.set_value("guitar", "instrument", bass), azimuths=["guitar=-30"]
    )
    assert "bass" in spec.classes
    assert settings.targets[0].instruments == ("bass",)


def test_options_that_do_not_go_with_what_was_moved_are_told_as_a_refusal(song, monkeypatch):
    def settings(*_, **__):
        raise typer.BadParameter("model 'unet' takes no direction", param_hint="'--azimuth'")

    monkeypatch.setattr(RenderOptions, "settings", settings)
    trial = FileTrial(song, TargetOptions(), SoundOptions(), RenderOptions(), song.parent)
    with pytest.raises(ValueError, match=r"^model 'unet' takes no direction$"):
        trial.write(trial.session().surface)


def test_a_timbre_of_another_encoder_than_that_of_the_files_is_refused():
    surface = LiveLanes(
        Automation(), ["guitar"], {}, 0.006, timbres=LiveTimbres(["guitar"], encoder="ears-1")
    )
    surface.change_timbre(TimbreChange("guitar", "like", np.zeros(0, np.float32), "x.wav"))
    spec = load_model("steer").spec
    with pytest.raises(ValueError, match=f"by the encoder ears-1, .* steer .* {spec.encoder}"):
        moved_timbres({}, surface, spec)


@contextlib.contextmanager
def tried(song, folder, capsys, **wanted):
    """The panel of a file, as `stemsteer panel FILE` runs it; gives the number of its port."""
    trial = FileTrial(song, TargetOptions(**wanted), SoundOptions(), RenderOptions(), folder)
    with file_panel(PanelOptions(port=0), False, trial):
        yield int(capsys.readouterr().err.split(PORT_LINE)[1].split("/")[0])


def test_a_file_waits_for_a_model_that_runs_beside_it(song, tmp_path):
    wanted = TargetOptions(model="panorama")
    session = FileTrial(song, wanted, SoundOptions(), RenderOptions(), tmp_path).session()
    assert session.output_stage.separator.wait


def test_a_file_is_heard_moved_and_written_by_a_browser(song, tmp_path, capsys):
    folder = tmp_path / "stems"
    with (
        tried(song, folder, capsys, azimuths=["guitar=-30"], model="panorama") as port,
        connect(f"ws://127.0.0.1:{port}/ws") as socket,
        connect(f"ws://127.0.0.1:{port}/sound") as sound,
    ):
        told = json.loads(socket.recv())
        assert told["player"]["duration_s"] == 5
        assert told["instances"] == ["guitar"]
        socket.send(json.dumps({"player": {"play": 1}}))
        assert len(sound.recv(timeout=30)) == 1024 * 2 * 4
        socket.send(json.dumps({"player": {"play": 0}, "set": {"guitar": {"azimuth": 25}}}))
        write_stems(socket)
    mixture, _ = soundfile.read(song)
    guitar, _ = soundfile.read(folder / "guitar.wav")
    residual, _ = soundfile.read(folder / "residual.wav")
    np.testing.assert_array_equal(guitar + residual, mixture)
    assert np.std(guitar[:, 1]) > 2 * np.std(guitar[:, 0])  # where the handle was, not the option


def test_stems_that_are_there_are_kept_when_others_are_written(song, tmp_path, capsys):
    folder = tmp_path / "stems"
    folder.mkdir()
    (folder / "notes.txt").write_text("of the song")
    (tmp_path / "stems-2").mkdir()
    (tmp_path / "stems-2" / "target.wav").write_text("of another program")
    with (
        tried(song, folder, capsys, model="panorama") as port,
        connect(f"ws://127.0.0.1:{port}/ws") as socket,
    ):
        where = write_stems(socket)
        assert where.startswith(f"written to {folder}: ")
        before = (folder / "target.wav").read_bytes()
        socket.send(json.dumps({"set": {"target": {"azimuth": 25}}}))
        assert write_stems(socket, where).startswith(f"written to {folder}-3: ")
    assert (folder / "target.wav").read_bytes() == before
    assert (tmp_path / "stems-3" / "target.wav").read_bytes() != before
    assert (tmp_path / "stems-2" / "target.wav").read_text() == "of another program"


def test_stems_that_are_there_are_replaced_where_that_is_asked_for(song, tmp_path):
    options, folder = RenderOptions(force=True), tmp_path / "stems"
    trial = FileTrial(song, TargetOptions(model="panorama"), SoundOptions(), options, folder)
    session = trial.session()
    for _ in range(2):
        assert trial.write(session.surface).startswith(f"written to {folder}: ")


@pytest.mark.parametrize("name", [".", "..", "a"])
def test_a_folder_with_a_number_is_beside_the_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    (folder / "target.wav").touch()
    beside = free_folder(folder, ["target.wav"])
    assert beside.resolve() == Path(f"{folder.resolve()}-2")


def test_a_folder_whose_name_is_too_long_is_told_when_it_is_made(tmp_path):
    folder = tmp_path / (251 * "y" + "-stems")
    assert free_folder(folder, ["target.wav"]) == folder


def test_a_sound_of_the_file_is_learned(song, tmp_path, capsys):
    with (
        tried(song, tmp_path / "stems", capsys, azimuths=["guitar=-30"], model="steer") as port,
        connect(f"ws://127.0.0.1:{port}/ws") as socket,
    ):
        assert json.loads(socket.recv())["timbres"]["guitar"] == {
            "like": "",
            "encoder": load_encoder().spec.encoder,
            "counts": "",
            "actions": "like,unlike,learn",
        }
        socket.send(json.dumps({"ask": ["guitar", "learn", 0.5], "player": {"play": 1}}))
        learned = ""
        while not learned:
            data = json.loads(socket.recv(timeout=30))
            learned = data.get("timbres", {}).get("guitar", {}).get("like", "")
    assert learned == "learned, 0.5 s"


def test_a_slow_listener_costs_the_others_nothing(song, tmp_path, capsys):
    with (
        tried(song, tmp_path / "stems", capsys, model="panorama") as port,
        connect(f"ws://127.0.0.1:{port}/sound", close_timeout=0.2),  # never reads
        connect(f"ws://127.0.0.1:{port}/sound", close_timeout=0.2) as sound,
        connect(f"ws://127.0.0.1:{port}/ws", close_timeout=0.2) as socket,
    ):
        socket.send(json.dumps({"player": {"play": 1}}))
        for _ in range(80):
            assert sound.recv(timeout=30)
    assert not [t for t in threading.enumerate() if t.name == "stemsteer-player"]
