"""OSC with its description over HTTP and its announcement, as one server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.discovery import advertise
from plugin_bridge.osc.oscquery import PortTakenError, QueryServer
from plugin_bridge.osc.server import DEFAULT_PORT, OscServer

MORE_TRIES = 20
"""So often another free port is taken where its number is free for UDP alone."""


@dataclass(frozen=True)
class OscOptions:
    """How to listen; see `OscServer`."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    allowed: tuple[str, ...] = ()
    strict: bool = False
    mirrored: bool = False
    announce: bool = False

    def open(self, surface: ControlSurface, report: Report) -> OscService:
        """Return the service, which listens already.

        Raises StemsteerError if a port is taken, ValueError for options that are none.
        """
        for _ in range(MORE_TRIES if self.port == 0 else 0):
            with contextlib.suppress(PortTakenError):
                return OscService(surface, self, report)
        return OscService(surface, self, report)


class OscService(OscServer):
    """An `OscServer` that OSCQuery describes on the TCP port of the same number."""

    def __init__(self, surface: ControlSurface, options: OscOptions, report: Report) -> None:
        super().__init__(
            surface,
            host=options.host,
            port=options.port,
            allowed=options.allowed,
            strict=options.strict,
            mirrored=options.mirrored,
            report=report,
        )
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as opened:
            opened.callback(super().stop)
            opened.enter_context(QueryServer(self, surface, self.port))
            if options.announce:
                opened.enter_context(advertise(self.host, self.port))
            self._stack = opened.pop_all()

    def stop(self) -> None:
        """Release both ports."""
        self._stack.close()
