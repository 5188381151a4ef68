"""An HTTP server that strangers cannot hold, and web pages cannot ask.

A page of any site can send requests to this machine, and by a name of its own that points here
read the answers (DNS rebinding). So a request is answered only if it calls us by an address or by
the machine's own name, and comes from no page of elsewhere.
"""

from __future__ import annotations

import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from plugin_bridge.own_name import is_own_name

REQUEST_S = 5.0
"""Time for a whole request, and again for its answer."""
MAX_REQUEST_BYTES = 8192
MAX_CONNECTIONS = 16


class GuardedServer(ThreadingHTTPServer):
    """A server of a few connections at once; what goes wrong in one is that one's end.

    Parameters
    ----------
    allows : tells whether a host may ask.
    """

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        handler: type[BaseHTTPRequestHandler],
        allows: Callable[[str], bool],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._allows = allows
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server what we are called as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "stemsteer", int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._allows(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the client has left, or was too slow."""


class GuardedHandler(BaseHTTPRequestHandler):
    """Reads one request within its time; `is_trusted` tells whether to answer it."""

    server_version, sys_version = "Stemsteer", ""

    def setup(self) -> None:
        """Read the head of the request as a whole, for as long as a request may take."""
        super().setup()
        head, until_s = b"", time.monotonic() + REQUEST_S
        while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < MAX_REQUEST_BYTES:
            self.connection.settimeout(max(0.001, until_s - time.monotonic()))
            more = self.connection.recv(MAX_REQUEST_BYTES)
            if not more:
                break
            head += more
        self.rfile.close()
        self.rfile = io.BytesIO(head)
        self.connection.settimeout(REQUEST_S)  # of `sendall`: for all of the answer

    @property
    def is_trusted(self) -> bool:
        """Return whether a request calls us by an address or our name and is no foreign page's."""
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if host is not None and not is_own_name(host, self.connection.getsockname()[0]):
            return False
        return origin is None or origin == f"http://{host}"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
