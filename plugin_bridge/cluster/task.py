"""Render one song on a worker: what `stemsteer render` does, with a limit and a record."""

from __future__ import annotations

import errno
import faulthandler
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from plugin_bridge.automation import Automation, read_automation
from plugin_bridge.cluster.attempts import Attempts, is_stopped
from plugin_bridge.cluster.manifest import DONE, FAILED, Output, Record
from plugin_bridge.cluster.songs import Song
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import NoRoomError
from plugin_bridge.files.stem_files import check_writable
from plugin_bridge.offline.render import RenderSettings, render, written_paths
from plugin_bridge.offline.report import Report
from realtime import OnnxModel, StemsteerError, load_model
from realtime.atomic import sha256_of
from realtime.errors import one_line

MOST_KILLS = 2
AGAIN, STOPPED = "again", "stopped"
"""States of a try that says nothing final: try later; nobody wants it any more."""
_TRANSIENT = frozenset(
    (errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EINTR, errno.ENOSPC, errno.ESTALE,
     errno.ETIMEDOUT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
)  # fmt: skip


class Choice(Protocol):
    """What is taken of each song, by which model, where that depends on the song; it is pickled."""

    @property
    def words(self) -> Mapping[str, object]:
        """Return what decides it, beside the settings of the run, as JSON knows it."""

    def of(self, song: Path, lanes: Automation) -> tuple[OnnxModel, RenderSettings]:
        """Return the model and the settings, without chains, of a song and its lanes.

        Raises StemsteerError if nothing can be taken of this song.
        """


@dataclass(frozen=True)
class Work:
    """What all songs of a run have in common; paths are absolute, and the same on every worker.

    Parameters
    ----------
    settings : of `render`, without lanes: these are read on the worker, at the rate of the song.
    model, model_sha256 : of all songs; None and "" where `choice` has one for each.
    options : hash of `settings` and `choice`, and of the files that they name.
    limit_s : longest time for a song; then the process ends.
    force : replace whatever is there.
    """

    out: Path
    attempts: Path
    run: str
    settings: RenderSettings
    automation: Path | None
    options: str
    model: Path | None
    model_sha256: str
    limit_s: float
    force: bool = False
    choice: Choice | None = None


@dataclass(frozen=True)
class Job:
    """One song of a run; `previous` has the outputs of an older run, which may be replaced."""

    song: Song
    previous: tuple[Output, ...] = ()


class _StoppedError(Exception):
    """Nobody wants the song any more."""


def render_song(work: Work, job: Job) -> Record:
    """Render a song, unless it is done already or has ended its process too often; never raises."""
    attempts = Attempts(work.attempts, job.song.key, work.run)
    if is_stopped(work.attempts):
        return _record(work, job, STOPPED)
    if (kept := attempts.kept) is not None:
        return kept
    if problem := _problem_of(attempts, work.limit_s):
        return replace(failed(work, job, problem), tries=attempts.begun)
    attempt = attempts.begin()
    with _watchdog(attempt, work.limit_s):
        record = _tried(work, job, attempts)
    record = replace(record, tries=attempts.begun)
    if record.state == DONE:
        attempts.keep(record)
    attempts.end(attempt)
    return record


def _problem_of(attempts: Attempts, limit_s: float) -> str:
    """Return why a song is set aside, in words; empty if it is not."""
    if attempts.timed_out:
        return f"not done within {limit_s:g} s; give it longer with --time-limit"
    if attempts.killed >= MOST_KILLS:
        return f"its process was killed {attempts.killed} times while it was worked on: set aside"
    return ""


@contextmanager
def _watchdog(attempt: Path, limit_s: float) -> Iterator[None]:
    """End this process with a traceback in `attempt` if the block takes too long.

    It is a thread without Python that waits, so a library that holds the interpreter ends, too.
    """
    with attempt.open("wb") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _tried(work: Work, job: Job, attempts: Attempts) -> Record:
    try:
        return _done(work, job, attempts)
    except _StoppedError:
        return _record(work, job, STOPPED)
    except Exception as error:
        known = isinstance(error, (StemsteerError, OSError, ValueError))
        words = one_line(error) if known else f"{type(error).__name__}: {error}"
        return replace(failed(work, job, words), state=AGAIN if _is_transient(error) else FAILED)


def _done(work: Work, job: Job, attempts: Attempts) -> Record:
    """Render a song and describe its files."""
    stat = job.song.path.stat()
    input_sha256 = sha256_of(job.song.path)
    if not work.force:
        _check_ours(work.out, job, [work.out / one.path for one in job.previous], attempts)
    began_s = time.perf_counter()
    with AudioReader(job.song.path) as source:
        model, settings = _chosen(work, job.song.path, source.sample_rate)
        folder = work.out / job.song.name
        there = [p for p in written_paths(source, settings, folder).values() if p.exists()]
        if not work.force:
            _check_ours(work.out, job, there, attempts)
        settings = replace(settings, force=work.force or bool(there))

        def go_on(_: int) -> None:
            if is_stopped(work.attempts):
                raise _StoppedError

        report = render(source, model, settings, folder, progress=go_on, naming=attempts.note_named)
    took_s = time.perf_counter() - began_s
    outputs = tuple(_outputs(work.out, job.song.name, report))
    _remove_old(work.out, job.previous, outputs)
    return _record(
        work, job, DONE,
        input_bytes=stat.st_size,
        input_mtime_ns=stat.st_mtime_ns,
        input_sha256=input_sha256,
        model=report.model,
        model_sha256=work.model_sha256 or sha256_of(model.path),
        seconds=round(took_s, 3),
        speed=round(report.frames / report.sample_rate / took_s, 3),
        sample_rate=report.sample_rate,
        frames=report.frames,
        outputs=outputs,
    )  # fmt: skip


def _chosen(work: Work, song: Path, rate_hz: int) -> tuple[OnnxModel, RenderSettings]:
    """Return the model and the settings of a song, with its lanes at its rate."""
    lanes = read_automation(work.automation, rate_hz) if work.automation else Automation()
    if work.choice is not None:
        model, settings = work.choice.of(song, lanes)
        return model, replace(settings, chains=work.settings.chains)
    assert work.model is not None
    return _model(work.model, work.model_sha256), replace(work.settings, automation=lanes)


def failed(work: Work, job: Job, error: str) -> Record:
    """Return the record of a song that failed, with which file it was that did."""
    return _record(work, job, FAILED, error=error, **signature_of(job.song.path))


def _record(work: Work, job: Job, state: str, **values: object) -> Record:
    fields: dict[str, object] = {
        "song": job.song.name, "state": state, "input": str(job.song.path),
        "options": work.options, "model_sha256": work.model_sha256,
    }  # fmt: skip
    return Record(**(fields | values))  # type: ignore[arg-type]


def signature_of(path: Path) -> dict[str, int]:
    """Return size and time of a file, as `Record` has them; none of what is none, or not there."""
    try:
        stat = path.stat()
    except OSError:
        return {}
    if not S_ISREG(stat.st_mode):
        return {}
    return {"input_bytes": stat.st_size, "input_mtime_ns": stat.st_mtime_ns}


@lru_cache(maxsize=1)
def _model(path: Path, sha256: str) -> OnnxModel:
    """Load the model of the run, once a process.

    Raises StemsteerError if this machine has another model there.
    """
    if not path.is_file() or sha256_of(path) != sha256:
        raise StemsteerError(
            f"{path} is not there or another model on this worker: install the same one on all "
            "machines, or name one on a shared disk with --model"
        )
    return load_model(path)


def _outputs(out: Path, name: str, report: Report) -> Iterator[Output]:
    for stem in report.stems:
        path = Path(stem.path)
        where = f"{name}/{path.name}"
        yield Output(
            stem.name, where, path.stat().st_size, sha256_of(path), stem.peak_db, stem.rms_db,
            stem.clipped,
        )  # fmt: skip


def _check_ours(out: Path, job: Job, paths: Iterable[Path], attempts: Attempts) -> None:
    """Raise StemsteerError if a file that is to be replaced is not what we wrote."""
    ours = {out / output.path: output.sha256 for output in job.previous}
    for path in paths:
        if not path.exists() or attempts.is_named(path):
            continue
        if path not in ours:
            check_writable(path, job.song.path, force=False)
        elif sha256_of(path) != ours[path]:
            raise StemsteerError(
                f"{path} was changed since it was made; replace it with --force, or move it away"
            )


def _remove_old(out: Path, previous: tuple[Output, ...], outputs: tuple[Output, ...]) -> None:
    """Remove the stems of an older run that this one does not have."""
    for path in {one.path for one in previous} - {one.path for one in outputs}:
        (out / path).unlink(missing_ok=True)


def _is_transient(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, may be gone when it is tried again."""
    while error is not None:
        if isinstance(error, NoRoomError) or getattr(error, "errno", None) in _TRANSIENT:
            return True
        error = error.__cause__
    return False
