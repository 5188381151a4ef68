"""The engine's socket: one engine a socket, for one user alone."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from pathlib import Path

from plugin_bridge.paths import open_private
from realtime.errors import StemsteerError

MAX_PENDING_PEERS = 32


def lock_for(path: Path) -> int:
    """Take the lock beside the socket; return its file descriptor.

    Raises StemsteerError if another engine has it.
    """
    lock = path.with_suffix(".lock")
    if lock == path:
        raise StemsteerError(f"{path}: expected a socket that does not end in .lock")
    fd = open_private(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StemsteerError(
            f"an engine is listening on {path} already: see `stemsteer status`"
        ) from None
    return fd


def listen(path: Path) -> socket.socket:
    """Return the socket, open for this user alone; `lock_for` has been called for it.

    Raises StemsteerError if it cannot be made.
    """
    remove_socket(path)  # of an engine that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise StemsteerError(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(mask)
    listener.listen(MAX_PENDING_PEERS)
    listener.setblocking(False)
    return listener


def remove_socket(path: Path) -> None:
    """Remove a socket of this user. Raises StemsteerError for anything else in its place."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise StemsteerError(
            f"{path} is no socket of yours: it is left alone; name another with STEMSTEER_SOCKET"
        )
    path.unlink()


def peer_ids(peer: socket.socket) -> tuple[int, int]:
    """Return the ids of the process and of the user at the other end, as the kernel knows them.

    That of the process is 0 where it cannot be seen from here, as one outside of our sandbox.
    """
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return int(pid), int(uid)
