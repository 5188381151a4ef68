"""Folders and sockets of the user: runtime, configuration, state and data."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from realtime.errors import StemsteerError

SOCKET_VARIABLE = "STEMSTEER_SOCKET"
AUTOSTART_VARIABLE = "STEMSTEER_AUTOSTART"


def runtime_folder() -> Path:
    """Return the folder of sockets, private to the user; make it if need be.

    Raises StemsteerError if another user owns it or may enter it.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(given) / "stemsteer" if given else Path(f"/tmp/stemsteer-{os.getuid()}")
    _make_private(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StemsteerError(
            f"{folder} is not a folder of yours alone (owner {found.st_uid}, "
            f"mode {stat.S_IMODE(found.st_mode):o}): remove it, or run `chmod 700 {folder}`"
        )
    return folder


def engine_socket() -> Path:
    """Return the path of the engine's socket: STEMSTEER_SOCKET, or in `runtime_folder`."""
    given = os.environ.get(SOCKET_VARIABLE)
    return Path(given).absolute() if given else runtime_folder() / "engine.sock"


def config_folder() -> Path:
    """Return the user's configuration folder of Stemsteer; it is not made."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "stemsteer"


def autostart_file() -> Path:
    """Return the file of the command by which a plugin starts the engine, one argument a line."""
    given = os.environ.get(AUTOSTART_VARIABLE)
    return Path(given) if given else config_folder() / "autostart"


def state_folder() -> Path:
    """Return the folder of logs; make it if need be."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = state / "stemsteer"
    _make_private(folder)
    return folder


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file of ours, made for its user alone whatever the umask; return its descriptor.

    Fits the parameter `opener` of `open`. A link in its place is not followed.
    """
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(fd).st_uid == os.geteuid():
        os.fchmod(fd, 0o600)
    return fd


def _make_private(folder: Path) -> None:
    """Make a folder for its user alone, whatever the umask; one that is there stays as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(0o700)
