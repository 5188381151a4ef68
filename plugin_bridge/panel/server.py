"""The panel as a server beside others: its web server on a thread, its surface in `attend`.

A process that wakes thirty times a second costs by what it has to call and to fetch from memory. So
values go over only where they have changed, meters and what is measured of the sound with every
third picture, and where the sound is in another process it comes in a stream, whose arrival wakes
the panel (`ControlSurface.refresh`): nobody wakes to ask. Of an engine the panel sees memory that
it can read and not write (`engine.observer`), so being looked at costs the daemon nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import math
import re
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.panel.examples import Examples
from plugin_bridge.panel.heard_now import HeardNow
from plugin_bridge.panel.hub import Hub, Item, Record
from plugin_bridge.panel.listening import WebServer, listen, uvicorn_config
from plugin_bridge.panel.pace import Pace
from plugin_bridge.panel.performance import Performance
from plugin_bridge.panel.picture import (
    FLOOR_DB,
    N_AZIMUTHS,
    TOP_DB,
    PictureMaker,
    band_edges_hz,
)
from plugin_bridge.panel.player import Player, give_order
from plugin_bridge.panel.shown import Shown, changes, controls_table, shown
from plugin_bridge.panel.timbre_list import TimbreList
from plugin_bridge.panel.web import make_app
from realtime.arrays import Audio
from realtime.errors import StemsteerError

DEFAULT_PORT = 9980
LOOPBACK = "127.0.0.1"
LEAST_TOKEN = 8  # characters
TOKEN = re.compile(r"[A-Za-z0-9._~-]*")
"""What an address carries behind its # without being changed (RFC 3986, unreserved characters)."""
START_S, STOP_S = 10.0, 3.0
METERS_EVERY = 3
"""Pictures from one look at meters, and all else that nobody moves, to the next."""
FIXED = {
    "controls": controls_table(),
    "bands_hz": band_edges_hz(),
    "azimuths": N_AZIMUTHS,
    "floor_db": FLOOR_DB,
    "top_db": TOP_DB,
}
"""What a browser is told once."""


@dataclass(frozen=True)
class PanelOptions:
    """Where to listen. A token is needed where others can reach the address.

    Parameters
    ----------
    lanes_folder : where performances are written that a browser has asked for.
    models_folder : where a model lies whose encoder may be beside it; None: where all models are.

    Raises
    ------
    ValueError for a token that is too short or has other characters than `TOKEN`, or for an
    address that is none.
    """

    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    token: str = ""
    lanes_folder: Path = field(default_factory=Path.cwd)
    models_folder: Path | None = None

    def __post_init__(self) -> None:
        address = ipaddress.ip_address(self.host)  # raises ValueError with the address in it
        if not TOKEN.fullmatch(self.token):
            raise ValueError(
                "the token has characters that an address cannot carry: "
                "use the letters A to Z and a to z, digits, and . _ ~ -"
            )
        if not address.is_loopback and len(self.token) < LEAST_TOKEN:
            raise ValueError(
                f"listening on {self.host} lets others in: give a token of {LEAST_TOKEN} "
                "characters or more, or none and take the one that is made"
            )

    @classmethod
    def with_token(cls, host: str, port: int, token: str | None) -> PanelOptions:
        """Return options with a token of chance where one is needed and none is given."""
        if token is None:
            token = "" if ipaddress.ip_address(host).is_loopback else secrets.token_urlsafe(16)
        return cls(host, port, token)

    def addresses(self, port: int) -> list[str]:
        """Return what is to be typed into a browser: one of these.

        Where it listens everywhere that is the name of this machine, which not every network
        knows, and its address. The token is behind a #, which a browser does not send along with
        what it asks for.
        """
        hosts = [self.host]
        if ipaddress.ip_address(self.host).is_unspecified:
            hosts = [socket.gethostname(), *filter(None, [_own_address(self.host)])]
        token = f"#{self.token}" if self.token else ""
        return [f"http://{f'[{h}]' if ':' in h else h}:{port}/{token}" for h in hosts]

    def open(self, surface: ControlSurface, report: Report) -> PanelServer:
        """Return the panel, which listens already.

        Raises StemsteerError if the port is taken.
        """
        return PanelServer(surface, self, report)


def _own_address(everywhere: str) -> str:
    """Return the address of this machine in its network, of the kind of `everywhere`; "" of none.

    It is asked for by a socket that would send to elsewhere, to an address of no machine; it sends
    nothing.
    """
    is_v6 = ":" in everywhere
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if is_v6 else (socket.AF_INET, "192.0.2.1")
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((elsewhere, 9))
        return str(asking.getsockname()[0])
    return ""


