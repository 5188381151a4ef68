"""A JACK server of the test's own, without a sound card."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.engine_sandbox import need
from tests.support.waiting import until


@contextlib.contextmanager
def jack_server(
    monkeypatch: pytest.MonkeyPatch, *options: str, rate_hz: int, period: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that answers, for all that the test starts meanwhile."""
    need("jackd", "jack_lsp")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"stemsteer-{os.getpid()}")
    monkeypatch.setenv("JACK_NO_AUDIO_RESERVATION", "1")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    command = ["jackd", *options, "-d", "dummy", "-r", str(rate_hz), "-p", str(period)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(server), "the JACK server answers")
        yield server
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        finally:
            server.kill()


def _answers(server: subprocess.Popen[bytes]) -> bool:
    """Return whether a client can connect. Fails if the server has ended by itself."""
    assert server.poll() is None, "jackd has ended by itself"
    return subprocess.run(["jack_lsp"], capture_output=True).returncode == 0
