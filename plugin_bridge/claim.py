"""The right to write a file for as long as a session lasts, which one process has at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from realtime.errors import StemsteerError, one_line


class Claim:
    """The right to write `path`, until `release` or the end of the process.

    It is a lock on an empty hidden file beside it, which the system takes from a process that is
    killed. Where there are no locks, as on Windows and some file systems, everybody has it.

    Raises
    ------
    StemsteerError if somebody else has it, the folder cannot be written to, or the name is too
    long for a hidden file beside it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(f".{path.name}.lock")
        try:
            self._fd: int | None = self._locked()
        except BlockingIOError:
            raise StemsteerError(
                f"{path} is being written by another `stemsteer`: wait for it, or choose another "
                "place"
            ) from None
        except OSError as error:
            raise unwritable(path, error) from error

    def release(self) -> None:
        """Let others write; once is enough."""
        fd, self._fd = self._fd, None
        if fd is not None:
            self._file.unlink(missing_ok=True)
            os.close(fd)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _locked(self) -> int:
        """Open and lock the hidden file, anew if its last owner has removed it meanwhile."""
        while True:
            fd = os.open(self._file, os.O_RDONLY | os.O_CREAT, 0o644)  # not inherited
            try:
                _lock(fd)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(fd), os.stat(self._file)):
                        return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def unwritable(path: Path, error: OSError) -> StemsteerError:
    """Return what is said of a file that cannot be made, in its folder or by its name."""
    if error.errno == errno.ENAMETOOLONG:  # that of the hidden file is longer than its own
        return StemsteerError(one_line(OSError(error.errno, error.strerror, str(path))))
    reason = (error.strerror or str(error)).lower()
    return StemsteerError(
        f"{path.parent} cannot be written to ({reason}); choose another folder that is there"
    )


def _lock(fd: int) -> None:
    """Lock an open file. Raises BlockingIOError if another has."""
    try:
        import fcntl  # which Windows does not have
    except ImportError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return
