"""What is missing of a catalogue, and what was done or failed before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from plugin_bridge.cluster.manifest import DONE, FAILED, Record
from plugin_bridge.cluster.songs import Song
from plugin_bridge.cluster.task import Job, Work, signature_of
from plugin_bridge.offline.render import RenderSettings
from realtime.atomic import sha256_of


@dataclass(frozen=True)
class Plan:
    """What is to be done, the largest files first, so that none of them is left for the end.

    `kept` are records of what is done, `failed` of what failed and is not tried again.
    """

    jobs: list[Job]
    kept: list[Record]
    failed: list[Record]


def make_plan(
    songs: Iterable[Song], latest: Mapping[str, Record], work: Work, *, retry_failed: bool = False
) -> Plan:
    """Compare the songs with the newest records of them.

    A song is done anew if its file, what is taken of it, or the model has changed, or stems are
    missing or of another size; one that failed only if something has changed, or `retry_failed`.
    """
    plan = Plan([], [], [])
    for song in songs:
        record = latest.get(song.name)
        if record is None:
            plan.jobs.append(Job(song))
        elif not work.force and _holds(song, record, work, retry_failed):
            (plan.kept if record.state == DONE else plan.failed).append(record)
        else:
            plan.jobs.append(Job(song, record.outputs))
    plan.jobs.sort(key=lambda job: -signature_of(job.song.path).get("input_bytes", 0))
    return plan


def _holds(song: Song, record: Record, work: Work, retry_failed: bool) -> bool:
    """Return whether there is nothing to do for a song with this record."""
    if record.state == FAILED and retry_failed:
        return False
    if (record.options, record.model_sha256) != (work.options, work.model_sha256):
        return False
    there = all(_has_size(work.out / output.path, output.bytes) for output in record.outputs)
    return there and _is_same_input(song.path, record)


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


def options_of(settings: RenderSettings, automation: Path | None) -> dict[str, object]:
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
    }


def hash_of(options: Mapping[str, object]) -> str:
    """Return a short hash of options, by which records name them."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]
