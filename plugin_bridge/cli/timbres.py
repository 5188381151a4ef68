"""`stemsteer timbres`: the user's library of sounds by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import print_table, say, say_json
from plugin_bridge.cli.options import AsJson, Force

if TYPE_CHECKING:
    from plugin_bridge.timbre import TimbreLibrary
    from plugin_bridge.timbre.query import ExampleReport
    from realtime.encoder import OnnxEncoder

Name = Annotated[str, typer.Argument(help="Name of the timbre.")]
Examples = Annotated[
    list[str], typer.Argument(metavar="FILE[@START-END]...", help="Examples of the sound.")
]
Model = Annotated[
    str | None, typer.Option("--model", help="Model that the timbre is for.  \\[steer]")
]
timbres = typer.Typer(no_args_is_help=True, help="Sounds by name, for --like.")


@timbres.command("list")
def list_timbres(as_json: AsJson = False) -> None:
    """List the timbres of your library."""
    from plugin_bridge.timbre import TimbreLibrary

    library = TimbreLibrary()
    names = library.names()
    if as_json:
        say_json(names)
        return
    if not names:
        say("no timbres yet: stemsteer timbres add NAME FILE@START-END makes one")
        return
    print_table(("name", "encoder", "spread", "made of"), (_row(library, name) for name in names))


def _row(library: TimbreLibrary, name: str) -> tuple[str, ...]:
    """Return the cells of a timbre, or what is wrong with its file: one bad file ends no list."""
    from realtime.errors import StemsteerError

    try:
        one = library.load(name)
    except StemsteerError as error:
        return name, "", "", str(error)
    return name, one.encoder, f"{one.spread:.2f}", ", ".join(one.sources)


@timbres.command()
def add(name: Name, examples: Examples, model: Model = None, force: Force = False) -> None:
    """Keep what examples sound like under a name, for ever."""
    from plugin_bridge.timbre import TimbreLibrary
    from plugin_bridge.timbre.query import timbre_of

    library = TimbreLibrary()
    made = timbre_of(examples, _encoder(model), library)
    say(str(library.save(name, made, replace=force)))


@timbres.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Tell what a timbre is made of, and which instruments it is like."""
    from plugin_bridge.timbre import TimbreLibrary
    from plugin_bridge.timbre.query import nearest_classes

    one = TimbreLibrary().load(name)
    nearest = nearest_classes(one, _classes(one.encoder))
    if as_json:
        told = {"name": name, "encoder": one.encoder, "spread": one.spread}
        told |= {"sources": list(one.sources), "nearest": nearest}
        say_json(told)
        return
    say(f"{name}: by the encoder {one.encoder}, of {', '.join(one.sources) or 'unknown'}")
    say(f"spread of its examples {one.spread:.2f} (0: alike, 1: nothing in common)")
    if nearest:
        say(f"like {', '.join(f'{each} ({value:.2f})' for each, value in nearest)}")


@timbres.command()
def remove(name: Name) -> None:
    """Delete a timbre."""
    from plugin_bridge.timbre import TimbreLibrary

    TimbreLibrary().remove(name)


@timbres.command()
def check(
    example: Annotated[str, typer.Argument(metavar="FILE[@START-END]")],
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether an example is any good: length, silence, sounds in turn, what it is like."""
    from plugin_bridge.timbre.query import check_example

    encoder = _encoder(model)
    report = check_example(example, encoder, _classes(encoder.spec.encoder))
    if as_json:
        say_json(dataclasses.asdict(report))
    else:
        _print(report)


def _print(report: ExampleReport) -> None:
    say(
        f"{report.example}: {report.seconds:.2f} s, {report.silent:.0%} silent, level "
        f"{report.level_db:.0f} dB, spread of its pieces {report.spread:.2f}"
    )
    if report.nearest:
        like = ", ".join(f"{name} ({value:.2f})" for name, value in report.nearest)
        say(f"like {like}; the first is ahead by {report.sure:.2f}")
    for problem in report.problems:
        say(f"but {problem}")
    if not report.problems:
        say("a good example if it plays alone there: sounds at the same time are not told apart")


def _encoder(model: str | None) -> OnnxEncoder:
    """Load the encoder of a model, that of `steer` if none is named."""
    from realtime import load_model
    from realtime.encoder import encoder_of, load_encoder

    if model is None:
        return load_encoder()
    loaded = load_model(model)
    if not loaded.spec.encoder:
        raise typer.BadParameter(
            f"model {loaded.spec.name!r} takes no timbre of an example", param_hint="'--model'"
        )
    return encoder_of(loaded.spec.encoder, loaded.path.parent)


def _classes(encoder: str) -> dict[str, list[float]]:
    """Return the unit vectors of classes of a model here that was trained with an encoder."""
    from plugin_bridge.model_library import installed_specs

    for _, spec in installed_specs():
        if spec.encoder == encoder and spec.classes:
            return {name: list(vector) for name, vector in spec.classes.items()}
    return {}
