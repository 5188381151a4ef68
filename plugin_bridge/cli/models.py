"""`stemsteer models`: what there is to choose from, and what can be added."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.console import LONGEST, print_table, say_json, warn
from plugin_bridge.control.text import printable

if TYPE_CHECKING:
    from plugin_bridge.model_library import InstalledModel
    from realtime import ModelSpec

HEADINGS = ("file", "tiers (latency)", "taken by", "what")


models = typer.Typer(invoke_without_command=True)


@models.callback()
def listed(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the models on this machine; or add, remove or describe one."""
    if context.invoked_subcommand:
        return
    from plugin_bridge.model_library import found_models

    found, pictures = found_models(), _picture_models()
    if as_json:
        say_json([*map(_described, found), *pictures])
        return
    print_table(HEADINGS, [*map(_cells, found), *map(_picture_cells, pictures)])


@models.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="spleeter: vocals out of a finished mix; efficientnet-lite0: for --picture. Or "
            "weights that you have, of Spleeter, Open-Unmix or X-UMX, a file or its folder; or a "
            "model file of ours.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Name for the model made of a file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
) -> None:
    """Make a model on this machine, of the weights that a package carries or that you have."""
    try:
        from plugin_bridge.conversion.install import add as run
        from plugin_bridge.conversion.install import add_file
        from plugin_bridge.conversion.sources import SOURCES
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise OSError(
            "adding models needs the package onnx: pip install 'stemsteer[models]'"
        ) from None
    is_there = Path(source).exists()
    if source not in SOURCES and (os.sep in source or Path(source).suffix or is_there):
        paths = add_file(Path(source), name=name, force=force)
    elif name is not None:
        raise typer.BadParameter(f"--name is for a model of a file; {source} has its own")
    else:
        if is_there:
            here = os.path.join(os.curdir, source)
            warn(f"{source} is added by its name; for weights in {here} give it as {here}")
        with _fetching(source) as progress:
            paths = run(source, force=force, progress=progress)
    for path in paths:
        typer.echo(f"wrote {path}")
    _tell_missing_encoders(paths)


def _tell_missing_encoders(paths: Iterable[Path]) -> None:
    """Warn of models that were added and whose encoder is not here: no example can be shown."""
    from plugin_bridge.model_library import missing_encoder

    for path in paths:
        if identity := missing_encoder(path):
            warn(
                f"{path.stem} takes no examples yet: its encoder {identity!r} is not here. Put it "
                "into encoders/ beside the file that is added, and add that again with --force"
            )


@models.command()
def remove(name: Annotated[str, typer.Argument(help="Name of a model that was added.")]) -> None:
    """Remove a model that was added."""
    from plugin_bridge.model_library import remove_model

    for path in remove_model(name):
        typer.echo(f"removed {path}")


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="Name or path of a model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a model: what it knows, its tiers, figures, licence and credit."""
    from plugin_bridge.model_library import installed_model

    for picture in _picture_models():
        if name == Path(picture["path"]).stem:
            described, rows = picture, _picture_shown(picture)
            break
    else:
        found = installed_model(name)
        described, rows = _described(found), _shown(found)
    if as_json:
        say_json(described)
        return
    for heading, text in rows:
        typer.echo(f"{heading:12} {printable(text, LONGEST)}")


@contextmanager
def _fetching(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much of a package is here, on a terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(),
        progress.DownloadColumn(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


def _shown(found: InstalledModel) -> list[tuple[str, str]]:
    """Return what is said of a model, heading and text."""
    spec = found.spec
    if spec is None:
        return [("file", str(found.path)), ("fault", found.fault)]
    figures = [
        f"{tier}: " + ", ".join(f"{name} {gain:+.1f} dB" for name, gain in gains.items())
        for tier, gains in spec.gains_db.items()
    ]
    tiers = [f"{tier} ({found.latency_ms(tier):.0f} ms)" for tier in spec.tiers]
    rows = [
        ("model", f"{spec.name}: {spec.description}"),
        ("file", f"{found.path}, {found.size_bytes / 1e6:.1f} MB"),
        ("tiers", ", ".join(tiers)),
        ("knows", ", ".join(_known(spec)) or "no instrument by name"),
        ("taken by", taken_by(spec)),
        ("measured", "; ".join(figures)),
        ("licence", spec.licence),
        *((key, _in_words(spec.training[key])) for key in ("credit", "package", "data")
          if key in spec.training),
    ]  # fmt: skip
    return [(heading, text) for heading, text in rows if text]


def _known(spec: ModelSpec) -> list[str]:
    """Return what a model can be asked for by name."""
    from plugin_bridge.control.target_conditions import known_instruments, own_names

    return [*known_instruments(spec), *own_names(spec)]


def taken_by(spec: ModelSpec) -> str:
    """Return how a sound is pointed at, in words."""
    ways = {"direction": "direction", "timbre": "instrument"}
    if spec.encoder:  # without one there are names alone
        ways |= {"timbre": "instrument, example", "against": "counter-example"}
    return ", ".join(way for name, way in ways.items() if name in spec.conditions) or (
        "its own sources"
    )


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _described(found: InstalledModel) -> dict[str, Any]:
    if found.spec is None:
        return {"path": str(found.path), "fault": found.fault}
    spec = found.spec
    return {
        "path": str(found.path),
        "name": spec.name,
        "tiers": {tier: round(found.latency_ms(tier), 1) for tier in spec.tiers},
        "conditions": sorted(spec.conditions),
        "targets": list(spec.targets),
        "size_bytes": found.size_bytes,
        "licence": spec.licence,
        "credit": spec.training.get("credit", ""),
        "knows": _known(spec),
        "gains_db": spec.gains_db,
        "description": spec.description,
    }


def _cells(found: InstalledModel) -> list[str]:
    if found.spec is None:
        return [found.path.stem, "", "", f"cannot be used: {found.fault}"]
    spec = found.spec
    return [
        found.path.stem,
        ", ".join(f"{tier} ({found.latency_ms(tier):.0f} ms)" for tier in spec.tiers),
        taken_by(spec),
        spec.description,
    ]


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1000:.0f} kB"


def _picture_models() -> list[dict[str, Any]]:
    """Return what there is to say of the network of pictures; nothing where it was not added."""
    from plugin_bridge.picture.spec import picture_model, read_picture_spec
    from realtime.errors import StemsteerError

    path = picture_model()
    if not path.is_file():
        return []
    try:
        spec = read_picture_spec(path)
    except StemsteerError as error:
        return [{"path": str(path), "fault": str(error)}]
    return [
        {
            "path": str(path),
            "name": spec.name,
            "size_bytes": path.stat().st_size,
            "licence": spec.licence,
            "credit": spec.credit,
            "description": spec.description,
        }
    ]


def _picture_cells(model: dict[str, Any]) -> list[str]:
    name = Path(model["path"]).stem
    if "fault" in model:
        return [name, "", "", f"cannot be used: {model['fault']}"]
    return [name, "", "picture", model["description"]]


def _picture_shown(model: dict[str, Any]) -> list[tuple[str, str]]:
    if "fault" in model:
        return [("file", model["path"]), ("fault", model["fault"])]
    return [
        ("model", f"{model['name']}: {model['description']}"),
        ("file", f"{model['path']}, {_size(model['size_bytes'])}"),
        ("taken by", "picture"),
        ("licence", model["licence"]),
        ("credit", model["credit"]),
    ]
