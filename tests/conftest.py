"""Set up the process that runs the tests, and what files of them share."""

import os
import signal
import subprocess
import time

import pytest
import soundfile

from tests.support.engine_sandbox import desk, need
from tests.support.osc_rig import Rig
from tests.support.rendering import RATE_HZ, panned

# A shell starts jobs in the background with Ctrl-C ignored, and what they start inherits that:
# programs that the tests interrupt must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["STEMSTEER_DATA"] = "/nonexistent"  # models and timbres of who runs the tests


@pytest.fixture
def engine_sandbox(monkeypatch):
    """Folders and an engine of the test's own."""
    with desk(monkeypatch) as own:
        yield own


@pytest.fixture
def jack(monkeypatch):
    """A JACK server with the dummy backend: a card without a card."""
    need("jackd")
    name = f"stemsteer-{os.getpid()}"
    environment = {"JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    server = subprocess.Popen(
        ["jackd", "-n", name, "-r", "-d", "dummy", "-r", "44100", "-p", "256"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)
    yield
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture
def rig():
    """A server of OSC for a guitar and lead vocals."""
    with Rig() as made:
        yield made


@pytest.fixture
def song(tmp_path):
    """Five seconds: a chord on the left at -30 degrees, another on the right at 25."""
    path = tmp_path / "song.wav"
    samples = panned(-30, 5 * RATE_HZ, 1) + panned(25, 5 * RATE_HZ, 2)
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path