class PanelServer:
    """Shows a surface to browsers and moves it for them.

    `attend` does all that concerns the surface: it applies what browsers have moved, and at its
    `Pace` looks at it and tells what has changed. The web server's thread only carries that.
    """

    name = "panel"

    def __init__(self, surface: ControlSurface, options: PanelOptions, report: Report) -> None:
        self._surface, self._report = surface, report
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)
        self._is_rung = False
        self._hub = Hub(options.token, self._wake)
        self._performance = Performance(options.lanes_folder)
        self._listener = listen(options.host, options.port)
        self.port = int(self._listener.getsockname()[1])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        app = make_app(self._hub, self._performance, Examples(surface, options.models_folder))
        self._server = WebServer(uvicorn_config(app))
        self._thread = threading.Thread(target=self._run, name="stemsteer-web", daemon=True)
        self._told: Shown = {}
        self._pace, self._n_told = Pace(), 0
        self._drawn: dict[str, int] = {}  # position of the last picture of an instance
        self._heard, self._library = HeardNow(), TimbreList()
        self._makers: dict[str, PictureMaker] = {}
        self.n_moves = 0
        self.player: Player | None = None
        """What plays a file here, where one is tried."""
        self._thread.start()
        if not self._started.wait(START_S):
            raise StemsteerError("the web server of the panel did not start in time")

    def fileno(self) -> int:
        """Return the descriptor on which the web server's thread says that something has come."""
        return self._bell.fileno()

    def due_in_s(self) -> float:
        """Return the time until the next picture; infinite while nobody looks."""
        if self._is_idle():
            return math.inf
        return self._pace.due_in_s(time.monotonic())

    def attend(self) -> None:
        """Apply what has been moved, and tell what has changed."""
        if self._is_rung:
            self._bell.recv(4096)
            self._is_rung = False  # before the inbox is read: what comes after it rings again
        while not self._hub.inbox.empty():
            self._take(self._hub.inbox.get_nowait())
            self._pace.saw(is_news=True)
        now_s = time.monotonic()
        if self._is_idle() or not self._pace.is_due(now_s):
            return
        wanted = self._hub.wanted & set(self._surface.instances)
        if self._pace.looks(self._surface.refresh(wanted, self._pace.period_s), now_s):
            self._tell(wanted)

    def hear(self, sound: Audio) -> None:
        """Let browsers hear a block (2, n); from any thread."""
        assert self._loop is not None
        block = np.ascontiguousarray(sound.T, np.float32).tobytes()
        self._loop.call_soon_threadsafe(self._hub.deliver_sound, block)

    def stop(self) -> None:
        """Release the port and end the web server."""
        self._server.should_exit = True
        with contextlib.suppress(RuntimeError):  # its loop has ended by itself
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._server.ended.set)
        self._thread.join(STOP_S)
        self._performance.end()
        self._heard.stop()
        for each in (self._listener, self._bell, self._ringer):
            each.close()

    def summary(self) -> str:
        """Return what came in, in a line."""
        hub = self._hub
        refused = f", {hub.n_refused} refused" if hub.n_refused else ""
        return f"panel: {hub.n_seen} connections of browsers, {self.n_moves} moves{refused}"

    def _take(self, item: Item) -> None:
        """Do what a browser has sent."""
        if isinstance(item, Request):
            if item.instance in self._surface.instances:
                self._surface.requests.put(item)
        elif isinstance(item, tuple):
            self._move(*item)
        elif isinstance(item, Record):
            values = shown(self._surface)["values"]
            self._performance.turn(item.wanted, values, self._position_s())
        elif self.player is not None:
            give_order(self.player, item)

    def _move(self, instance: str, name: str, value: float) -> None:
        """Set a control; what is not there, as a track that has just gone, is left out."""
        if instance in self._surface.instances:
            control = self._surface.controls(instance).get(name)
            if control is not None:
                self._surface.set_value(instance, name, control.clamp(value))
                self.n_moves += 1

    def _tell(self, wanted: set[str]) -> None:
        """Tell all browsers what has changed, with pictures of the instances that are wanted."""
        self._n_told += 1
        needs_all = self._hub.needs_all
        is_full = needs_all or self._n_told % METERS_EVERY == 0
        now = shown(self._surface, None if is_full else self._told)
        self._performance.attend(now["values"], self._position_s())
        if is_full:
            now["performance"] = self._performance.told()
            now["saved_timbres"] = self._library.told()
            now["heard"] = {name: self._heard.chances(name) for name in now["instances"]}
            now["answers"] = {**self._surface.requests.answers}
            self._heard.keep(wanted)
            self._makers = {name: m for name, m in self._makers.items() if name in wanted}
        if self.player is not None:
            now["player"] = dict(self.player.state())
        news = changes(self._told, now)
        self._told = now
        everything = json.dumps({**FIXED, **now}) if needs_all else ""
        text = json.dumps(news) if news else ""
        pictures = {i: p for i in wanted if (p := self._picture(i))}
        self._pace.saw(is_news=bool(news or pictures))
        if not (news or everything or pictures):
            return
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._hub.deliver, text, everything, pictures)

    def _is_idle(self) -> bool:
        """Return whether nobody looks, and nothing is recorded."""
        return not self._hub.n_clients and not self._performance.runs

    def _position_s(self) -> float | None:
        return self.player.position_s if self.player is not None else None

    def _picture(self, instance: str) -> bytes:
        """Return the picture of an instance; empty if no sound has come since the last one."""
        sound = self._surface.sound(instance)
        if sound is None or self._drawn.get(instance) == sound.end:
            return b""
        self._drawn[instance] = sound.end
        if encoder := self._surface.timbres(instance).get("encoder"):
            self._heard.take(instance, encoder, sound)
        key, maker = (sound.sample_rate, sound.mixture.shape[1]), self._makers.get(instance)
        if maker is None or (maker.rate_hz, maker.samples) != key:
            maker = self._makers[instance] = PictureMaker(*key)
        return maker(sound)

    def _wake(self) -> None:
        if not self._is_rung:
            with contextlib.suppress(OSError):  # it has just ended
                self._ringer.send(b"!")
            self._is_rung = True

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self._server.serve(sockets=[self._listener])

        try:
            asyncio.run(serve())
        except Exception as error:
            self._report(f"the panel has ended by itself: {type(error).__name__}: {error}")
