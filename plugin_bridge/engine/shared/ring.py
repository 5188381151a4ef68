"""The ring: memory that a plugin shares with its engine. `cpp/ring.h` describes the same bytes.

Every counter counts samples (or records) and never goes back; the index in a ring is the counter
modulo its capacity. Each field has one writer. `PROTOCOL.md` explains the protocol.

Ordering: numpy stores and loads of the counters are plain, which x86-64 keeps in the order of the
program; on other processors the interpreter's own work lies between them, which is no guarantee.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import stat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from realtime.errors import StemsteerError

MAGIC = b"STMRING\n"
VERSION = 2
HEADER_BYTES = 4096
CAPACITY = 32_768
RECORDS = 1024
VALUES = 16
INPUTS = 2
ORIGIN = 1 << 20
OUTPUTS = (2, 4)
HOST_RATES_HZ = (8_000, 768_000)
"""Lowest and highest sample rate of a plugin's host."""

RECORD = np.dtype(
    [
        ("position", "<u8"),
        ("samples", "<u4"),
        ("rolling", "<u4"),
        ("song_position", "<i8"),
        ("values", "<f4", (VALUES,)),
    ]
)
_FIELDS: dict[str, tuple[str, int]] = {  # name: (type, offset)
    "magic": ("S8", 0),
    "version": ("<u4", 8),
    "header_bytes": ("<u4", 12),
    "record_bytes": ("<u4", 16),
    "capacity": ("<u4", 20),
    "records": ("<u4", 24),
    "inputs": ("<u4", 28),
    "outputs": ("<u4", 32),
    "rate_hz": ("<f8", 40),
    "written": ("<u8", 64),
    "recorded": ("<u8", 72),
    "start": ("<u8", 80),
    "latency": ("<u4", 88),
    "block": ("<u4", 92),
    "offline": ("<u4", 96),
    "blocks": ("<u8", 104),
    "dropouts": ("<u8", 112),
    "input_bell": ("<u4", 128),
    "plugin_sleeps": ("<u4", 132),
    "from": ("<u8", 192),
    "done": ("<u8", 200),
    "jumps": ("<u8", 208),
    "hops": ("<u8", 216),
    "engine_pid": ("<u4", 224),
    "load": ("<f4", 228),
    "worst_hop_ms": ("<f4", 232),
    "separation": ("<f4", 236),
    "model_faults": ("<u8", 240),
    "output_bell": ("<u4", 256),
    "engine_sleeps": ("<u4", 260),
}
HEADER = np.dtype(
    {
        "names": list(_FIELDS),
        "formats": [kind for kind, _ in _FIELDS.values()],
        "offsets": [offset for _, offset in _FIELDS.values()],
        "itemsize": HEADER_BYTES,
    }
)
_CODES: dict[str, Literal["I", "Q", "f", "d"]] = {"<u4": "I", "<u8": "Q", "<f4": "f", "<f8": "d"}
_SIZES = {
    "version": VERSION,
    "header_bytes": HEADER_BYTES,
    "record_bytes": RECORD.itemsize,
    "capacity": CAPACITY,
    "records": RECORDS,
    "inputs": INPUTS,
}

_NEWER = "newer than this engine, which started before it was installed; restart the engine"
_OLDER = "older than this engine; run `stemsteer plugin install` and start the DAW anew"

_SYS_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


def ring_bytes(outputs: int) -> int:
    """Return the bytes of a ring with so many output channels."""
    return HEADER_BYTES + RECORDS * RECORD.itemsize + CAPACITY * 4 * (INPUTS + outputs)


