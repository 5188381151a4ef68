"""A file that is played live as the panel asks: at its pace, from where it is told, and written."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent import futures

import numpy as np
import pytest
import soundfile

from plugin_bridge.automation import Automation
from plugin_bridge.automation.lane import Lane
from plugin_bridge.cli.file_trial import _end
from plugin_bridge.control.target import Target
from plugin_bridge.files.decoders import LibsndfileDecoder
from plugin_bridge.live.file_player import FilePlayer
from plugin_bridge.live.session import LiveSession, LiveSettings
from realtime import load_model
from realtime.errors import StemsteerError
from tests.support.fakes import slow_runs
from tests.support.waiting import until

pytestmark = pytest.mark.realtime  # it plays at the pace of the clock


def _session(**lanes):
    settings = LiveSettings([Target("target", -30.0, 25.0)], 44_100, **lanes)
    return LiveSession(load_model("panorama"), settings)


@pytest.fixture
def player(song):
    """A player of five seconds, and what is heard of it."""
    session, heard, written = _session(), [], []

    def write(progress):
        written.append(session.surface.value("target", "azimuth"))
        if len(written) > 1:
            raise StemsteerError("the folder is full")
        return "written"

    with contextlib.closing(FilePlayer(session, song, heard.append, write)) as made:
        yield made, session, heard


def test_nothing_is_heard_until_it_plays_and_nothing_after_it_stops(player):
    made, _, heard = player
    time.sleep(0.1)
    assert heard == []
    made.play(True)
    until(lambda: made.state()["position_s"] > 0.3)
    made.play(False)
    n_heard = 0

    def is_still():  # what is being played is heard to its end
        nonlocal n_heard
        before, n_heard = n_heard, len(heard)
        time.sleep(0.3)
        return len(heard) == before

    until(is_still, "it stops")
    assert {block.shape for block in heard} == {(2, 1024)}


def test_it_plays_at_the_pace_of_the_clock(player):
    made, _, heard = player
    made.play(True)
    until(lambda: heard)
    began_s, before = time.monotonic(), len(heard)
    time.sleep(1.0)
    played_s = (len(heard) - before) * 1024 / 44_100
    assert played_s < time.monotonic() - began_s + 0.25


def test_it_goes_where_it_is_told_and_begins_again_at_the_end(player):
    made, _, _ = player
    made.seek(4.8)
    assert made.state()["position_s"] == 4.8
    made.play(True)
    until(lambda: made.state()["position_s"] < 1, "it has begun again")
    made.seek(1e9)
    made.seek(-3)
    assert made.state()["position_s"] < 1


def test_lanes_are_those_of_the_song_after_a_seek_and_where_it_begins_again(song):
    turn = Automation({("target", "azimuth"): Lane.steps([0.0, 4.0], [-30.0, 40.0])})
    session = _session(automation=turn)
    with contextlib.closing(FilePlayer(session, song, lambda _: None, str)) as made:
        made.seek(4.8)
        made.play(True)
        until(lambda: session.surface.value("target", "azimuth") == 40, "after a seek")
        until(lambda: session.surface.value("target", "azimuth") == -30, "it has begun again")
        made.seek(4.8)
        until(lambda: session.surface.value("target", "azimuth") == 40, "after another one")


def test_a_seek_that_comes_while_another_one_is_taken_up_is_not_lost(player, monkeypatch):
    made, _, heard = player
    blocks, read_from = made._blocks, []

    def meanwhile(first):
        read_from.append(first)
        if len(read_from) == 1:
            made.seek(1.0)
        return blocks(first)

    monkeypatch.setattr(made, "_blocks", meanwhile)
    made.play(True)
    until(lambda: len(heard) > 3)
    assert read_from == [0, 44_100]
    assert made.position_s > 1


def test_a_seek_ends_an_older_one_that_still_reads(player, monkeypatch):
    made, _, heard = player
    read_on, sizes = LibsndfileDecoder.read, []

    def read(decoder, size, dtype):
        sizes.append(size)
        if len(sizes) == 1:
            made.seek(0.5)
        return read_on(decoder, size, dtype)

    monkeypatch.setattr(LibsndfileDecoder, "seek", lambda decoder, sample: False)
    monkeypatch.setattr(LibsndfileDecoder, "read", read)
    made.seek(4.8)
    made.play(True)
    until(lambda: heard)
    assert sizes[:3] == [65_536, 22_050, 1024]


def test_it_plays_on_from_the_very_sample_that_is_sought(player, song, monkeypatch):
    made, session, _ = player
    process, taken = session.output_stage.process, []
    monkeypatch.setattr(
        session.output_stage, "process", lambda block: [taken.append(block), process(block)][1]
    )
    made.seek(1.5)
    made.play(True)
    until(lambda: taken)
    mixture = soundfile.read(song, dtype="float32")[0].T
    np.testing.assert_array_equal(taken[0], mixture[:, 66_150 : 66_150 + 1024])


def test_what_is_heard_is_the_target_where_the_handle_is(player):
    made, session, heard = player
    session.surface.set_value("target", "azimuth", -30.0)
    made.play(True)
    until(lambda: len(heard) > 60)
    left, right = np.concatenate(heard[30:60], axis=1)
    assert np.std(left) > 3 * np.std(right)  # the chord at -30 degrees alone
    session.surface.set_value("target", "azimuth", 25.0)
    first = len(heard) + 40
    until(lambda: len(heard) > first + 30)
    left, right = np.concatenate(heard[first : first + 30], axis=1)
    assert np.std(right) > 2 * np.std(left)


def test_writing_says_what_became_of_it(player):
    made, _, _ = player
    for message in ("written", "the folder is full"):
        made.write()
        until(lambda: not made.state()["writing"])
        assert made.state()["message"] == message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_writing_is_said(song):
    def write(progress):
        raise IndexError("tuple index out of range")

    with contextlib.closing(FilePlayer(_session(), song, lambda _: None, write)) as made:
        made.write()
        until(lambda: not made.writing)
        assert made.message.startswith("the stems are not written, by a fault of Stemsteer itself")
        assert "tuple index out of range" in made.message


def test_what_is_being_written_at_the_end_is_given_up(song):
    session, begun, left = _session(), threading.Event(), []

    def write(progress):
        begun.set()
        try:
            while True:
                progress(1024)
        finally:
            left.append("nothing")
        return "written"

    player = FilePlayer(session, song, lambda _: None, write)
    player.write()
    assert begun.wait(60)
    player.close()
    assert (left, player.writing) == (["nothing"], False)
    assert player.message.startswith("the stems are not written")


def test_what_became_of_the_stems_is_told_with_the_end_of_writing(song):
    told = set()

    def look(frame, event, _):
        if frame.f_code is FilePlayer._run_write.__code__:
            with contextlib.suppress(futures.TimeoutError):  # in that line nobody is told anything
                state = other.submit(made.state).result(timeout=0.2)
                told.add((state["writing"], state["message"]))
            return look
        return None

    with (
        futures.ThreadPoolExecutor(1) as other,
        contextlib.closing(FilePlayer(_session(), song, lambda _: None, lambda _: "done")) as made,
    ):
        other.submit(int).result()  # its thread is there, and not looked at
        threading.settrace(look)
        try:
            made.write()
        finally:
            threading.settrace(None)
        until(lambda: not made.writing)
    assert told == {(True, "writing the stems"), (False, "done")}


def test_stems_that_are_ordered_at_the_very_end_are_said_not_to_be_written(song, capsys):
    class Ordered(FilePlayer):
        def close(self):
            self.write()  # by a browser, when it is about to end
            return super().close()

    def write(progress):
        while True:
            progress(1024)

    _end(Ordered(_session(), song, lambda _: None, write))
    assert "the stems are not written: this was ended" in capsys.readouterr().err


@pytest.mark.parametrize("wait", [True, False])
def test_a_session_that_may_be_late_waits_for_runs_beside_it(wait):
    drums = Target("drums", 0.0, 90.0, instruments=("drums",))
    stage = LiveSession(slow_runs(0.02), LiveSettings([drums], 44_100, wait=wait)).output_stage
    for _ in range(5):
        stage.process(np.zeros((2, 4 * stage.tier.hop), np.float32))
    assert (stage.separator.late_runs == 0) == wait
