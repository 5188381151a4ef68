"""Spleeter's own files, two, four or five stems: its checkpoints of TensorFlow as models of ours.

The networks stand one after the other; of each, layers are numbered through in the order in which
they were made: seven convolutions, six transposed ones and twelve batch norms.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.archive import Arrays
from plugin_bridge.conversion.budget import MAX_BYTES
from plugin_bridge.conversion.bundle import read_bundle
from plugin_bridge.conversion.spleeter import LEVELS, SLIDING, STEP, WINDOW
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec, Runs, Tier

SOURCES = {
    2: ("vocals", "accompaniment"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "piano", "drums", "bass", "other"),
}
"""In the order of Spleeter's configurations; the last of each is what remains."""
_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
          "running_var": "moving_variance"}  # fmt: skip
Writers = dict[str, Callable[[Path], None]]
_MOST_MEMBERS = 1000
_LONGEST_NAME = 1 << 16


def writers(index: Path, name: str) -> Writers:
    """Return what writes the models of a checkpoint, by the names of their files.

    Raises
    ------
    StemsteerError if it is not Spleeter's.
    """
    arrays = read_bundle(index)
    count = sum(key.endswith("/kernel") and "transpose" not in key for key in arrays) // 7
    if count not in SOURCES:
        raise StemsteerError(
            f"{index}: not Spleeter's: layers of {count} networks, expected 2, 4 or 5 stems"
        )
    networks = {
        source: spleeter.UNet(weights_of(arrays, place), elu=count > 2)
        for place, source in enumerate(SOURCES[count])
    }
    return writers_of_networks(networks, name)


def writers_of_networks(networks: Mapping[str, spleeter.UNet], name: str) -> Writers:
    """Return what writes the models of two, four or five networks, or of the singer's alone."""
    count = len(networks)
    convert = partial(spleeter.convert, softmax=count == 5)
    if count == 1:
        every = {**spleeter.LIVE_TIERS, **spleeter.OFFLINE_TIERS}
        return {name: lambda path: convert(networks, path, _spec(name, networks, every))}
    if count > 2:
        tiers = tiers_of(count)
        return {name: lambda path: convert(networks, path, _spec(name, networks, tiers))}
    vocals = {"vocals": networks["vocals"]}
    live, offline = (_spec(name, networks, tiers) for tiers in
                     (spleeter.LIVE_TIERS, spleeter.OFFLINE_TIERS))  # fmt: skip
    return {
        name: lambda path: convert(vocals, path, live),
        f"{name}-offline": lambda path: convert(networks, path, offline),
    }


def weights_of(arrays: Arrays, place: int) -> Arrays:
    """Return the weights of the network at a place, by the names of `spleeter.UNet`.

    TensorFlow's kernels are (rows, columns, in, out), transposed ones (rows, columns, out, in).
    """
    found: Arrays = {}

    def take(ours: str, kind: str, number: int, parts: Mapping[str, str]) -> None:
        theirs = f"{kind}_{number}" if number else kind
        for part, key in parts.items():
            array = arrays.get(f"{theirs}/{key}")
            if array is not None:
                found[f"{ours}.{part}"] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array

    kernel = {"weight": "kernel", "bias": "bias"}
    for level in range(LEVELS):
        take(f"down{level + 1}_conv.1", "conv2d", 7 * place + level, kernel)
        take(f"down{level + 1}_act.0", "batch_normalization", 12 * place + level, _PARTS)
        take(f"up{level + 1}.0", "conv2d_transpose", 6 * place + level, kernel)
        take(f"up{level + 1}.3", "batch_normalization", 12 * place + LEVELS + level, _PARTS)
    take("up7.0", "conv2d", 7 * place + LEVELS, kernel)
    return {key: np.ascontiguousarray(array) for key, array in found.items()}


def tiers_of(networks: int) -> dict[str, Tier]:
    """Return the tiers of several networks, each of which makes a run longer.

    They run every 35 ms times their number, and have 23 ms times it to do so.
    """
    ahead = 3 + 2 * networks
    runs = Runs(SLIDING, STEP, every=3 * networks, age=2 * networks - ahead, partial=2)
    return {"studio": Tier(WINDOW, 1024, 512, ahead, runs), **spleeter.OFFLINE_TIERS}


def _spec(name: str, networks: Mapping[str, object], tiers: Mapping[str, Tier]) -> ModelSpec:
    targets = tuple(networks)[:-1] or tuple(networks)
    return ModelSpec(
        name=name,
        tiers=tiers,
        conditions={},
        mask_axes="channels",
        bins=spleeter.BINS,
        targets=targets,
        description=f"Spleeter's {len(networks)} stems: {', '.join(targets)}, and the rest",
        licence="of the weights that were given",
        training={"credit": "Spleeter by R. Hennequin, A. Khlif, F. Voituret and M. Moussallam "
                  "(Deezer Research), JOSS 2020"},
    )  # fmt: skip


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Give the index of the checkpoint in an archive of Spleeter's (``4stems.tar.gz``), unpacked.

    Raises
    ------
    StemsteerError if it holds none, or more than a checkpoint can.
    """
    with tempfile.TemporaryDirectory() as place:
        try:
            with tarfile.open(archive, "r|*", tarinfo=_Header) as packed:
                for name, file in _checkpoint_files(packed, archive):
                    (Path(place) / name).write_bytes(file)
        except (tarfile.TarError, EOFError, ValueError, TypeError, RecursionError) as error:
            # by damage, all of these
            raise StemsteerError(
                f"{archive} cannot be unpacked ({error}), expected a whole archive of Spleeter's: "
                "download it again"
            ) from error
        index = Path(place) / "model.index"
        if not index.is_file():
            raise StemsteerError(f"{archive} holds no checkpoint: expected model.index in it")
        yield index


def _checkpoint_files(packed: tarfile.TarFile, archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a checkpoint in an archive, without the folders that they are in."""
    left = MAX_BYTES
    for count, member in enumerate(packed):
        left -= member.size
        if left < 0 or count == _MOST_MEMBERS:
            raise StemsteerError(
                f"{archive} holds more than {MAX_BYTES >> 30} GB or {_MOST_MEMBERS} files"
            )
        name = Path(member.name).name
        file = packed.extractfile(member) if member.isfile() else None
        if file is None or not name.startswith("model."):
            continue
        yield name, file.read()


class _Header(tarfile.TarInfo):
    """The header of a member, which has no more to say of the next one than its name.

    `tarfile` reads what else there may be, as records of PAX, into memory before anyone can see
    how long it is; here that is a member of a kind that is passed over.
    """

    def _proc_member(self, packed: tarfile.TarFile) -> tarfile.TarInfo:
        # of its methods the one by which every version of Python takes up a header
        names = self.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if self.size < 0 or (names and self.size > _LONGEST_NAME):
            raise ValueError(f"a header has the size {self.size}")
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) and not names:
            self.type = b"?"
        taken: tarfile.TarInfo = super()._proc_member(packed)  # type: ignore[misc]
        return taken
