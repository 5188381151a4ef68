"""The audio process of one plugin instance: `instance.py SOCKET PAGE MODEL LANES`.

The engine starts it (`worker.py`). It loads its model, waits to be given a ring, and ends with the
plugin or with the engine.
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
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.engine.worker.processor import RingProcessor, RingTaken, choose_tier
from plugin_bridge.engine.worker.timeline import ControlTimeline
from realtime import OnnxModel, StemsteerError, load_model

LOOK_S = 0.1  # between two looks whether the plugin and the engine are still there
PRIORITY = 5  # of SCHED_FIFO: below that of audio servers and hosts
_MESSAGE_BYTES = 1 << 16


def main(descriptor: int, page: int, default_model: str, lanes: str) -> None:
    """Serve one plugin.

    Parameters
    ----------
    descriptor, page : file descriptors of a socket to the engine and of what hands move.
    lanes : file of lanes, or empty.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's business
    engine = socket.socket(fileno=descriptor)
    preloaded = _preload(default_model)
    message, fds, _, _ = socket.recv_fds(engine, _MESSAGE_BYTES, 2)
    if len(fds) != 2:
        return  # the engine has stopped
    hello = json.loads(message)
    with socket.socket(fileno=fds[1]) as plugin:
        try:
            ring = SharedRing(fds[0])
            os.close(fds[0])
            name = str(hello["model"] or default_model)
            model = preloaded if preloaded and name == default_model else load_model(name, "live")
            tier = choose_tier(model.spec, ring.rate_hz, hello["latency"], hello["block"])
            hands = ControlPage(page)
            own = _lanes(lanes, ring.rate_hz, hello["name"], hello["number"])
            course = ControlTimeline(ring, own, hands.held())
            processor = RingProcessor(ring, model, tier, course, hands)
            _prepare(processor)
        except (StemsteerError, ValueError) as error:
            _say(plugin, f"error {error}")
            _say(engine, f"error {error}")
            return
        _say(engine, json.dumps({"model": name, "tier": tier, "hop": processor.hop}))
        _say(plugin, f"ok {hello['uuid']}")
        with contextlib.suppress(RingTaken):
            _serve(processor, plugin, engine)


def _preload(name: str) -> OnnxModel | None:
    with contextlib.suppress(StemsteerError):  # told when a plugin asks for it
        return load_model(name, "live")
    return None


def _lanes(path: str, rate_hz: float, name: str, number: int) -> dict[int, Lane]:
    """The lanes of a file that are for an instance, by its name or number, or for all."""
    if not path:
        return {}
    lanes = read_automation(Path(path), rate_hz).lanes
    called = {ALL, str(number), osc_name(name)}
    ranked = sorted(lanes.items(), key=lambda item: item[0][0] != ALL)  # its own count more
    return {
        BY_NAME[control].id: lane
        for (target, control), lane in ranked
        if osc_name(target) in called or target == ALL
        if control in REMOTE_CONTROLS
    }


def _prepare(processor: RingProcessor) -> None:
    processor.warm_up()
    processor.take_over()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes cycles


def _serve(processor: RingProcessor, plugin: socket.socket, engine: socket.socket) -> None:
    ring = processor.ring
    offline = None
    looked_s = 0.0
    while True:
        bell = ring["input_bell"]
        if not processor.process_due():
            ring.wait("input_bell", "engine_sleeps", bell, LOOK_S)
        now_s = time.monotonic()
        if now_s - looked_s < LOOK_S:
            continue
        looked_s = now_s
        if _has_left(plugin) or _has_left(engine):
            return
        if bool(ring["offline"]) != offline:
            offline = bool(ring["offline"])
            _schedule(realtime=not offline)


def _schedule(realtime: bool) -> None:
    """Ask for real-time priority while someone listens. Where it is not permitted: as it is."""
    policy = os.SCHED_FIFO if realtime else os.SCHED_OTHER
    with contextlib.suppress(OSError):
        os.sched_setscheduler(
            0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY if realtime else 0)
        )


def _has_left(peer: socket.socket) -> bool:
    try:
        return peer.recv(_MESSAGE_BYTES, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _say(peer: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        peer.send(text.encode()[:500])
