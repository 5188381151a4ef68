"""Timbres asked for while sound runs: examples, learning, and a line for what is wrong."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
import soundfile

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.control.timbre_requests import Heard, Request, SoundCapture
from plugin_bridge.timbre.learned import learned_timbre
from plugin_bridge.timbre.service import TimbreService
from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre
from realtime.encoder import FOLDER, load_encoder
from tests.support.timbres import sound
from tests.support.waiting import until

RATE = 44_100
ENCODER = load_encoder()


class Playing(MemorySurface):
    """A surface of one guitar whose model takes timbres; it keeps what it is given."""

    def __init__(self, encoder=ENCODER.spec.encoder):
        super().__init__(["guitar"])
        self.words, self.changes, self.listened = {"encoder": encoder}, [], []

    def timbres(self, instance):
        return self.words

    def timbre_vector(self, instance, slot):
        of_slot = [change.vector for change in self.changes if change.slot == slot]
        return of_slot[-1] if of_slot else None

    def change_timbre(self, change):
        self.changes.append(change)
        self.words = {**self.words, change.slot: change.words}

    def listen(self, instance, seconds):
        self.listened.append((instance, seconds))


class Service:
    """A service on a surface; `ask` waits for its sentence."""

    def __init__(self, surface):
        self.surface, self.told = surface, []
        self.service = TimbreService(surface, self.told.append)

    def ask(self, action, *arguments, **options):
        return self.put(Request("guitar", action, arguments, **options))

    def put(self, item):
        count, until_s = len(self.told), time.monotonic() + 60
        self.surface.requests.put(item)
        while len(self.told) == count:
            assert time.monotonic() < until_s, "nothing was said"
            time.sleep(0.005)
        return self.told[-1]


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    own = Service(Playing())
    yield own
    own.service.stop()


def stereo(name, seconds=2.0):
    mono = sound(np.random.default_rng(3), name, int(seconds * RATE))
    return np.stack([mono, mono]).astype(np.float32)


@pytest.fixture
def bass(tmp_path):
    soundfile.write(tmp_path / "bass.wav", stereo("bass").T, RATE, subtype="FLOAT")
    return str(tmp_path / "bass.wav")


def test_an_example_becomes_the_timbre_and_an_empty_text_takes_it_back(service, bass):
    assert service.ask("like", f"{bass}@0-1.5") == f"guitar: like: {bass}@0-1.5"
    change = service.surface.changes[-1]
    expected = ENCODER.encode(stereo("bass")[:, : int(1.5 * RATE)])
    np.testing.assert_allclose(change.vector, expected, atol=1e-4)
    assert service.ask("like", "") == "guitar: like: none any more"
    assert service.surface.changes[-1].vector is None
    assert service.service.summary() == "2 timbres changed, 0 requests refused"


@pytest.mark.parametrize(
    ("values", "words", "morph"),
    [
        ({"instrument": 10}, {}, 1.0),
        ({}, {"instruments": "bass"}, 1.0),  # of an option
        ({"instrument": 10, "timbre_morph": 0.5}, {}, 0.5),
        ({}, {}, 0.0),
    ],
)
def test_an_example_that_comes_beside_an_instrument_counts_unless_morph_was_moved(
    service, bass, values, words, morph
):
    surface = service.surface
    surface.words |= words
    for name, value in values.items():
        surface.set_value("guitar", name, value)
    moved = "; Morph is 1 now, so it counts and not the instrument" if morph == 1 else ""
    assert service.ask("unlike", "") == "guitar: unlike: none any more"
    assert service.ask("like", "") == "guitar: like: none any more"
    assert surface.value("guitar", "timbre_morph") == values.get("timbre_morph", 0)
    assert service.ask("like", bass) == f"guitar: like: {bass}{moved}"
    assert surface.value("guitar", "timbre_morph") == morph
    assert service.ask("like", bass) == f"guitar: like: {bass}"


def test_what_was_learned_beside_an_instrument_counts(service):
    service.surface.set_value("guitar", "instrument", 10)
    said = service.put(Heard("guitar", stereo("bass"), 0.1 * stereo("drums"), RATE))
    assert said.startswith("guitar: like: learned, 2 s; Morph is 1 now")
    assert service.surface.value("guitar", "timbre_morph") == 1


def test_of_a_track_it_is_said_that_the_host_has_to_keep_it(service, bass, monkeypatch):
    service.surface.set_value("guitar", "instrument", 10)
    monkeypatch.setattr(service.surface, "facts", lambda instance: {"host": "Ardour"})
    assert "; set Timbre Morph to 1 in the host as well to keep it" in service.ask("like", bass)


def test_a_name_of_the_library_serves_as_an_example_from_another_machine_too(service, bass):
    vector = np.eye(1, ENCODER.spec.size, dtype=np.float32)[0]
    TimbreLibrary().save("mine", Timbre(vector, ENCODER.spec.encoder))
    service.ask("like", "mine", names_files=False)
    np.testing.assert_array_equal(service.surface.changes[-1].vector, vector)
    said = service.ask("like", bass, names_files=False)
    assert "files are named from this machine alone" in said
    assert len(service.surface.changes) == 1


def test_learning_listens_and_goes_by_what_was_heard(service):
    assert service.ask("learn", 2.0) == "guitar: listening for 2 s"
    assert service.surface.listened == [("guitar", 2.0)]
    target, residual = stereo("bass"), stereo("drums")
    target[:, :RATE] = 0.7 * residual[:, :RATE]  # where the target does not play
    said = service.put(Heard("guitar", target, residual, RATE))
    assert said == "guitar: like: learned, 2 s"
    learned = service.surface.changes[-1].vector
    alone = ENCODER.encode(stereo("bass")[:, RATE:])
    assert learned @ alone > 0.95 > ENCODER.encode(target) @ alone


def test_learning_that_is_ended_goes_by_what_was_heard_until_then(service):
    assert service.ask("learn", 10.0) == "guitar: listening for 10 s"
    service.surface.requests.put(Request("guitar", "learn", (0.0,)))
    target, residual = stereo("bass", 1.2), stereo("drums", 1.2)
    assert service.put(Heard("guitar", target, residual, RATE)) == "guitar: like: learned, 1.2 s"
    assert service.surface.listened == [("guitar", 10.0), ("guitar", 0.0)]


@pytest.mark.parametrize("rate_hz", [48_000, 96_000])
def test_what_is_heard_at_another_rate_is_learned_as_well(rate_hz):
    tone = np.sin(2 * np.pi * 300 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32)
    nothing = np.zeros((2, 2 * rate_hz), np.float32)
    there = learned_timbre(Heard("x", np.stack([tone, tone]), nothing, rate_hz), ENCODER)
    tone = np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE).astype(np.float32)
    assert there.vector @ ENCODER.encode(np.stack([tone, tone])) > 0.9


@pytest.mark.parametrize(
    ("action", "arguments", "words"),
    [
        ("like", ["no.wav"], "no.wav"),
        ("like", [3000 * "a" + ".wav"], "aaa.wav cannot be read: File name too long"),
        ("like", [3000 * "a" + "@1-2"], "neither a file nor a timbre of the library"),
        ("like", ["nobody"], "neither a file nor a timbre of the library; there are minus, other"),
        ("like", ["SHORT"], "0.10 s: expected 0.25 to 30 s"),
        ("like", ["SILENT"], "the clip is silent"),
        ("like", ["TEXT"], "text.wav"),
        ("like", ["BASS@5-6"], "the file ends at 2.00 s"),
        ("like", ["other"], "made by the encoder else"),
        ("unlike", ["BASS"], "none of what is: send like or instrument first"),
        ("like", ["plus", "minus"], "contradict each other"),
    ],
)
def test_a_bad_example_is_told_in_a_line_and_the_timbre_stays(
    service, bass, tmp_path, action, arguments, words
):
    files = {name: str(tmp_path / f"{name.lower()}.wav") for name in ("SHORT", "SILENT", "TEXT")}
    soundfile.write(files["SHORT"], np.full(4410, 0.1), RATE)
    soundfile.write(files["SILENT"], np.zeros(RATE), RATE)
    (tmp_path / "text.wav").write_text("no sound")
    library, one = TimbreLibrary(), np.eye(1, ENCODER.spec.size, dtype=np.float32)[0]
    library.save("other", Timbre(one, "else"))
    library.save("plus", Timbre(one, ENCODER.spec.encoder))
    library.save("minus", Timbre(-one, ENCODER.spec.encoder))
    for name, path in {**files, "BASS": bass}.items():
        arguments = [argument.replace(name, path) for argument in arguments]
    said = service.ask(action, *arguments)
    assert words in said
    assert said.startswith(f"guitar: {action}: ")
    assert "\n" not in said
    assert not service.surface.changes


def test_the_same_sound_cannot_be_wanted_and_not_wanted(service, bass):
    service.ask("like", bass)
    assert "sound the same: give another example" in service.ask("unlike", f"{bass}@0-1.9")
    assert len(service.surface.changes) == 1


def test_silence_is_not_learned(service):
    quiet = 1e-5 * stereo("bass")
    assert "too quiet to learn from" in service.put(Heard("guitar", quiet, quiet, RATE))
    assert not service.surface.changes


def test_a_model_that_takes_no_timbre_is_told():
    own = Service(Playing(encoder=""))
    for action, argument in (("like", "x.wav"), ("learn", 1.0)):
        assert "its model takes no timbre: choose one that does" in own.ask(action, argument)
    own.service.stop()


def test_a_request_waits_for_a_model_that_is_still_loading(service):
    service.surface.words = {}
    service.surface.requests.put(Request("guitar", "learn", (1.0,)))
    time.sleep(0.1)
    assert not service.told
    service.surface.words = {"encoder": ENCODER.spec.encoder}
    until(lambda: service.surface.listened == [("guitar", 1.0)], "it listens")


def test_a_model_that_never_loads_is_told(service, monkeypatch):
    monkeypatch.setattr("plugin_bridge.timbre.surface_encoders.LOADING_S", 0.05)
    service.surface.words = {}
    assert "its model is not loaded" in service.ask("learn", 1.0)
    assert service.surface.listened == []


def test_a_file_with_another_encoder_than_the_models_is_told(tmp_path, monkeypatch, bass):
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path))
    (tmp_path / FOLDER).mkdir()
    shutil.copy(ENCODER.path, tmp_path / FOLDER / "ears-1.onnx")
    own = Service(Playing(encoder="ears-1"))
    assert f"holds {ENCODER.spec.encoder!r}" in own.ask("like", bass)
    assert not own.surface.changes
    own.service.stop()


def test_actions_take_texts_or_a_number_in_range():
    assert ACTIONS["like"].check(["a", "b"]) == ("a", "b")
    assert ACTIONS["learn"].check([2]) == (2.0,)
    assert ACTIONS["learn"].check([0]) == (0.0,)  # ends it
    for name, arguments in (
        ("like", []), ("like", [1.0]), ("like", ["a"] * 17), ("learn", ["x"]), ("learn", []),
        ("learn", [0.1]), ("learn", [11.0]), ("learn", [float("nan")]), ("learn", [1.0, 2.0]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} has .*, expected"):
            ACTIONS[name].check(arguments)


def test_a_capture_keeps_what_comes_from_when_it_was_asked():
    capture, sound_of = SoundCapture(), np.arange(10, dtype=np.float32)
    assert not capture.put(np.ones((2, 3)), np.ones((2, 3)))
    capture.begin(np.zeros((5, 4), np.float32))
    filled = [capture.put(np.tile(sound_of[k : k + 2], (2, 1)), np.zeros((2, 2)))
              for k in range(0, 10, 2)]  # fmt: skip
    assert filled == [False, False, True, False, False]
    assert capture.take()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert capture.take() is None


def test_a_capture_that_is_ended_keeps_what_came_until_then():
    capture, two = SoundCapture(), np.ones((2, 2))
    capture.begin(np.zeros((5, 4), np.float32))
    assert not capture.put(two, two)
    capture.end()
    assert capture.put(two, two)
    assert capture.take().shape == (4, 4)
    capture.end()  # of nothing
    assert not capture.put(two, two)
    capture.begin(np.zeros((5, 4), np.float32))
    assert [capture.put(two, two) for _ in range(3)] == [False, False, True]
    assert capture.take().shape == (5, 4)
