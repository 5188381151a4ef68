"""`stemsteer serve` and `stemsteer status`: the engine that plugins talk to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.console import say, warn
from plugin_bridge.cli.options import PORT_HELP, AsJson, ListenOptions, refuse_given
from plugin_bridge.cli.osc import osc_server
from plugin_bridge.cli.panel import engine_panel
from plugin_bridge.cli.panel_options import BesidePanelOptions
from plugin_bridge.cli.targets import read_lanes
from plugin_bridge.control.text import printable

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation

DEFAULT_MODEL = "panorama"


@dataclasses.dataclass(frozen=True)
class EngineListenOptions(ListenOptions):
    """As `ListenOptions`; the engine has other ports, so this one says whose it is."""

    port: Annotated[int, typer.Option("--osc-port", min=0, max=65_535, help=PORT_HELP)] = 9900


def serve(
    listen: EngineListenOptions,
    shown: BesidePanelOptions,
    model: Annotated[
        str, typer.Option(help="Model of the plugins that ask for none: a name or a path.")
    ] = DEFAULT_MODEL,
    automation: Annotated[
        Path | None,
        typer.Option(help="File of lanes that follow the host's song, by the tracks' names."),
    ] = None,
    osc: Annotated[bool, typer.Option("--osc/--no-osc", help="Listen for OSC.")] = False,
) -> None:
    """Run the engine for the plugins on this machine; stop it with Ctrl-C."""
    from plugin_bridge.engine.daemon.daemon import serve as run
    from plugin_bridge.engine.daemon.instances import InstanceSurface
    from plugin_bridge.timbre.service import TimbreService
    from realtime import find_model

    if not osc:
        refuse_given(listen, "it is for OSC: give --osc, too")
    folder = find_model(model).parent  # what is wrong is told here, not to every plugin
    if automation:
        _say_whom(automation, read_lanes(automation, 44_100))
    surface = InstanceSurface()
    with contextlib.ExitStack() as stack:
        stack.callback(TimbreService(surface, _report, folder).stop)
        if osc:
            stack.enter_context(osc_server(surface, listen))
        if shown.panel:
            settings = dataclasses.replace(shown.settings(), models_folder=folder)
            stack.enter_context(engine_panel(settings, shown.panel_open))
        run(model, surface, automation)


def _say_whom(path: Path, lanes: Automation) -> None:
    """Say which tracks lanes move: the plugins on them may come later, or never."""
    from plugin_bridge.automation import ALL
    from realtime.separator import RESIDUAL

    moved = {target for target, control in lanes.lanes if "/" not in control} - {RESIDUAL}
    if moved:
        tracks = ", ".join("every track" if name == ALL else name for name in sorted(moved))
        say(f"{path} moves {tracks}; `stemsteer status` shows how tracks are called", err=True)
    if any("/" in control or target == RESIDUAL for target, control in lanes.lanes):
        warn(f"{path}: lanes of the residual and of plugins on stems move nothing on a track")


def _report(words: str) -> None:
    """Tell what became of a timbre that was asked for, and keep it in the engine's log."""
    told = printable(words)  # it comes by OSC: nobody is to forge lines of the log by it
    logging.getLogger("stemsteer.engine").info("%s", told)
    typer.echo(f"stemsteer: {told}", err=True)


def status(as_json: AsJson = False) -> None:
    """Say what the engine is doing: every plugin instance with its load and dropouts."""
    from plugin_bridge.engine.client import ask_status

    answer = ask_status()
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        say(_describe(answer))


def _describe(answer: dict[str, Any]) -> str:
    lines = [
        f"engine {answer['pid']}, up {answer['running_s']:.0f} s, model {answer['model']}, "
        f"{len(answer['instances'])} instances"
    ]
    if answer["instances"]:
        lines.append(
            f"{'track':16} {'host':12} {'format':6} {'model':10} {'rate':>6} {'block':>5} "
            f"{'latency':>7} {'load':>5} {'dropouts':>8} {'worst hop':>12}  sound"
        )
    for i in answer["instances"]:
        lines.append(
            f"{printable(i['name']):16.16} {printable(i['host']):12.12} {i['format']:6} "
            f"{printable(i['model'] or answer['model']):10.10} {i['rate_hz']:6d} {i['block']:5d} "
            f"{i['latency']:7d} {i['load']:5.1%} {i['dropouts']:8d} {i['worst_hop_ms']:9.1f} ms  "
            f"{_sound(i)}"
        )
    return "\n".join(lines)


def _sound(instance: dict[str, Any]) -> str:
    """Return what the sound of a track is: its instrument, and its examples."""
    from plugin_bridge.control.timbre_morph import counting

    timbres = instance["timbres"]
    words = [instance["instrument"]]
    words += [f"{slot} {timbres[slot]}" for slot in ("like", "unlike") if timbres[slot]]
    if instance["instrument"] != "any" and timbres["like"]:
        words.append(counting(instance["timbre_morph"]))
    if fault := instance.get("timbre_fault"):
        words.append(f"({fault})")
    if faults := instance["model_faults"]:
        words.append(f"({faults} times the model gave no mask or no activity)")
    return printable(", ".join(filter(None, words)))
