"""Files that libsndfile does not know: a process of its own decodes them, and may crash or hang."""

from __future__ import annotations

import io
import signal
import time

import numpy as np
import pytest
import soundfile

from plugin_bridge.files import decoders
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.containers import Segment, find_segments
from plugin_bridge.files.decoders import LibsndfileDecoder, ProcessDecoder
from realtime.errors import StemsteerError
from tests.support.audio_files import RATE_HZ, SAMPLES, sound


@pytest.fixture
def process_runs(monkeypatch):
    """Let a program of the test's own stand for the decoder's process."""

    def run(text):
        command = [decoders.own_process("x")[0], "-c", text]
        monkeypatch.setattr(decoders, "own_process", lambda *words: command)

    return run


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_the_process_gives_the_samples_of_a_file(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", sound(), RATE_HZ, subtype=subtype)
    decoder = ProcessDecoder(tmp_path / "a.wav")
    assert (decoder.sample_rate, decoder.channels, decoder.n_samples) == (RATE_HZ, 2, SAMPLES)
    assert decoder.subtype == subtype
    parts = [decoder.read(15_000, "float32"), decoder.read(15_000, "float32")]
    decoder.close()
    assert np.abs(np.concatenate(parts) - sound() / np.float32(2**15)).max() < 2**-24


def test_a_format_that_nobody_here_knows_ends_in_a_line(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(range(256)) * 40)
    with pytest.raises(StemsteerError, match=r"a\.m4a is not audio that can be read here"):
        AudioReader(tmp_path / "a.m4a")


@pytest.mark.parametrize(
    "text",
    [
        "import os; os.abort()",
        "print('[' * 100_000)",
        "print('x' * 100_000)",
        'print(\'{"sample_rate": "high"}\')',
        "import sys; sys.exit(1)",
    ],
)
def test_a_process_that_crashes_or_talks_nonsense_costs_the_file_alone(
    tmp_path, process_runs, text
):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(256))
    process_runs(text)
    with pytest.raises(StemsteerError, match="is not audio that can be read here"):
        AudioReader(tmp_path / "a.m4a")


def test_a_process_that_hangs_is_ended(tmp_path, process_runs, monkeypatch):
    monkeypatch.setattr(decoders, "OPEN_S", 0.5)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(256))
    process_runs("import time; time.sleep(1000)")
    began_s = time.monotonic()
    with pytest.raises(StemsteerError, match="is not audio that can be read here"):
        AudioReader(tmp_path / "a.m4a")
    assert time.monotonic() - began_s < 30


def test_a_process_that_crashes_in_the_middle_is_told_as_a_file_that_breaks_off(
    tmp_path, process_runs
):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(256))
    header = '{"sample_rate": 44100, "channels": 2, "n_samples": 9000, "subtype": "FLOAT"}'
    process_runs(
        f"import os, sys; sys.stdout.buffer.write({header!r}.encode() + b'\\n' + bytes(8004));"
        "sys.stdout.flush(); os.abort()"
    )
    with (
        AudioReader(tmp_path / "a.m4a") as reader,
        pytest.raises(StemsteerError, match=r"breaks off after 0\.023 s"),
    ):
        list(reader.blocks(500))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_libsndfile_reads_acts_behind_the_read_and_takes_nothing_from_it(
    capfd, number
):
    class Interrupted(io.BytesIO):
        is_armed = False

        def readinto(self, buffer):
            if self.is_armed:
                self.is_armed = False
                signal.raise_signal(number)
            return super().readinto(buffer)

    def stop(number, _):
        raise KeyboardInterrupt(number)

    view = Interrupted()
    soundfile.write(view, np.zeros((RATE_HZ, 2)), RATE_HZ, format="WAV")
    decoder = LibsndfileDecoder(Segment(view, ""))
    before = signal.signal(number, stop)
    try:
        view.is_armed = True
        with pytest.raises(KeyboardInterrupt):
            decoder.read(1000, "float32")
        assert len(decoder.read(RATE_HZ, "float32")) == RATE_HZ - 1000
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert not capfd.readouterr().err  # where an exception in a callback of C is told


class CountedBytes(io.BytesIO):
    taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


def test_a_file_that_is_read_on_and_on_is_read_once():
    noise = np.random.default_rng(0).standard_normal((10 * RATE_HZ, 2)) / 10
    written = io.BytesIO()
    soundfile.write(written, noise, RATE_HZ, format="FLAC", subtype="PCM_16")
    raw = CountedBytes(written.getvalue())
    (segment,) = find_segments(raw, len(raw.getvalue()))
    raw.taken = 0
    decoder = LibsndfileDecoder(segment)
    parts = []
    while len(part := decoder.read(20_000, "float32")):
        parts.append(part)
    assert np.abs(np.concatenate(parts) - noise).max() < 2**-15
    assert raw.taken < 1.2 * len(raw.getvalue())
