"""A file as a decoder is to see it: some of its bytes left out, others put in their place."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

Piece = bytes | tuple[int, int]
"""Bytes of our own, or a range (start, stop) of the file."""
_CHUNK = 1 << 20


class ByteView(io.RawIOBase):
    """A read-only file made of pieces of another one, and of bytes of our own."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._file = file
        self._pieces = [piece for piece in pieces if _length(piece) > 0]
        self._ends = list(accumulate(_length(piece) for piece in self._pieces))
        self._position = 0

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill `buffer`; a disk that fails ends the file, since decoders take no exception."""
        into = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(into) and self._position < self.size:
            try:
                data = self._some(len(into) - done)
            except OSError:
                break
            if not data:  # the file is shorter than it was
                break
            into[done : done + len(data)] = data
            done += len(data)
            self._position += len(data)
        return done

    def _some(self, most: int) -> bytes:
        """Return bytes at the position, at most to the end of their piece."""
        index = bisect_right(self._ends, self._position)
        piece, end = self._pieces[index], self._ends[index]
        inside = self._position - (end - _length(piece))
        size = min(most, end - self._position)
        if isinstance(piece, bytes):
            return piece[inside : inside + size]
        self._file.seek(piece[0] + inside)
        return self._file.read(size)

    def at(self, position: int, size: int) -> bytes:
        """Return `size` bytes at a position, fewer at the end."""
        self.seek(position)
        return self.read(size) or b""

    def find(self, pattern: bytes, start: int, stop: int | None = None) -> int:
        """Return the first position of `pattern` in [start, stop), or −1."""
        return next(self.find_all(pattern, start, stop), -1)

    def find_all(self, pattern: bytes, start: int, stop: int | None = None) -> Iterator[int]:
        """Yield every position of `pattern` in [start, stop)."""
        stop = self.size if stop is None else min(stop, self.size)
        while start < stop:
            chunk = self.at(start, min(_CHUNK, stop - start))
            found = chunk.find(pattern)
            while found >= 0:
                yield start + found
                found = chunk.find(pattern, found + 1)
            if len(chunk) < _CHUNK:
                return
            start += len(chunk) - len(pattern) + 1  # a match may begin in one and end in the next

    def part(self, start: int, stop: int) -> list[Piece]:
        """Return the pieces that make up the bytes [start, stop)."""
        pieces: list[Piece] = []
        for piece, end in zip(self._pieces, self._ends, strict=True):
            first = end - _length(piece)
            low, high = max(start, first) - first, min(stop, end) - first
            if low < high and isinstance(piece, bytes):
                pieces.append(piece[low:high])
            elif low < high:
                pieces.append((piece[0] + low, piece[0] + high))
        return pieces

    def view(self, pieces: Sequence[Piece]) -> ByteView:
        """Return a view of the same file, of pieces as `part` gives them."""
        return ByteView(self._file, pieces)


@dataclass(frozen=True)
class Segment:
    """A stretch of a file that a decoder takes for a file of its own.

    Parameters
    ----------
    view : with a header that tells the length that is there.
    missing : why it is not whole, in words; empty if it is.
    n_samples : how many samples of each channel there are, if that is known without a decoder.
    has_lead_in : what the decoder gives more than that stands in front of them.
    is_foreign : it begins as no format that libsndfile is for.
    time_reference : sample of a timeline on which it begins, as broadcast WAV files tell it.
    """

    view: ByteView
    missing: str = ""
    n_samples: int | None = None
    has_lead_in: bool = False
    is_foreign: bool = False
    time_reference: int = 0


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
