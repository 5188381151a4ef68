"""Build the command line that starts one of our own processes, from Python or a frozen application.

Code of the current folder is never run. ``python -m`` and ``python -c`` put that folder first on
the module path, and ``PYTHONPATH`` may name it, so a file ``json.py`` in a folder of downloads
would be imported. Here the interpreter runs this very file by its absolute path, isolated (``-I``:
neither the current folder nor ``PYTHON*`` variables count), and this file then runs the module.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import site
import sys
from collections.abc import Iterator, Sequence

RUN_MODULE = "--run-module"
"""First argument by which a frozen application is told to run one of its modules."""
END_WITH = "--end-with-parent"
USER_SITE = "--user-site"
_PR_SET_PDEATHSIG = 1
_LIBRARIES = "LD_LIBRARY_PATH"
_OF_FROZEN = (_LIBRARIES, "_PYI_")  # how the variables begin that PyInstaller's programs set


def own_process(module: str, *arguments: object, ends_with_parent: bool = False) -> list[str]:
    """Return the command line that runs `module`, or the ``__main__`` of a package.

    Parameters
    ----------
    ends_with_parent : kill the process when the thread that starts it ends, whatever it is doing
        (Linux only); else it has to notice by itself.
    """
    options = [END_WITH, str(os.getpid())] if ends_with_parent else []
    if is_frozen():
        start = [os.path.abspath(sys.executable), RUN_MODULE]
    else:
        start = [os.path.abspath(sys.executable), "-I", os.path.abspath(__file__)]
        options += [USER_SITE] if site.ENABLE_USER_SITE else []
    return [*start, *options, module, *map(str, arguments)]


def own_command(*words: object) -> list[str]:
    """Return the command line that runs the command `stemsteer` with some words."""
    if is_frozen():
        return [os.path.abspath(sys.executable), *map(str, words)]
    return own_process("plugin_bridge.cli", *words)


def ending_signals() -> list[signal.Signals]:
    """Return what asks a process to end: Ctrl-C, SIGTERM, and a terminal that closes.

    Under ``nohup`` the last of them is ignored, and stays so.
    """
    there = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
    return [one for one in there if one and signal.getsignal(one) != signal.SIG_IGN]


def is_frozen() -> bool:
    """Return whether this is the frozen application, which has no Python beside it."""
    return bool(getattr(sys, "frozen", False))


def frozen_folder() -> str | None:
    """Return the folder of what the frozen application carries; None from Python."""
    return str(getattr(sys, "_MEIPASS", "")) or None if is_frozen() else None


@contextlib.contextmanager
def users_environment() -> Iterator[None]:
    """Have programs of the system that are started meanwhile see the environment of the user.

    In the frozen application it names the folder of its own libraries, which may be older than
    those that the programs need.
    """
    ours: dict[str, str] = {}
    if is_frozen():
        ours = {name: os.environ[name] for name in os.environ if name.startswith(_OF_FROZEN)}
    given = ours.get(f"{_LIBRARIES}_ORIG")
    for name in ours:
        del os.environ[name]
    if given is not None:
        os.environ[_LIBRARIES] = given
    try:
        yield
    finally:
        if given is not None:
            del os.environ[_LIBRARIES]
        os.environ.update(ours)


def run_module(words: Sequence[str]) -> None:
    """Run what `own_process` has written after the interpreter: options, module, arguments."""
    words = list(words)
    if words[0] == END_WITH:
        _end_with(int(words[1]))
        del words[:2]
    if words[0] == USER_SITE:  # where `pip install --user` puts packages; -I leaves it out
        del words[0]
        site.addsitedir(site.getusersitepackages())
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked, and nobody will tell us
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if folder not in sys.path:  # a source tree; installed packages are found anyway
        sys.path.insert(0, folder)
    run_module(sys.argv[1:])
