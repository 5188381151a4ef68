"""What is missing of a catalogue, and what was done or failed before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from plugin_bridge.cluster.manifest import DONE, FAILED, Output, Record
from plugin_bridge.cluster.songs import Song
from plugin_bridge.cluster.task import Choice, Job, Work, signature_of
from plugin_bridge.offline.render import RenderSettings
from realtime.atomic import sha256_of
from realtime.errors import StemsteerError


@dataclass(frozen=True)
class Plan:
    """What is to be done, the largest files first, so that none of them is left for the end.

    `kept` are records of what is done, `failed` of what failed and is not tried again.
    """

    jobs: list[Job]
    kept: list[Record]
    failed: list[Record]


def make_plan(
    songs: Sequence[Song], latest: Mapping[str, Record], work: Work, *, retry_failed: bool = False
) -> Plan:
    """Compare the songs with the newest records of them.

    A song is done anew if its file has changed, or stems are missing or of another size; one that
    failed only if something has changed, why it failed may pass, or `retry_failed`. With
    `Work.force` one whose stems have other bytes and one that failed are done anew, too, and stems
    by other options are replaced.

    Raises StemsteerError if there are such stems and they are not to be replaced.
    """
    if not work.force:
        _check_same_options(songs, latest, work)
    plan = Plan([], [], [])
    for song in songs:
        record = latest.get(song.name)
        if record is None:
            plan.jobs.append(Job(song))
        elif _holds(song, record, work, retry_failed or work.force):
            (plan.kept if record.state == DONE else plan.failed).append(record)
        else:
            plan.jobs.append(Job(song, record.outputs))
    plan.jobs.sort(key=lambda job: -signature_of(job.song.path).get("input_bytes", 0))
    return plan


def _check_same_options(songs: Sequence[Song], latest: Mapping[str, Record], work: Work) -> None:
    """Raise StemsteerError if songs have stems by other options, or by another model."""
    others = [
        song.name
        for song in songs
        if (record := latest.get(song.name)) and not _is_by_same(record, work)
        if any(os.path.exists(work.out / output.path) for output in record.outputs)
    ]
    if others:
        raise StemsteerError(
            f"{work.out} has stems of {len(others)} of the songs, as {others[0]}, by other options "
            "or another model, which would be replaced: choose another folder with --out, or "
            "replace them with --force"
        )


def _is_by_same(record: Record, work: Work) -> bool:
    """Return whether a record is of the options and of the model that are asked for now."""
    own_models = ("", record.model_sha256)  # "" where each song has a model of its own
    return record.options == work.options and work.model_sha256 in own_models


def _holds(song: Song, record: Record, work: Work, retry_failed: bool) -> bool:
    """Return whether there is nothing to do for a song with this record."""
    if record.state == FAILED and (retry_failed or record.transient):
        return False
    if not _is_by_same(record, work):
        return False
    there = all(_is_there(work, output) for output in record.outputs)
    return there and _is_same_input(song.path, record)


def _is_there(work: Work, output: Output) -> bool:
    """Return whether a file is there with its size and, if it may be replaced, with its bytes."""
    path = work.out / output.path
    there = _has_size(path, output.bytes)
    return there and (not work.force or sha256_of(path) == output.sha256)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_same_input(path: Path, record: Record) -> bool:
    """Return whether a file is what it was: by size and time or, if these differ, by its bytes."""
    now = signature_of(path)
    if str(path) == record.input and now == {
        "input_bytes": record.input_bytes, "input_mtime_ns": record.input_mtime_ns
    }:  # fmt: skip
        return True
    if not now:
        return not record.input_bytes  # it was not there, either
    return now["input_bytes"] == record.input_bytes and sha256_of(path) == record.input_sha256


def options_of(
    settings: RenderSettings, automation: Path | None, choice: Choice | None = None
) -> dict[str, object]:
    """Return what is taken, and how, as JSON knows it; files by what is in them."""
    vectors = {
        name: [None if one is None else one.tobytes().hex() for one in (pair.like, pair.unlike)]
        for name, pair in settings.timbres.items()
    }
    return {
        "targets": [asdict(target) for target in settings.targets],
        "tier": settings.tier,
        "mode": settings.mode,
        "wiener": settings.wiener_passes,
        "format": settings.container,
        "subtype": settings.subtype,
        "chains": {stem: sha256_of(path) for stem, path in settings.chains.items()},
        "automation": sha256_of(automation) if automation else None,
        "timbres": hashlib.sha256(json.dumps(vectors).encode()).hexdigest() if vectors else None,
        **({"choice": choice.words} if choice else {}),
    }


def hash_of(options: Mapping[str, object]) -> str:
    """Return a short hash of options, by which records name them."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]
