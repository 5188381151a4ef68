"""Named directions, and their JSON file: `scan` prints it, `render` reads it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime.atomic import atomic_write
from realtime.conditions import DEFAULT_DIRECTION, check_direction
from realtime.errors import StemsteerError
from realtime.separator import RESIDUAL

_NAME = re.compile(r"\w[\w .+()-]*")


@dataclass(frozen=True)
class Target:
    """A sound to take: `name` becomes a file name; the direction is as in `Separator.set`.

    Raises
    ------
    ValueError if the name cannot be that of a file, or the direction is out of range.
    """

    name: str
    azimuth_deg: float
    width_deg: float = DEFAULT_DIRECTION[1]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.casefold() == RESIDUAL:
            raise ValueError(
                f"target name is {self.name!r}, expected letters, digits, spaces and . + - ( ), "
                f"and not {RESIDUAL!r}: it becomes the name of a file"
            )
        check_direction(self.azimuth_deg, self.width_deg)


def read_targets(path: str | os.PathLike[str]) -> list[Target]:
    """Read a JSON list of objects with name, azimuth_deg and, if not the usual, width_deg.

    Other fields are left aside. Raises StemsteerError that says which entry is wrong.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StemsteerError(
            f"{path} is not JSON ({error}); `stemsteer scan INPUT --json` writes such a file"
        ) from error
    if not isinstance(entries, list) or not entries:
        raise StemsteerError(
            f'{path}: expected a list of targets, as [{{"name": "guitar", "azimuth_deg": -30, '
            '"width_deg": 20}]'
        )
    targets = [_target(path, number, entry) for number, entry in enumerate(entries, 1)]
    names = [target.name.casefold() for target in targets]
    if len(set(names)) < len(names):
        raise StemsteerError(f"{path}: two targets have the same name; each becomes a file")
    return targets


def write_targets(path: str | os.PathLike[str], targets: Sequence[Target]) -> None:
    """Write the file that `read_targets` reads."""
    entries = [dataclasses.asdict(target) for target in targets]
    with atomic_write(Path(path)) as hidden:
        hidden.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _target(path: str | os.PathLike[str], number: int, entry: object) -> Target:
    fields = entry if isinstance(entry, dict) else {}
    try:
        return Target(
            str(fields["name"]),
            float(fields["azimuth_deg"]),
            float(fields.get("width_deg", DEFAULT_DIRECTION[1])),
        )
    except KeyError as error:
        raise StemsteerError(f"{path}: target {number} lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise StemsteerError(f"{path}: target {number}: {error}") from error
