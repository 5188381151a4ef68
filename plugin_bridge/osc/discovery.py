"""Announce OSCQuery by zeroconf (DNS-SD), so that controllers find it in their lists."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator

from realtime.errors import StemsteerError

SERVICE = "_oscjson._tcp.local."


@contextlib.contextmanager
def advertise(host: str, port: int) -> Iterator[None]:
    """Announce what answers OSCQuery on TCP at an address, in the network of that address alone.

    Raises StemsteerError if the package is missing, or the network does not take it.
    """
    try:
        import zeroconf
    except ImportError:
        raise StemsteerError(
            "--announce needs the package zeroconf: pip install 'stemsteer[discovery]'"
        ) from None
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise StemsteerError(f"--announce needs an address for --bind, not {host!r}") from None
    everywhere = address.is_unspecified
    found = zeroconf.get_all_addresses() if everywhere else [str(address)]
    info = zeroconf.ServiceInfo(
        SERVICE,
        f"Stemsteer {port}.{SERVICE}",
        port=port,
        parsed_addresses=list(found),
        server=f"stemsteer-{port}.local.",
    )
    interfaces = zeroconf.InterfaceChoice.All if everywhere else [str(address)]
    try:
        network = zeroconf.Zeroconf(interfaces=interfaces)
    except OSError as error:
        raise StemsteerError(f"cannot announce on {host}: {error}; leave --announce out") from error
    try:
        network.register_service(info, allow_name_change=True)
        yield
    finally:
        network.close()
