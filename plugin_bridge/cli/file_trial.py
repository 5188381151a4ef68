"""A file that is tried in the panel: `panel FILE`, `render --panel` and `scan --panel`."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.osc import ended_by_interrupt, wait_for_interrupt
from plugin_bridge.cli.panel_options import BesidePanelOptions, announce
from plugin_bridge.cli.sounds import SoundOptions, timbres_of
from plugin_bridge.cli.targets import TargetOptions, chosen

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.automation.live_lanes import LiveLanes
    from plugin_bridge.cli.render import RenderOptions
    from plugin_bridge.control.target import Target, TimbrePair
    from plugin_bridge.live.file_player import FilePlayer
    from plugin_bridge.live.session import LiveSession
    from plugin_bridge.offline.render import Progress
    from plugin_bridge.panel.server import PanelOptions
    from realtime import ModelSpec

HELD = ("azimuth", "width", "instrument", "strength", "timbre_morph")
"""Controls of what is taken; a stem is written as they are, and not at the level that is heard."""


@dataclasses.dataclass(frozen=True)
class FileTrial:
    """A file that is tried, and how and where its stems are written.

    Parameters
    ----------
    folder : for the stems; where some are there that are not to be replaced, they go to one beside
        it, with the next free number.
    """

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
        timbres = timbres_of(targets, model)
        settings = LiveSettings(
            targets,
            rate_hz,
            automation=lanes,
            chains=self.wanted.chains(),
            timbres=timbres,
            wait=True,
        )
        return LiveSession(model, settings)

    def write(self, surface: LiveLanes, progress: Progress = lambda samples: None) -> str:
        """Write the stems as controls and timbres are now; return where, in words.

        Raises StemsteerError or ValueError if no model in the tier of the files can do that; what
        `progress` raises ends it, and leaves no file.
        """
        try:
            return self._write(surface, progress)
        except typer.BadParameter as error:  # which tells of an option
            raise ValueError(error.message) from error

    def _write(self, surface: LiveLanes, progress: Progress) -> str:
        from plugin_bridge.files.audio_reader import AudioReader
        from plugin_bridge.offline.render import MIX, render, stem_paths

        with AudioReader(self.path) as source:
            lanes = self.wanted.lanes(source.sample_rate)
            asked = self.wanted, self.sounds, lanes
            model, settings = self.options.settings(*asked, centre=True)
            moved = [moved_target(target, surface, model.spec) for target in settings.targets]
            if any(map(_is_another_sound, settings.targets, moved)):
                model, settings = self.options.settings(*asked, centre=True, taken=moved)
            settings = dataclasses.replace(
                settings,
                targets=moved,
                automation=moved_lanes(lanes, surface),
                timbres=moved_timbres(settings.timbres, surface, model.spec),
            )
            progress(0)
            paths = [*stem_paths(source, settings, self.folder).values()]
            names = [path.name for path in (*paths, paths[0].with_stem(MIX))]
            folder = self.folder if settings.force else free_folder(self.folder, names)
            report = render(source, model, settings, folder, progress=progress)
        written = ", ".join(Path(stem.path).name for stem in report.stems)
        return f"written to {folder}: {written}"


def free_folder(folder: Path, names: Sequence[str]) -> Path:
    """Return the first of `folder`, `folder`-2, `folder`-3 … that has no file of these names."""
    first = folder.resolve() if folder.name in ("", "..") else folder
    numbered = (Path(f"{first}-{number}") for number in itertools.count(2))
    return next(
        each
        for each in itertools.chain([folder], numbered)
        if not any(os.path.exists(each / name) for name in names)  # also where none can be
    )


def moved_target(target: Target, surface: LiveLanes, spec: ModelSpec) -> Target:
    """Return a target as its controls and timbres are now; `spec` numbers its instruments."""
    from plugin_bridge.control.target_conditions import names_of

    value = {name: surface.value(target.name, name) for name in HELD}
    instruments = target.instruments
    if (target.name, "instrument") in surface.moved:
        instruments = names_of(round(value["instrument"]), spec)
    examples = {
        slot: () if change.vector is None else (change.words,)
        for (name, slot), change in surface.changed_timbres.items()
        if name == target.name
    }
    return dataclasses.replace(
        target,
        azimuth_deg=value["azimuth"],
        width_deg=value["width"],
        instruments=instruments,
        strength=value["strength"],
        morph=value["timbre_morph"],
        like=examples.get("like", target.like),
        unlike=examples.get("unlike", target.unlike),
    )


def _is_another_sound(target: Target, moved: Target) -> bool:
    """Return whether a model may be asked for what it was not chosen for."""
    sounds = [(each.instruments, each.like, each.unlike) for each in (target, moved)]
    return sounds[0] != sounds[1]


def moved_timbres(
    timbres: Mapping[str, TimbrePair], surface: LiveLanes, spec: ModelSpec
) -> dict[str, TimbrePair]:
    """Return the timbres of targets by name, as they are now, for a model.

    Raises ValueError for one that was made while playing by another encoder than the model's.
    """
    from plugin_bridge.control.target import TimbrePair

    found = dict(timbres)
    for (name, slot), change in surface.changed_timbres.items():
        encoder = surface.timbres(name).get("encoder", "")
        if change.vector is not None and encoder != spec.encoder:
            raise ValueError(
                f"the timbre of {name} was made by the encoder {encoder}, and the model "
                f"{spec.name} that writes the stems takes {spec.encoder or 'none'}: name the model "
                "that plays with --model"
            )
        pair = found.get(name, TimbrePair())
        found[name] = dataclasses.replace(pair, **{slot: change.vector})
    return found


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
    with ended_by_interrupt(), file_panel(shown.settings(), shown.panel_open, trial):
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
        models_folder = trial.wanted.model_folder
        settings = dataclasses.replace(settings, models_folder=models_folder)
        server = settings.open(surface, warn)
        stack.callback(lambda: typer.echo(server.summary(), err=True))
        stack.enter_context(running(server, warn))
        stack.callback(TimbreSettings(models_folder).open(surface, warn).stop)
        player = FilePlayer(session, trial.path, server.hear, partial(trial.write, surface))
        stack.callback(_end, player)
        server.player = player
        announce(settings, server.port, open_it)
        yield


def _end(player: FilePlayer) -> None:
    """End a player, and say what became of stems that it was writing."""
    if words := player.close():
        warn(words)