def make_ring(rate_hz: float, outputs: int = 2) -> int:
    """Make a ring as the plugin does; return its file descriptor.

    Raises ValueError for a number of output channels that no plugin has.
    """
    if outputs not in OUTPUTS:
        raise ValueError(f"a ring has 2 or 4 output channels, not {outputs}")
    fd = os.memfd_create("stemsteer-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, ring_bytes(outputs))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    with mmap.mmap(fd, HEADER_BYTES) as memory:
        header = np.zeros(1, HEADER)
        for name, value in {**_SIZES, "magic": MAGIC, "outputs": outputs}.items():
            header[name] = value
        header["rate_hz"] = rate_hz
        header["written"] = header["start"] = ORIGIN
        memory[:] = header.tobytes()
    return fd


class SharedRing:
    """A mapped ring, used by both sides; `PROTOCOL.md` says who may write which field.

    Parameters
    ----------
    fd : file descriptor; it stays the caller's.

    Raises
    ------
    StemsteerError if it is not a whole ring of this version, not the user's own, or could be
    truncated while it is mapped.
    """

    def __init__(self, fd: int, *, writable: bool = True) -> None:
        _check_file(fd)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size, access=access)
        self._header: Any = np.frombuffer(self._memory, HEADER, 1)
        outputs = self._check_header()
        head = memoryview(self._memory)[:HEADER_BYTES]
        casts = {kind: head.cast(code) for kind, code in _CODES.items()}  # quicker than numpy
        self._fields: dict[str, tuple[Any, int]] = {
            name: (casts[kind], offset // np.dtype(kind).itemsize)
            for name, (kind, offset) in _FIELDS.items()
            if kind in casts
        }
        self._address = self._header.ctypes.data
        self.rate_hz = float(self._header["rate_hz"][0])
        self.outputs = outputs
        start = HEADER_BYTES
        self.records: Any = np.frombuffer(self._memory, RECORD, RECORDS, start)
        start += RECORDS * RECORD.itemsize
        self.input: NDArray[np.float32] = np.frombuffer(
            self._memory, np.float32, CAPACITY * INPUTS, start
        ).reshape(CAPACITY, INPUTS)
        start += self.input.nbytes
        self.output: NDArray[np.float32] = np.frombuffer(
            self._memory, np.float32, CAPACITY * outputs, start
        ).reshape(CAPACITY, outputs)

    def _check_header(self) -> int:
        header = self._header[0]
        if header["magic"] != MAGIC.rstrip(b"\0"):
            raise StemsteerError("the ring does not begin as a ring: not made by Stemsteer")
        for name, expected in _SIZES.items():
            if header[name] != expected:
                raise StemsteerError(
                    f"the ring's {name} is {header[name]}, this engine expects {expected}: the "
                    f"plugin is {_NEWER if header['version'] > VERSION else _OLDER}"
                )
        outputs = int(header["outputs"])
        if outputs not in OUTPUTS or len(self._memory) != ring_bytes(outputs):
            raise StemsteerError(f"the ring has {len(self._memory)} bytes and {outputs} outputs")
        if not HOST_RATES_HZ[0] <= header["rate_hz"] <= HOST_RATES_HZ[1]:  # also false for NaN
            raise StemsteerError(f"the ring's sample rate is {header['rate_hz']} Hz")
        return outputs

    def __getitem__(self, name: str) -> Any:
        """Return the value of a header field now."""
        view, index = self._fields[name]
        return view[index]

    def __setitem__(self, name: str, value: float) -> None:
        view, index = self._fields[name]
        view[index] = value

    def read(self, rows: NDArray[np.float32], position: int, samples: int) -> NDArray[np.float32]:
        """Return `samples` rows of `input` or `output` from `position` on: (channels, samples)."""
        first = position % CAPACITY
        part = rows[first : first + samples]
        if len(part) < samples:
            part = np.concatenate([part, rows[: samples - len(part)]])
        return np.ascontiguousarray(part.T)

    def write(self, rows: NDArray[np.float32], position: int, audio: NDArray[np.float32]) -> None:
        """Copy `audio` (channels, samples) to `input` or `output` from `position` on."""
        first, samples = position % CAPACITY, audio.shape[1]
        head = min(samples, CAPACITY - first)
        rows[first : first + head] = audio[:, :head].T
        rows[: samples - head] = audio[:, head:].T

    def wait_futex(
        self, bell: str, flag: str, seen: int, timeout_s: float, *, engine_pid: int = 0
    ) -> None:
        """Sleep until the bell, a futex word, is no longer `seen`, or the time is over.

        Read the bell, check what you wait for, then call this: the kernel compares the bell again
        before it lets us sleep, so a wake-up between the two is not lost.

        Parameters
        ----------
        flag : field that tells the other side that somebody sleeps.
        engine_pid : process that sleeps; if it has lost the ring meanwhile, the flag is another's.
        """
        self[flag] = 1
        _futex(self._address + _FIELDS[bell][1], _FUTEX_WAIT, seen, timeout_s)
        if engine_pid in (0, self["engine_pid"]):
            self[flag] = 0

    def wake(self, bell: str) -> None:
        """Wake who sleeps on a bell without ringing it."""
        _futex(self._address + _FIELDS[bell][1], _FUTEX_WAKE, 1, None)

    def notify(self, bell: str, flag: str) -> None:
        """Count a bell up and wake who sleeps on it; without a sleeper no system call is made."""
        self[bell] = (self[bell] + 1) & 0xFFFFFFFF
        if self[flag]:
            _futex(self._address + _FIELDS[bell][1], _FUTEX_WAKE, 1, None)


def _check_file(fd: int) -> None:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StemsteerError("the ring is not a private file of this user: refused")
    if found.st_size not in {ring_bytes(outputs) for outputs in OUTPUTS}:
        raise StemsteerError(f"the ring has {found.st_size} bytes, which no ring has: refused")
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if not seals & fcntl.F_SEAL_SHRINK:
        raise StemsteerError("the ring is not sealed, it could be truncated while used: refused")


def _futex(address: int, operation: int, value: int, timeout_s: float | None) -> None:
    if _SYS_FUTEX is None:
        raise StemsteerError(f"no futex call is known for {platform.machine()}")
    timeout = None
    if timeout_s is not None:
        timeout = ctypes.byref(_Timespec(int(timeout_s), int(timeout_s % 1 * 1e9)))
    _libc.syscall(
        ctypes.c_long(_SYS_FUTEX),
        ctypes.c_void_p(address),
        ctypes.c_int(operation),
        ctypes.c_uint32(value),
        timeout,
        None,
        0,
    )
