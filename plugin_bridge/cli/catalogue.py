"""`stemsteer catalogue`: from many songs to their stems."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.catalogue_display import CatalogueDisplay
from plugin_bridge.cli.catalogue_hearing import HeardTargets
from plugin_bridge.cli.console import say, say_json, warn
from plugin_bridge.cli.options import AsJson
from plugin_bridge.cli.render import RenderOptions, hears
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions
from plugin_bridge.control.text import printable

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.cluster.catalogue import Summary
    from plugin_bridge.cluster.plan import Plan
    from plugin_bridge.cluster.scheduler import Workers
    from plugin_bridge.cluster.songs import Found, Song
    from plugin_bridge.offline.render import RenderSettings
    from realtime import OnnxModel

_DAY_S = 86_400.0


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """Who works on the songs: processes of this machine, or a Dask cluster."""

    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes on this machine.  \\[one for each processor]"),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler of a cluster, instead: tls://host:8786, tcp://host:8786.",
        ),
    ] = None
    tls_ca: Annotated[
        Path | None, typer.Option(help="PEM file of who signed the cluster's certificates.")
    ] = None
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of your certificate for the cluster.")
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the key to it.")] = None

    def check(self) -> None:
        """Raise BadParameter for options that do not go together."""
        tls = (self.tls_ca, self.tls_cert, self.tls_key)
        if self.scheduler is not None and self.workers is not None:
            raise typer.BadParameter("the cluster has its own workers: leave --workers out")
        if any(tls) and not (all(tls) and str(self.scheduler).startswith("tls://")):
            raise typer.BadParameter(
                "--tls-ca, --tls-cert and --tls-key go together, with --scheduler tls://..."
            )

    def start(self) -> Callable[[Path], AbstractContextManager[Workers]]:
        """Return what starts the workers, which share a folder."""
        if self.scheduler is not None:
            return self._connect
        from plugin_bridge.cluster.workers import LocalWorkers

        count = self.workers or os.cpu_count() or 1
        return lambda _: LocalWorkers(count)

    def _connect(self, shared: Path) -> AbstractContextManager[Workers]:
        from plugin_bridge.cluster.remote_workers import RemoteWorkers

        address = str(self.scheduler)
        if address.startswith("tcp://") and "//127." not in address:
            warn(
                "the connection to the scheduler is neither secret nor checked, and who reaches it "
                "can run programs as you: use tls:// outside a network of your own"
            )
        return RemoteWorkers(address, shared, self.tls_ca, self.tls_cert, self.tls_key)


def catalogue(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of songs, with those in its folders, or a .jsonl list of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the stems and the manifest.")],
    wanted: TargetOptions,
    sounds: SoundOptions,
    options: RenderOptions,
    who: WorkerOptions,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try songs again that failed before.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option(min=1, max=_DAY_S, help="Longest time for one song, in seconds.")
    ] = 3600.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the stems of many songs: what is missing or has changed, on all processors."""
    who.check()
    _need_dask()
    from plugin_bridge.cluster.catalogue import CatalogueSettings, planned, run_catalogue
    from plugin_bridge.cluster.songs import search

    found = search(source, out)
    songs = found.songs
    if source.is_dir():
        _warn_of_stems(songs)
        _warn_of_folders(found)
    lanes = wanted.lanes(44_100)  # to find what is wrong now; each song reads them at its rate
    model, settings, choice = _asked(wanted, sounds, options, lanes)
    chains = {stem: path.absolute() for stem, path in wanted.chains().items()}
    chosen = CatalogueSettings(
        out=out,
        render=dataclasses.replace(settings, automation=type(lanes)(), chains=chains),
        model=model,
        choice=choice,
        automation=wanted.automation,
        limit_s=time_limit,
        retry_failed=retry_failed,
        force=options.force,
    )
    for note in sounds.notes():
        say(f"stemsteer: {note}", err=True)
    if dry_run:
        _print_plan(planned(songs, chosen), as_json)
        raise typer.Exit(1 if found.unread else 0)
    with CatalogueDisplay() as display:
        summary = run_catalogue(songs, chosen, who.start(), display)
    _print_summary(summary, as_json)
    if summary.failed or found.unread:
        raise typer.Exit(1)


def _asked(
    wanted: TargetOptions, sounds: SoundOptions, options: RenderOptions, lanes: Automation
) -> tuple[OnnxModel | None, RenderSettings, HeardTargets | None]:
    """Return model and settings of all songs; or no model, and what chooses both for each song."""
    if not hears(wanted, sounds, options.tier):
        return *options.settings(wanted, sounds, lanes), None
    return None, options.without_targets(), HeardTargets.of_options(wanted, sounds, options)


def _need_dask() -> None:
    """Raise OSError, with what to do, if the packages of the extra are not here."""
    try:
        import cryptography  # noqa: F401

        import plugin_bridge.cluster.scheduler  # noqa: F401
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("plugin_bridge", "realtime"):
            raise  # a fault of ours, which no package mends
        raise OSError(
            f"catalogues need the package {error.name}: pip install 'stemsteer[cluster]'"
        ) from None


def _warn_of_stems(songs: Sequence[Song]) -> None:
    """Say which files of a folder seem to be stems; a song may lie beside some, so none is left."""
    from plugin_bridge.cluster.songs import likely_stems

    if stems := likely_stems(songs):
        warn(
            f"{len(stems)} of {len(songs)} songs, as {stems[0].name}, lie beside a residual and "
            "may be stems of an earlier render: they are taken, too, unless you move them away or "
            "give a .jsonl list of the songs"
        )


def _warn_of_folders(found: Found) -> None:
    """Say which folders were not looked into."""
    for folder, reason in found.unread.items():
        warn(f"the folder {folder} cannot be read ({reason}): its songs are left out")
    for link in found.links:
        warn(
            f"{link} is a link to a folder, which is not followed: a .jsonl list can name its songs"
        )


def _print_plan(plan: Plan, as_json: bool) -> None:
    names = [job.song.name for job in plan.jobs]
    failed = [record.song for record in plan.failed]
    if as_json:
        say_json({"to_do": names, "done": len(plan.kept), "failed": failed})
        return
    for name in names:
        say(name)
    typer.echo(f"{len(names)} to do, {len(plan.kept)} done, {len(failed)} failed before", err=True)


def _print_summary(summary: Summary, as_json: bool) -> None:
    if as_json:
        failed = [{"song": one.song, "error": one.error} for one in summary.failed]
        report: dict[str, Any] = {
            "manifest": str(summary.manifest),
            "done": summary.done,
            "done_before": summary.kept,
            "failed": failed,
            "seconds": round(summary.seconds, 1),
            "audio_seconds": round(summary.audio_s, 1),
        }
        say_json(report)
        return
    for record in summary.failed:
        say(f"failed: {printable(record.song)}: {record.error}", err=True)
    if any(record.transient for record in summary.failed):
        say("the next run tries again what failed for a lack that may pass", err=True)
    if not all(record.transient for record in summary.failed):
        say("--retry-failed tries again what has failed", err=True)
    done = "1 song" if summary.done == 1 else f"{summary.done} songs"
    if summary.done and summary.seconds:
        speed = summary.audio_s / summary.seconds
        done += f" in {summary.seconds:.0f} s, {speed:.0f} times as fast as real time"
    typer.echo(
        f"done: {done}; {summary.kept} before, {len(summary.failed)} failed: "
        f"{printable(str(summary.manifest))}"
    )
