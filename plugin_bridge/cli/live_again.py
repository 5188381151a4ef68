"""The command that makes what `stemsteer live --record` has recorded again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions

if TYPE_CHECKING:
    from realtime.model import Model


def render_command(
    folder: Path, model: Model, tier: str, wanted: TargetOptions, sounds: SoundOptions
) -> str:
    """Return the command that makes what is recorded again: the lanes, and what is not in them."""
    from plugin_bridge.files.recorder import INPUT, LANES_FILE

    words: list[object] = ["stemsteer", "render", folder / f"{INPUT}.wav"]
    words += ["--automation", folder / LANES_FILE, "--tier", tier]
    words += ["--model", wanted.model or model.spec.name]
    for option, values in {
        "--targets": [wanted.targets] if wanted.targets else None,
        "--azimuth": wanted.azimuths,
        "--instrument": sounds.words,
        "--picture": sounds.pictures,
        "--like": sounds.like,
        "--unlike": sounds.unlike,
        "--chain": wanted.chain,
    }.items():
        words += [word for value in values or () for word in (option, value)]
    return shlex.join([*map(str, words), *(["--all"] if sounds.all_sources else [])])
