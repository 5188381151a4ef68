"""Options that several commands share, and options that belong together as frozen dataclasses.

A command takes such a dataclass as one parameter; `grouped` spreads it into the options of its
fields, so that a command's signature stays as short as its meaning.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from plugin_bridge.osc.service import OscOptions

Input = Annotated[Path, typer.Argument(metavar="INPUT", help="Audio file, stereo or mono.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
PORT_HELP = "UDP port; the description is on TCP at the same number."


@dataclasses.dataclass(frozen=True)
class ListenOptions:
    """Where to listen for OSC, whom to listen to, and how to take what arrives."""

    port: Annotated[int, typer.Option(min=0, max=65_535, help=PORT_HELP)] = 9900
    bind: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines, too.")
    ] = "127.0.0.1"
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Address or network (192.168.1.0/24) that may send; again for more."),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse values out of range instead of clamping them.")
    ] = False
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Take left for right in the conventions of others.")
    ] = False
    announce: Annotated[
        bool,
        typer.Option("--announce", help="Announce OSCQuery by zeroconf, where --bind listens."),
    ] = False

    def settings(self) -> OscOptions:
        """Return them as the server of OSC takes them."""
        from plugin_bridge.osc.service import OscOptions

        return OscOptions(
            self.bind,
            self.port,
            tuple(self.allow or ()),
            self.strict,
            self.mirrored,
            self.announce,
        )


def refuse_given(group: Any, why: str, *, besides: Collection[str] = ()) -> None:
    """Raise BadParameter, which says why, for the first option of a group that is given.

    Parameters
    ----------
    group : a dataclass of options; one is given if it is not at its default.
    besides : fields that are left aside.
    """
    hints = typing.get_type_hints(type(group), include_extras=True)
    for field in dataclasses.fields(group):
        if field.name not in besides and getattr(group, field.name) != field.default:
            option = _option_name(field.name, hints[field.name])
            raise typer.BadParameter(why, param_hint=f"'{option}'")


def _option_name(name: str, hint: Any) -> str:
    """Return what the option of a field is called, as it is declared or as typer calls it."""
    (info,) = hint.__metadata__
    declared = [word for word in (info.default, *(info.param_decls or ())) if word is not ...]
    return str(declared[0]).partition("/")[0] if declared else f"--{name.replace('_', '-')}"


class OneFileCommand(TyperCommand):
    """A command that takes one file, and says what to do with several."""

    allow_extra_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        more = super().parse_args(ctx, args)
        if more:
            raise typer.BadParameter(
                f"{more[0]!r} is more than the one file that `stemsteer {ctx.info_name}` takes: "
                "put a name with spaces into quotes; `stemsteer catalogue FOLDER --out STEMS` "
                "renders many songs"
            )
        return more


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with each parameter that is a dataclass spread into its fields."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if _is_group(hint)}

    @functools.wraps(command)
    def spread(**values: Any) -> None:
        for name, group in groups.items():
            names = [field.name for field in dataclasses.fields(group)]
            values[name] = group(**{each: values.pop(each) for each in names})
        command(**values)

    parameters = list(_spread_parameters(command, hints))
    spread.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(spread)["__signature__"] = inspect.Signature(parameters)
    return spread


def _is_group(hint: Any) -> TypeGuard[type[Any]]:
    """Return whether a parameter is a dataclass of options."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _spread_parameters(
    command: Callable[..., None], hints: dict[str, Any]
) -> Iterator[inspect.Parameter]:
    """Yield the parameters of a command, those of its dataclasses in their places."""
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if not _is_group(hint):
            yield parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hint)
            continue
        of_fields = typing.get_type_hints(hint, include_extras=True)
        for field in dataclasses.fields(hint):
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=of_fields[field.name],
            )
