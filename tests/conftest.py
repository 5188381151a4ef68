"""Set up the process that runs the tests, and what files of them share."""

import gc
import os
import signal

import hypothesis
import pytest
import soundfile

from tests.support.engine_sandbox import sandboxed_engine
from tests.support.jack import jack_server
from tests.support.osc_rig import Rig
from tests.support.rendering import RATE_HZ, panned

# A shell starts jobs in the background with Ctrl-C ignored, and what they start inherits that:
# programs that the tests interrupt must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["STEMSTEER_DATA"] = "/nonexistent"  # models and timbres of who runs the tests
os.environ.setdefault("OMP_NUM_THREADS", "1")  # or threads of several processes wait by spinning

hypothesis.settings.register_profile("untimed", deadline=None)  # machines differ, and are busy
hypothesis.settings.load_profile("untimed")

BESIDE_REALTIME = 5
"""Niceness of tests that run beside those of real time."""


@pytest.hookimpl(tryfirst=True)  # before the processes learn the groups
def pytest_collection_modifyitems(items):
    """Group the tests for several processes: those of real time together and first, others by file.

    What a file's tests share is then made once. Those with hosts come second, since they take
    longest: a long one that begins last keeps one process alone. Those that mostly wait come
    third: that costs nothing while others work.
    """
    items.sort(key=_turn)
    for item in items:
        group = "realtime" if is_realtime(item) else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish():
    """Let the collector of garbage pass over what the tests have imported, which stays."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Give the processor to the tests of real time first, where others run beside them.

    A process that has come to other tests never goes back to these.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and not is_realtime(item):
        os.nice(max(0, BESIDE_REALTIME - os.nice(0)))


def _turn(item):
    """Return where a test stands: realtime, host, waits, then all others; False is before True."""
    return [not item.get_closest_marker(name) for name in ("realtime", "host", "waits")]


def is_realtime(item):
    """Return whether a test keeps time with a clock, or must not run beside those that do."""
    return item.get_closest_marker("realtime") is not None


@pytest.fixture
def engine_sandbox(monkeypatch):
    """Folders and an engine of the test's own."""
    with sandboxed_engine(monkeypatch) as own:
        yield own


@pytest.fixture
def jack(monkeypatch):
    """A JACK server with the dummy backend: a card without a card."""
    with jack_server(monkeypatch, "-r", rate_hz=RATE_HZ, period=256):
        yield


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
