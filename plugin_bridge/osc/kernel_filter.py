"""Have the kernel drop packets of certain senders before they take room in the socket's queue.

A flood fills the queue of a socket faster than any program reads it, and what is lost then is
anybody's. Linux lets every program give a socket a filter, in the classic Berkeley packet filter
(BSD Packet Filter; McCanne and Jacobson 1993); elsewhere nothing is done, and the flood is read.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Collection, Iterator

from plugin_bridge.osc.rate_limit import Address

MAX_DROPPED = 32
_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
_LOAD_HALF, _LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x28, 0x20, 0x15, 0x06
_NETWORK = 0xFFF00000  # SKF_NET_OFF: offsets from here on count in the IP header
_IPV4_SOURCE, _IPV6_SOURCE_END = 12, 20
_PASS, _DROP = 0xFFFFFFFF, 0
Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand


def drop_senders(listener: socket.socket, senders: Collection[Address]) -> bool:
    """Drop the packets of at most `MAX_DROPPED` senders, and of no others; return whether it does.

    With no senders everything passes again.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        if not senders:
            listener.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
            return True
        program = [*_instructions(list(senders)[:MAX_DROPPED]), (_RETURN, 0, 0, _PASS)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
        header = struct.pack("HP", len(program), ctypes.addressof(code))  # struct sock_fprog
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH, header)
    except OSError:
        return False  # the system does not let us
    return True


def _instructions(senders: Collection[Address]) -> Iterator[Instruction]:
    """Yield for each sender: if its port and the end of its address are the packet's, drop it.

    A UDP packet begins with its source port where the filter counts from.
    """
    for host, port in senders:
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else address
        place = _IPV6_SOURCE_END if mapped is None else _IPV4_SOURCE
        yield _LOAD_HALF, 0, 0, 0
        yield _JUMP_IF_EQUAL, 0, 3, port
        yield _LOAD_WORD, 0, 0, _NETWORK + place
        yield _JUMP_IF_EQUAL, 0, 1, int(mapped or address) & 0xFFFFFFFF
        yield _RETURN, 0, 0, _DROP
