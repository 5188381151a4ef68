"""The timbres of the instance of an audio process, and the sound that it is asked to listen to.

News come with the messages that the process looks at every tenth of a second. Sound that was asked
for is written into memory made for it, which then goes to the daemon: a hop costs no system call.
"""

from __future__ import annotations

import json
import os
import socket

from plugin_bridge.control.actions import ACTIONS, LEARN_S
from plugin_bridge.control.target_timbres import TargetTimbres
from plugin_bridge.control.timbre_requests import SLOTS, SoundCapture
from plugin_bridge.engine.shared.heard_memory import shared_rows
from plugin_bridge.engine.shared.kept_timbres import KEEP, LISTEN, KeptTimbres
from realtime.arrays import Audio
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec


class InstanceTimbres:
    """What the model is told of the examples of its one target, and a capture of its sound.

    Parameters
    ----------
    kept : text of `KeptTimbres`; what is wrong with it is `fault`, and the sound goes on without.
    """

    def __init__(self, spec: ModelSpec, rate_hz: float, kept: str) -> None:
        self._spec, self._rate_hz = spec, rate_hz
        self.conditions = TargetTimbres(spec.conditions.get("timbre", 0))
        self.fault = ""
        try:
            self._use(KeptTimbres.from_text(kept))
        except StemsteerError as error:
            self.fault = str(error)
        self._capture = SoundCapture()
        self._fd = -1  # of the memory that is being filled, or full
        self._is_full = self._is_asked = False

    def take(self, message: bytes) -> bytes | None:
        """Do what a message of the daemon says; return what is to go on to the plugin."""
        if message.startswith(LISTEN):
            self._listen(float(message.removeprefix(LISTEN)))
            return None
        if message.startswith(KEEP):
            self._use(KeptTimbres.from_text(message.removeprefix(KEEP).decode()))
        return message

    def ask_to_learn(self) -> None:
        """Let the next `attend` begin to listen; costs nothing, so it may be in a hop."""
        self._is_asked = True

    def put(self, target: Audio, residual: Audio) -> None:
        """Take the stems of a hop."""
        if self._capture.is_asked and self._capture.put(target, residual):
            self._is_full = True

    def attend(self, daemon: socket.socket) -> None:
        """Begin to listen if that was asked; give the daemon what is full."""
        if self._is_asked:
            self._is_asked = False
            self._listen(LEARN_S)
        if self._is_full:
            self._is_full = False
            rows = self._capture.take()
            message = json.dumps({"heard": 0 if rows is None else len(rows)}).encode()
            socket.send_fds(daemon, [message], [self._fd])
            self._close()

    def _use(self, kept: KeptTimbres) -> None:
        kept.check(self._spec)
        for slot in SLOTS:
            self.conditions.set(0, slot, kept.vectors.get(slot))

    def _listen(self, seconds: float) -> None:
        if not seconds:
            self._capture.end()
            return
        learn = ACTIONS["learn"]
        samples = round(min(max(seconds, learn.low), learn.high) * self._rate_hz)
        self._close()
        self._fd, rows = shared_rows(samples)
        self._is_full = False
        self._capture.begin(rows)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
