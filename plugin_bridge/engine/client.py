"""The plugin's side of the engine in Python: an instance without a host, and the status."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import CONTROLS
from plugin_bridge.engine.shared.ring import RECORDS, VALUES, SharedRing, make_ring
from plugin_bridge.paths import engine_socket
from realtime.errors import StemsteerError

DEFAULTS = {control.name: control.default for control in CONTROLS if not control.output}


class PluginClient:
    """An instance that says hello to the engine, feeds it blocks and reads what comes back.

    Parameters
    ----------
    latency : samples from input to output, as the plugin reports it.
    model : name of the model, empty for the engine's own.
    offline : whether nobody listens, so that the engine leaves nothing out.
    timbres : what the project keeps of them, as the engine told.

    `messages` are those of the engine that `attached` has read.

    Raises
    ------
    StemsteerError if no engine answers, or it refuses.
    """

    def __init__(
        self,
        rate_hz: int = 44_100,
        *,
        block: int = 512,
        latency: int = 1024,
        outputs: int = 2,
        model: str = "",
        label: str = "",
        track: str = "",
        offline: bool = False,
        timbres: str = "",
        timeout_s: float = 15.0,
    ) -> None:
        self.latency = latency
        self.fd = make_ring(rate_hz, outputs)
        self.ring = SharedRing(self.fd)
        self.ring["latency"] = latency
        self.ring["offline"] = offline
        self.position = self.ring["written"]
        self._recorded = 0
        self._values: dict[str, float] = {}
        self._song_position: int | None = None
        self.hello = {
            "hello": 1,
            "uuid": secrets.token_hex(16),
            "label": label,
            "track": track,
            "model": model,
            "host": "track",
            "format": "python",
            "pid": os.getpid(),
            "rate_hz": rate_hz,
            "block": block,
            "latency": latency,
            "outputs": outputs,
            "timbres": timbres,
        }
        self.messages: list[str] = []
        try:
            self._socket = self._say_hello(timeout_s)
        except BaseException:
            os.close(self.fd)
            raise

    def _say_hello(self, timeout_s: float) -> socket.socket:
        path = engine_socket()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            hello = json.dumps(self.hello, ensure_ascii=False)
            socket.send_fds(connection, [hello.encode()], [self.fd])
            answer = connection.recv(512).decode()
        except OSError as error:
            connection.close()
            raise StemsteerError(f"no engine answers at {path}: {error}") from error
        if not answer.startswith("ok "):
            connection.close()
            raise StemsteerError(f"the engine refuses: {answer or 'it closed the socket'}")
        connection.setblocking(False)
        self.hello["uuid"] = answer[3:]
        return connection

    def rename(self, label: str = "", track: str = "") -> None:
        """Tell the engine that the instance is called otherwise; its sound goes on."""
        self._socket.send(json.dumps({"rename": 1, "label": label, "track": track}).encode())

    def push(
        self, block: NDArray[np.float32], *, song_position: int | None = None, **values: float
    ) -> None:
        """Give the engine a block (2, samples).

        Parameters
        ----------
        song_position : where the host's song is at its first sample; None if it does not play.
        values : controls by name; those that are missing have their default.
        """
        ring, samples = self.ring, block.shape[1]
        ring.write(ring.input, self.position, block)
        if values != self._values or song_position != self._song_position or not self._recorded:
            self._record({**DEFAULTS, **values}, samples, song_position)
            self._values = values
        self._song_position = None if song_position is None else song_position + samples
        self.position += samples
        ring["block"] = samples
        ring["blocks"] = ring["blocks"] + 1
        ring["written"] = self.position
        ring.notify("input_bell", "engine_sleeps")

    def _record(self, values: dict[str, float], samples: int, song_position: int | None) -> None:
        record = np.zeros(VALUES, np.float32)
        for control in CONTROLS:
            record[control.id] = values.get(control.name, 0)
        song = (song_position is not None, song_position or 0)
        self.ring.records[self._recorded % RECORDS] = (self.position, samples, *song, record)
        self._recorded += 1
        self.ring["recorded"] = self._recorded

    @property
    def done(self) -> int:
        """Return the position up to which the engine has finished."""
        done: int = self.ring["done"]
        return done

    def wait(self, position: int, timeout_s: float = 10.0) -> bool:
        """Wait until the engine has finished up to `position`; return whether it has."""
        for _ in range(max(1, int(timeout_s / 0.02))):
            bell = self.ring["output_bell"]
            if self.done >= position:
                return True
            self.ring.wait_futex("output_bell", "plugin_sleeps", bell, 0.02)
        return self.done >= position

    def read(self, position: int, samples: int) -> NDArray[np.float32]:
        """Return what the engine made of the input from `position` on: (outputs, samples)."""
        return self.ring.read(self.ring.output, position, samples)

    @property
    def attached(self) -> bool:
        """Return whether the engine still holds the ring."""
        with contextlib.suppress(BlockingIOError):
            while message := self._socket.recv(1 << 16).decode():
                self.messages.append(message)
                if message.startswith("keep "):
                    self.hello["timbres"] = message.removeprefix("keep ")
            return False
        return True

    def close(self) -> None:
        """Close the connection, as a plugin does that is removed."""
        self._socket.close()
        os.close(self.fd)


def ask_status(timeout_s: float = 2.0) -> dict[str, Any]:
    """Return what the engine says of itself and its instances.

    Raises StemsteerError if none answers.
    """
    path = engine_socket()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.send(b'{"ask": "status"}')
            answer: dict[str, Any] = json.loads(connection.recv(1 << 20))
        except (OSError, ValueError) as error:
            raise StemsteerError(
                f"no engine answers at {path} ({error}): start one with `stemsteer serve`"
            ) from error
    return answer
