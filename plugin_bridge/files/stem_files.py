"""The files of a separation: they appear together, when all of them are complete, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.files.audio_reader import BITS, AudioReader
from plugin_bridge.files.audio_writer import AudioWriter, NoRoomError, SampleFormat
from realtime.arrays import Audio
from realtime.atomic import leftovers, name_anew, remove_leftovers
from realtime.errors import StemsteerError

Naming = Callable[[Mapping[Path, Path]], None]
"""Told the complete files, by the names that they are about to have."""


class StemFiles:
    """Files of stems being written, under hidden names beside their own until all are complete.

    What is left of the mixture goes to the stem named last, as *mixture − what stands in the
    other files*: integer files sum to an integer mixture exactly, to the last bit.

    Parameters
    ----------
    paths : file of each stem; the last one takes what is left.
    source : the mixture; its rate, channels and length are those of the stems.
    force : replace files that are there.
    naming : is called before the first file has its name.

    Raises
    ------
    StemsteerError if a file is there already or is the input, or if the folder has no room; from
    `finish`, if a file has appeared meanwhile, or the folder is gone: then none is left.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        source: AudioReader,
        sample_format: SampleFormat,
        *,
        force: bool = False,
        naming: Naming = lambda hidden: None,
    ) -> None:
        folder = next(iter(paths.values())).parent
        self._made = _make_folder(folder)
        self._force, self._naming = force, naming
        self._paths = dict(paths)
        self._rest_dtype = _exact_dtype(source, sample_format, len(paths) - 1)
        self.writers: dict[str, AudioWriter] = {}
        try:
            _clean_up(paths.values())
            for path in paths.values():
                check_writable(path, source.path, force)
            _check_room(folder, source, sample_format, len(paths))
            for stem, path in paths.items():
                hidden = path.with_name(f".{path.name}.{os.getpid()}.part")
                hidden.unlink(missing_ok=True)  # of a killed process that had our number
                self.writers[stem] = AudioWriter(
                    hidden, source.sample_rate, source.channels, sample_format, source.n_samples
                )
        except BaseException:
            self.discard()
            raise

    def write(self, mixture: Audio, targets: NDArray[np.float32]) -> None:
        """Append a block (channels, n) of the mixture and of the targets (stems, channels, n)."""
        *others, last = self.writers.values()
        rest: NDArray[np.floating] = mixture.astype(self._rest_dtype)
        for writer, block in zip(others, targets, strict=True):
            rest -= writer.write(block)
        last.write(rest)

    def write_each(self, stems: Sequence[Audio]) -> None:
        """Append a block (channels, n) of every stem, the last one too, as it is."""
        for writer, block in zip(self.writers.values(), stems, strict=True):
            writer.write(block)

    @property
    def n_samples(self) -> int:
        """Return how many samples of each channel are written so far."""
        return next(iter(self.writers.values())).n_samples

    def finish(self) -> None:
        """Complete all files, then give them their names: all of them, or none.

        Where files are replaced by links, each name is that of a whole file at any time.
        """
        for writer in self.writers.values():
            writer.close()
        self._naming({path: self.writers[stem].path for stem, path in self._paths.items()})
        begun: list[tuple[Path, Path]] = []
        try:
            for stem, path in self._paths.items():
                begun.append((self.writers[stem].path, path))
                _name_file(*begun[-1], self._force)
        except BaseException as error:
            for hidden, named in reversed(begun):
                _take_back(hidden, named)
            if not isinstance(error, OSError):
                raise
            reason = (error.strerror or str(error)).lower()
            raise StemsteerError(
                f"{path} cannot be written ({reason}): it changed while the stems were made, and "
                "no stem is left; choose another folder with --out, or replace it with --force"
            ) from error
        for hidden, _ in begun:
            _kept(hidden).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was written, and the folders that were made for it."""
        for writer in self.writers.values():
            writer.discard()
        for folder in self._made:
            with contextlib.suppress(OSError):  # it is gone, or something else is in it
                folder.rmdir()

    def __enter__(self) -> StemFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.discard()


def _exact_dtype(
    source: AudioReader, sample_format: SampleFormat, others: int
) -> type[np.float32 | np.float64]:
    """Return the quicker floating point in which the mixture minus `others` stems is exact.

    Integers of b bits are multiples of 2^(1 − b) up to 1, their differences up to 1 + others:
    float32 holds them where b − 1 bits and those of 1 + others are not more than its 24.
    """
    bits, own = sample_format.bits or 64, BITS.get(source.subtype, 64)
    fits = bits - 1 + others.bit_length() <= 24
    return np.float32 if own <= bits and fits else np.float64


def _name_file(hidden: Path, path: Path, force: bool) -> None:
    """Give a complete file its name; an older file of that name is kept beside it.

    Raises OSError if the name is taken: without `force` by anything, with it by a folder.
    """
    if not force:
        name_anew(hidden, path)
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if path.exists():
        try:
            os.link(path, _kept(hidden))  # it has its name until the new one takes it
        except OSError:  # a file system without links
            os.replace(path, _kept(hidden))
    os.replace(hidden, path)


def _kept(hidden: Path) -> Path:
    """Return where the file is kept whose name a hidden one takes."""
    return hidden.with_suffix(".old")


def _take_back(hidden: Path, path: Path) -> None:
    """Undo `_name_file`, however far it came, as far as the folder is still there.

    What it has done is read from the disk: an interruption may fall between any two steps.
    """
    kept = _kept(hidden)
    with contextlib.suppress(OSError):
        if kept.exists():
            _put_back(kept, path)
        elif not hidden.exists() or path.samefile(hidden):
            path.unlink(missing_ok=True)


def _put_back(kept: Path, path: Path) -> None:
    os.replace(kept, path)
    kept.unlink(missing_ok=True)  # two links to one file are left as they are


def _clean_up(paths: Collection[Path]) -> None:
    """Remove what killed processes left of files; older ones are back unless all were replaced."""
    for path in paths:
        for kept, pid in leftovers(path, "old"):
            with contextlib.suppress(OSError):
                if any(path.parent.glob(f".*.{pid}.part")):  # one had no name yet
                    _put_back(kept, path)
                else:
                    kept.unlink()
    for path in paths:
        remove_leftovers(path)


def check_writable(path: Path, source: Path, force: bool) -> None:
    """Raise StemsteerError if `path` is `source`, a folder, or there already without `force`."""
    if path.exists() and path.samefile(source):
        raise StemsteerError(f"{path} is the input itself; choose another place")
    if path.is_dir():
        raise StemsteerError(f"{path} is a folder; expected room for a file of that name")
    if path.exists() and not force:
        raise StemsteerError(
            f"{path} is there already; replace it with --force, or choose another place"
        )


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, and return the new ones, the innermost first."""
    # of a name that is too long `Path.exists` raises
    new = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StemsteerError(
            f"the folder {folder} cannot be made ({reason}); choose another with --out"
        ) from error
    return new


def _check_room(folder: Path, source: AudioReader, sample_format: SampleFormat, files: int) -> None:
    """Raise NoRoomError if WAV files do not fit; how long FLAC files will be is not known."""
    need = files * source.n_samples * source.channels * sample_format.bytes_per_sample
    free = shutil.disk_usage(folder).free
    if sample_format.container == "wav" and need > free:
        raise NoRoomError(
            f"{folder} has {free / 1e6:.0f} MB of room, the stems need {need / 1e6:.0f} MB; "
            "make room, choose another folder with --out, or take --format flac"
        )
