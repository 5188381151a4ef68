"""A catalogue from its songs to its manifest."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plugin_bridge.cluster.attempts import (
    FOLDER,
    Attempts,
    kept_records,
    prepare_folder,
    remove_folder,
)
from plugin_bridge.cluster.interrupt import Interrupt
from plugin_bridge.cluster.manifest import DONE, Manifest, Record, read_manifest
from plugin_bridge.cluster.plan import Plan, hash_of, make_plan, options_of
from plugin_bridge.cluster.scheduler import Workers, run_jobs
from plugin_bridge.cluster.songs import Song
from plugin_bridge.cluster.task import Choice, Job, Work
from plugin_bridge.offline.render import RenderSettings
from realtime import OnnxModel
from realtime.atomic import sha256_of

DAY_S = 86_400.0


@dataclass(frozen=True)
class CatalogueSettings:
    """What is to be done with all songs.

    Parameters
    ----------
    out : folder of the stems and of the manifest.
    render : what is taken of each song, without lanes.
    model : of all songs; None where `choice` has one for each.
    choice : says what is taken of each song, where that depends on it; `render` has no targets.
    automation : file of lanes, read for every song.
    limit_s : longest time for one song.
    retry_failed : try songs again that failed before.
    force : replace whatever is there.

    Raises
    ------
    ValueError for a limit that is none.
    """

    out: Path
    render: RenderSettings
    model: OnnxModel | None
    automation: Path | None = None
    choice: Choice | None = None
    limit_s: float = 3600.0
    retry_failed: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.limit_s <= DAY_S:
            raise ValueError(f"the time limit is {self.limit_s:g} s, expected up to {DAY_S:g} s")

    def work(self) -> Work:
        """Return it as the workers need it."""
        options = options_of(self.render, self.automation, self.choice)
        model = self.model.path.absolute() if self.model else None
        return Work(
            out=self.out.absolute(),
            attempts=self.out.absolute() / FOLDER,
            run=secrets.token_hex(4),
            settings=self.render,
            automation=self.automation.absolute() if self.automation else None,
            options=hash_of(options),
            model=model,
            model_sha256=sha256_of(model) if model else "",
            choice=self.choice,
            limit_s=self.limit_s,
            force=self.force,
        )


class Display(Protocol):
    """Who is shown how far it is."""

    def begin(self, plan: Plan, dashboard: str) -> None: ...
    def show(self, record: Record) -> None: ...
    def tick(self) -> None: ...
    def waiting(self) -> None: ...
    def stopping(self) -> None: ...


@dataclass
class Summary:
    """What a run did.

    `done` songs with `audio_s` seconds of sound, `kept` ones were done before; `failed` has the
    songs of older runs that are not tried again, too.
    """

    manifest: Path
    kept: int = 0
    failed: list[Record] = field(default_factory=list)
    done: int = 0
    audio_s: float = 0.0
    seconds: float = 0.0

    def add(self, record: Record) -> None:
        """Count a record."""
        if record.state == DONE:
            self.done += 1
            self.audio_s += record.frames / record.sample_rate
        else:
            self.failed.append(record)


def planned(songs: Sequence[Song], settings: CatalogueSettings) -> Plan:
    """Return what a run would do, and touch nothing."""
    latest = read_manifest(settings.out)
    return make_plan(songs, latest, settings.work(), retry_failed=settings.retry_failed)


def run_catalogue(
    songs: Sequence[Song],
    settings: CatalogueSettings,
    start: Callable[[Path], AbstractContextManager[Workers]],
    display: Display,
) -> Summary:
    """Do what is missing of a catalogue.

    Parameters
    ----------
    start : starts the workers, if there is anything to do; is told the folder that they share.

    Raises
    ------
    StemsteerError if another run has the manifest, if stems by other options would be replaced
    without `CatalogueSettings.force`, or if there are no workers. KeyboardInterrupt
    after songs that were done are in the manifest and those half done are gone.
    """
    work = settings.work()
    work.out.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    with Manifest(work.out) as manifest:
        latest = read_manifest(work.out)
        for record in kept_records(work.attempts):  # of a run that was killed
            _enter(manifest, work, record, known=latest.get(record.song) == record)
            latest[record.song] = record
        plan = make_plan(songs, latest, work, retry_failed=settings.retry_failed)
        prepare_folder(work.attempts)
        summary = Summary(manifest.path, kept=len(plan.kept), failed=list(plan.failed))
        del latest, songs  # a catalogue may be large: what is to do is in the plan
        if plan.jobs:
            manifest.append_run(_run_line(settings, work))
            with (
                Interrupt() as interrupt,
                _cleaned(work, plan.jobs),
                start(work.attempts) as workers,
            ):
                display.begin(plan, workers.dashboard)
                for record in run_jobs(
                    workers, work, plan.jobs, interrupt,
                    display.tick, display.waiting, display.stopping,
                ):  # fmt: skip
                    _enter(manifest, work, record)
                    summary.add(record)
                    display.show(record)
        remove_folder(work.attempts)
    summary.seconds = time.monotonic() - began_s
    return summary


def _enter(manifest: Manifest, work: Work, record: Record, *, known: bool = False) -> None:
    """Write a record into the manifest unless it is there, and forget how it came to be."""
    if not known:
        manifest.append(record)
    attempts = Attempts(work.attempts, Song(record.song, Path(record.input)).key, work.run)
    _remove_half(work, record.song, attempts)
    if record.state == DONE:
        attempts.forget()


def _remove_half(work: Work, name: str, attempts: Attempts) -> None:
    """Remove hidden files that a process left of a song, and the folders that then are empty.

    Where some files may have their names they stay, and stay known as ours.
    """
    folder = work.out / name
    with contextlib.suppress(OSError):  # of a path that is too long there is nothing
        for hidden in folder.glob(".*.part"):
            hidden.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not there, or whole files are in it
        while folder != work.out:
            folder.rmdir()
            folder = folder.parent
    if not (attempts.has_named and os.path.exists(work.out / name)):
        attempts.forget()


def _run_line(settings: CatalogueSettings, work: Work) -> dict[str, object]:
    return {
        "version": importlib.metadata.version("stemsteer"),
        "options": work.options,
        "model": str(work.model or ""),
        "model_sha256": work.model_sha256,
        **options_of(settings.render, settings.automation, settings.choice),
    }


@contextlib.contextmanager
def _cleaned(work: Work, jobs: Sequence[Job]) -> Iterator[None]:
    """Remove what is half done once the workers have ended, if they end before their time."""
    try:
        yield
    except BaseException:
        for job in jobs:
            attempts = Attempts(work.attempts, job.song.key, work.run)
            if attempts.begun and attempts.kept is None:
                _remove_half(work, job.song.name, attempts)
        remove_folder(work.attempts)
        raise
