"""Whether a request over HTTP calls this machine by a name that no stranger can point to it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def is_own_name(authority: str, reached: str) -> bool:
    """Return whether ``host`` or ``host:port`` is an address, localhost, or this machine's name.

    No name server can point an address elsewhere, so any will do where we were reached from
    outside; `reached`, the address of ours, may be another one behind a router.
    """
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        own = socket.gethostname().lower()
        if host in ("localhost", own, f"{own}.local"):
            return True
        address = ipaddress.ip_address(host.partition("%")[0])
        return (
            address.is_loopback or not ipaddress.ip_address(reached.partition("%")[0]).is_loopback
        )
    except ValueError:
        return False
