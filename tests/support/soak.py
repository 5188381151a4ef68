"""How much a fuzzer does: a tenth in the suite, all of it by `sh build/soak.sh`."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

VARIABLE = "STEMSTEER_SOAK"
INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def is_soak() -> bool:
    """Whether the machine is there for these tests alone, and they run to their full length."""
    return bool(os.environ.get(VARIABLE))


def rounds(full: int) -> int:
    """Of so many rounds, how many this run does."""
    return full if is_soak() else full // 10


def mutated(data: bytes, random: Random, others: tuple[bytes, ...] = ()) -> bytes:
    """Damage: bytes changed, numbers replaced, parts cut out, doubled, or taken from others."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if not out:
            break
        head = min(len(out), 256)
        at = random.randrange(head if random.random() < 0.7 else len(out))
        kind = random.randrange(7)
        size = random.choice((1, 2, 4, 8, 60, 500))
        if kind == 0:
            out[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            out[at] = random.randrange(256)
        elif kind == 2:
            number = random.choice(INTERESTING).to_bytes(4, random.choice(("big", "little")))
            out[at : at + 4] = number
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            out[at:at] = out[at : at + size]
        elif kind == 5:
            del out[random.randrange(len(out)) :]
        elif others:
            other = random.choice(others)
            start = random.randrange(max(1, len(other)))
            out[at : at + size] = other[start : start + size]
    return bytes(out)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def memory_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
