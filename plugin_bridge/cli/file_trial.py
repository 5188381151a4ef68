"""A file that is tried in the panel: `panel FILE`, `render --panel` and `scan --panel`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.osc import wait_for_interrupt
from plugin_bridge.cli.panel_options import BesidePanelOptions, announce
from plugin_bridge.cli.sounds import SoundOptions, timbres_of
from plugin_bridge.cli.targets import TargetOptions, chosen

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.automation.live_lanes import LiveLanes
    from plugin_bridge.cli.render import RenderOptions
    from plugin_bridge.control.target import Target
    from plugin_bridge.live.session import LiveSession
    from plugin_bridge.panel.server import PanelOptions

HELD = ("azimuth", "width", "instrument", "strength", "timbre_morph")
"""Controls of what is taken; a stem is written as they are, and not at the level that is heard."""


@dataclasses.dataclass(frozen=True)
class FileTrial:
    """A file that is tried, and how and where its stems are written."""

    path: Path
    wanted: TargetOptions
    sounds: SoundOptions
    options: RenderOptions
    folder: Path

    def session(self) -> LiveSession:
        """Return a session for it; a model is chosen as `live` does."""
        from plugin_bridge.files.audio_reader import AudioReader
        from plugin_bridge.live.session import LiveSession, LiveSettings

        self.options.check()
        with AudioReader(self.path) as reader:
            rate_hz = reader.sample_rate
        lanes = self.wanted.lanes(rate_hz)
        model, targets = chosen(self.wanted, self.sounds, lanes, "live", centre=True)
        timbres = timbres_of(targets, model.spec)
        settings = LiveSettings(
            targets, rate_hz, automation=lanes, chains=self.wanted.chains(), timbres=timbres
        )
        return LiveSession(model, settings)

    def write(self, surface: LiveLanes) -> str:
        """Write the stems as the controls are now; return where, in words."""
        from plugin_bridge.files.audio_reader import AudioReader
        from plugin_bridge.offline.render import render

        with AudioReader(self.path) as source:
            lanes = self.wanted.lanes(source.sample_rate)
            model, settings = self.options.settings(self.wanted, self.sounds, lanes, centre=True)
            settings = dataclasses.replace(
                settings,
                targets=[moved_target(target, surface) for target in settings.targets],
                automation=moved_lanes(lanes, surface),
            )
            report = render(source, model, settings, self.folder)
        names = ", ".join(Path(stem.path).name for stem in report.stems)
        return f"written to {self.folder}: {names}"


def moved_target(target: Target, surface: LiveLanes) -> Target:
    """Return a target as its controls are now."""
    from plugin_bridge.control.controls import INSTRUMENTS

    value = {name: surface.value(target.name, name) for name in HELD}
    number = round(value["instrument"])
    return dataclasses.replace(
        target,
        azimuth_deg=value["azimuth"],
        width_deg=value["width"],
        instruments=(INSTRUMENTS[number],) if number else target.instruments,
        strength=value["strength"],
        morph=value["timbre_morph"],
    )


def moved_lanes(lanes: Automation, surface: LiveLanes) -> Automation:
    """Return the lanes of a file; what has been moved since stays where it is."""
    from plugin_bridge.automation import Automation
    from plugin_bridge.automation.lane import Lane

    moved = {
        (target, name): Lane.level(surface.value(target, name))
        for target, name in surface.moved
        if name in HELD and lanes.lane(target, name)
    }
    return Automation({**lanes.lanes, **moved})


def try_file(trial: FileTrial, shown: BesidePanelOptions) -> None:
    """Show a file in the panel until Ctrl-C."""
    with file_panel(shown.settings(), shown.panel_open, trial):
        wait_for_interrupt()


def refuse_with_panel(**given: bool) -> None:
    """Raise BadParameter for options that mean nothing where a file is tried in the panel.

    Parameters
    ----------
    given : by the name of the option, whether it is there.
    """
    if names := [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]:
        raise typer.BadParameter(
            f"{', '.join(names)} cannot go with --panel, where stems are written by a press: "
            "leave one of them out"
        )


@contextlib.contextmanager
def file_panel(settings: PanelOptions, open_it: bool, trial: FileTrial) -> Iterator[None]:
    """Run the panel of a file on a thread; print its address, and at the end what came in."""
    from plugin_bridge.control.servers import running
    from plugin_bridge.live.file_player import FilePlayer
    from plugin_bridge.timbre.service import TimbreSettings

    session = trial.session()
    surface = session.surface
    with contextlib.ExitStack() as stack:
        server = settings.open(surface, warn)
        stack.callback(lambda: typer.echo(server.summary(), err=True))
        stack.enter_context(running(server, warn))
        stack.callback(TimbreSettings().open(surface, warn).stop)
        player = FilePlayer(session, trial.path, server.hear, lambda: trial.write(surface))
        stack.callback(player.close)
        server.player = player
        announce(settings, server.port, open_it)
        yield
