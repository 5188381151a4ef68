"""What a render did, for people and as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from plugin_bridge.files.audio_writer import AudioWriter
from plugin_bridge.offline.activity import Activity

_SURROGATE = re.compile("[\ud800-\udfff]")  # bytes of a name of a file that are not UTF-8


@dataclass(frozen=True)
class StemReport:
    """A file that was written.

    A direction is None where it moves, a width where the model is told none, a level where it is
    silent, the activity where the model does not tell it.
    """

    name: str
    path: str
    azimuth_deg: float | None
    width_deg: float | None
    peak_db: float | None
    rms_db: float | None
    clipped: int
    activity: Activity | None = None

    @classmethod
    def of(
        cls,
        name: str,
        path: Path,
        direction: Mapping[str, float | None],
        writer: AudioWriter,
        activity: Activity | None = None,
    ) -> StemReport:
        """Report what `writer` wrote to `path`."""
        size = writer.n_samples * writer.channels
        return cls(
            name=name,
            path=str(path),
            azimuth_deg=direction.get("azimuth"),
            width_deg=direction.get("width"),
            peak_db=_db(writer.peak),
            rms_db=_db(math.sqrt(writer.power / size)),
            clipped=writer.clipped,
            activity=activity,
        )


@dataclass(frozen=True)
class Report:
    """What a render did.

    `frames` is the number of samples of each channel; `real_time_factor` the time that it took
    over the duration of the sound; `model_faults` how often the model gave no mask or no activity.
    """

    input: str
    model: str
    tier: str
    sample_rate: int
    frames: int
    latency_samples: int
    real_time_factor: float
    stems: tuple[StemReport, ...]
    model_faults: int = 0

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def _db(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude), 2) if amplitude else None
