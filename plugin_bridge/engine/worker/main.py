"""The audio process of one plugin instance, from its start to its end.

The daemon starts it (`engine/daemon/worker_process.py`). It loads its model, waits to be assigned
an instance with its ring, and ends with the plugin or with the daemon.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import time
from pathlib import Path

from plugin_bridge.automation import ALL, Lane, read_automation
from plugin_bridge.control.controls import BY_NAME, REMOTE_CONTROLS
from plugin_bridge.control.surface import osc_name
from plugin_bridge.control.target_conditions import known_instruments
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.messages import (
    MESSAGE_BYTES,
    NAME,
    OWN_MESSAGE_BYTES,
    REFUSED,
    parse_names,
    read_message,
)
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.engine.worker.priority import Priority
from plugin_bridge.engine.worker.processor import RingProcessor, RingTaken, choose_tier
from plugin_bridge.engine.worker.timbres import InstanceTimbres
from plugin_bridge.engine.worker.timeline import ControlTimeline
from realtime import OnnxModel, StemsteerError, load_model

CHECK_S = 0.1  # between two checks whether the plugin and the daemon are still there


def main(daemon_fd: int, page_fd: int, default_model: str, lanes_file: str) -> None:
    """Serve one plugin.

    Parameters
    ----------
    daemon_fd, page_fd : file descriptors of a socket to the daemon and of the control page.
    lanes_file : file of lanes, or empty.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's business
    daemon = socket.socket(fileno=daemon_fd)
    preloaded = _preload(default_model)
    _send(daemon, "{}")  # it has loaded
    try:
        message, fds, _, _ = socket.recv_fds(daemon, OWN_MESSAGE_BYTES, 2)
    except ConnectionError:  # the daemon was killed
        return
    if len(fds) != 2:  # the daemon has stopped
        return
    with socket.socket(fileno=fds[1]) as plugin:
        try:
            hello = json.loads(message)
            ring = SharedRing(fds[0])
            os.close(fds[0])
            name = str(hello["model"] or default_model)
            model = preloaded if preloaded and name == default_model else load_model(name, "live")
            tier = choose_tier(model.spec, ring.rate_hz, hello["latency"], hello["block"])
            page = ControlPage(page_fd)
            lanes = InstanceLanes(lanes_file, ring.rate_hz, hello["number"])
            timeline = ControlTimeline(ring, lanes.of(hello["name"]), page.overrides())
            timbres = InstanceTimbres(model.spec, ring.rate_hz, hello["timbres"])
            processor = RingProcessor(ring, model, tier, timeline, page, timbres)
            _prepare(processor)
            if _has_ended(plugin) or _has_ended(daemon):  # another process is to serve it
                return
            priority = Priority()
            priority.update(offline=bool(ring["offline"]), load=0.0, now_s=time.monotonic())
            processor.take_over()
        except RingTaken:  # by the process of a hello that came just after
            return
        except (StemsteerError, ValueError) as error:
            _send(daemon, f"{REFUSED}{error}")  # first: the plugin may ask again at once
            _send(plugin, f"{REFUSED}{error}")
            return
        facts = {"model": name, "tier": tier, "hop": processor.hop}
        instruments, encoder = ",".join(known_instruments(model.spec)), model.spec.timbre_encoder
        told = {"instruments": instruments, "encoder": encoder, "timbre_fault": timbres.fault}
        _send(daemon, json.dumps({**facts, **told}))
        _send(plugin, f"ok {hello['uuid']}")
        if timbres.fault:
            _send(plugin, timbres.fault)
        try:
            _run(processor, timeline, lanes, timbres, priority, plugin, daemon)
        except RingTaken:
            pass
        except Exception as error:
            _send(daemon, f"its processing failed: {type(error).__name__}: {error}")
            raise  # the plugin sees the end, the daemon counts a crash


def _preload(name: str) -> OnnxModel | None:
    with contextlib.suppress(StemsteerError):  # told when a plugin asks for it
        return load_model(name, "live")
    return None


class InstanceLanes:
    """The lanes of a file for an instance, which may come to be called otherwise.

    A lane is for it by its name, its number, or because it is for all.
    """

    def __init__(self, path: str, rate_hz: float, number: int) -> None:
        lanes = read_automation(Path(path), rate_hz).lanes if path else {}
        self._lanes = sorted(lanes.items(), key=lambda item: item[0][0] != ALL)
        self._number = str(number)

    def of(self, name: str) -> dict[int, Lane]:
        """Return the lanes for that name by id of the control; its own replace those for all."""
        names = {ALL, self._number, osc_name(name)}
        return {
            BY_NAME[control].id: lane
            for (target, control), lane in self._lanes
            if osc_name(target) in names or target == ALL
            if control in REMOTE_CONTROLS
        }


def _prepare(processor: RingProcessor) -> None:
    processor.warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes cycles


def _run(
    processor: RingProcessor,
    timeline: ControlTimeline,
    lanes: InstanceLanes,
    timbres: InstanceTimbres,
    priority: Priority,
    plugin: socket.socket,
    daemon: socket.socket,
) -> None:
    ring = processor.ring
    checked_s = 0.0
    while True:
        bell = ring["input_bell"]
        if not processor.process_due():
            processor.sleep(bell, CHECK_S)
        now_s = time.monotonic()
        if now_s - checked_s < CHECK_S:
            continue
        checked_s = now_s
        message, names = _received(daemon), _received(plugin)
        if message == b"" or names == b"":
            return
        try:
            if names:
                _send(daemon, json.dumps({"names": parse_names(read_message(names))}))
            if message and message.startswith(NAME):
                timeline.follow(lanes.of(message.removeprefix(NAME).decode()), processor.position)
            elif message and (news := timbres.take(message)):
                _send(plugin, news.decode())
            timbres.attend(daemon)
        except (StemsteerError, ValueError, OSError) as error:
            _send(daemon, f"a message was not taken: {error}")
        priority.update(offline=bool(ring["offline"]), load=ring["load"], now_s=now_s)


def _received(peer: socket.socket) -> bytes | None:
    """Return a message if there is one, empty at the end of the connection."""
    try:
        return peer.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _has_ended(peer: socket.socket) -> bool:
    """Return whether a connection has ended, and leave what was sent."""
    try:
        return not peer.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(peer: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        peer.send(text.encode()[:MESSAGE_BYTES])
