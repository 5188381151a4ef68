"""Stems of a file: the separator fed from disk to disk, in memory that does not grow."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation import Automation, LaneConditions
from plugin_bridge.files.audio_reader import AudioReader, AudioWriter, format_like
from plugin_bridge.files.stem_files import StemFiles
from plugin_bridge.files.targets import Target
from plugin_bridge.hosting.stem_mixer import StemMixer, compensated
from plugin_bridge.offline.wiener import wiener_filtered
from realtime import Separator
from realtime.model import Model
from realtime.separator import RESIDUAL
from realtime.stft import Audio

MODES = ("isolate", "remove")
BLOCK_S = 4.0  # long enough for the separator to work on many frames at once
MIX = "mix"  # the file of the sum of all stems
Pairs = Iterator[tuple[Audio, NDArray[np.float32]]]
Progress = Callable[[int], None]
"""Told how many more samples are done."""


@dataclass(frozen=True)
class Stem:
    """A file that was written; a direction is None where it moves, a level where it is silent."""

    name: str
    path: str
    azimuth_deg: float | None
    width_deg: float | None
    peak_db: float | None
    rms_db: float | None
    clipped: int


@dataclass(frozen=True)
class Report:
    """What a render did. `real_time_factor` is the time it took over the duration of the sound."""

    input: str
    sample_rate: int
    frames: int
    latency_samples: int
    real_time_factor: float
    stems: tuple[Stem, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def separate(
    blocks: Iterator[Audio], separator: Separator
) -> Iterator[tuple[Audio, NDArray[np.float32]]]:
    """Give pairs of mixture (channels, n) and stems (stems, channels, n), in step with each other.

    The latency is trimmed: what comes out in all is as long as what went in.
    """
    early = separator.latency
    waiting = np.zeros((separator.channels, 0), np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block], axis=1)
        out = separator.process(block)
        skipped = min(early, out.shape[2])
        early -= skipped
        ready = out.shape[2] - skipped
        if ready:
            yield waiting[:, :ready], out[:, :, skipped:]
        waiting = waiting[:, ready:]
    tail = separator.flush()[:, :, early:]
    yield waiting, tail


def render(
    source: AudioReader,
    model: Model,
    targets: Sequence[Target],
    folder: Path,
    *,
    tier: str = "offline",
    mode: str = "isolate",
    automation: Automation | None = None,
    chains: Mapping[str, Path] | None = None,
    wiener: int = 0,
    container: str | None = None,
    subtype: str | None = None,
    force: bool = False,
    progress: Progress = lambda samples: None,
) -> Report:
    """Write one file a target and one of what is left; with mode "remove" only what is left.

    With `automation` the targets move by its lanes; where it also moves levels (mix, mode, gain,
    bypass), a target's file is what its plugin would put out. With `chains`, JSON files by stem,
    every stem goes through its plugins, and their sum is written as ``mix``. `wiener` passes of
    `plugin_bridge.offline.wiener` refine the stems before that; only offline, and of stereo.

    Raises
    ------
    StemsteerError for files that cannot be read or written, ValueError for values out of range.
    In either case, and when interrupted, no file is left behind.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, expected one of {', '.join(MODES)}")
    if wiener < 0:
        raise ValueError(f"wiener is {wiener}, expected a number of passes, 0 or more")
    if wiener and (tier != "offline" or source.channels != 2):
        raise ValueError(
            f"{wiener} Wiener passes of {source.channels} channels in the tier {tier!r}: they need "
            "the tier offline and two channels"
        )
    names = [target.name for target in targets]
    steering = _steering(automation or Automation(), model, targets, tier, source.sample_rate)
    separator = Separator(
        model,
        source.sample_rate,
        targets=names,
        tier=tier,
        channels=source.channels,
        conditions=steering,
    )
    samples = format_like(source, container, subtype)
    mixer = _mixer(chains or {}, steering, source, mode)
    written = [*names, RESIDUAL] if mode == "isolate" else [RESIDUAL]
    if mixer is not None:
        written.append(MIX)
    paths = {name: folder / f"{name}.{samples.container}" for name in written}

    began = time.perf_counter()
    with StemFiles(paths, source, samples, force=force) as files:
        latency = separator.latency
        blocks = source.blocks(round(BLOCK_S * source.sample_rate))
        pairs = separate(blocks, separator)
        if wiener:
            pairs = wiener_filtered(pairs, wiener, source.sample_rate)
        written_samples = (
            _write(files, pairs, steering, mode)
            if mixer is None
            else _write_mixed(files, pairs, mixer)
        )
        for size in written_samples:
            progress(size)
    took_s = time.perf_counter() - began
    directions = {name: _direction(steering, name) for name in names}
    return Report(
        input=str(source.path),
        sample_rate=source.sample_rate,
        frames=files.frames,
        latency_samples=latency,
        real_time_factor=round(took_s * source.sample_rate / files.frames, 6),
        stems=tuple(
            _stem(name, paths[name], directions.get(name, {}), writer)
            for name, writer in files.writers.items()
        ),
    )


def _write(files: StemFiles, pairs: Pairs, steering: LaneConditions, mode: str) -> Iterator[int]:
    """Write the stems; give how many samples at a time."""
    for mixture, stems in pairs:
        if mode == "remove":
            files.write(stems[-1], stems[:0])
        elif steering.has_unity_levels:
            files.write(mixture, stems[:-1])
        else:
            files.write_each([*steering.outputs(files.frames, stems), stems[-1]])
        yield mixture.shape[1]


def _write_mixed(files: StemFiles, pairs: Pairs, mixer: StemMixer) -> Iterator[int]:
    """Write the stems as they come out of their plugins, and their sum."""
    for stems in compensated(mixer, (stems for _, stems in pairs)):
        files.write_each([*stems, stems.sum(0)])
        yield stems.shape[2]


def _mixer(
    chains: Mapping[str, Path], steering: LaneConditions, source: AudioReader, mode: str
) -> StemMixer | None:
    """The plugins on the stems, if there are any, or lanes that expect some."""
    if not chains and not any(steering.lanes.parameters(s) for s in (*steering.targets, RESIDUAL)):
        return None
    from plugin_bridge.hosting.chain import read_chain  # pedalboard is slow to import

    if mode != "isolate" or steering.moves("mix", "mode", "bypass"):
        raise ValueError(
            "with plugins on the stems every stem is heard: leave mode, mix and bypass out, and "
            "set levels by gain"
        )
    if MIX in steering.targets:
        raise ValueError(f"a target is called {MIX!r}, as the sum of all stems is; rename it")
    loaded = {
        stem: read_chain(path, source.sample_rate, source.channels) for stem, path in chains.items()
    }
    return StemMixer(loaded, steering, source.channels)


def _steering(
    automation: Automation, model: Model, targets: Sequence[Target], tier: str, sample_rate: int
) -> LaneConditions:
    names = [target.name for target in targets]
    automation.check_targets(names)
    starts = {
        target.name: {"azimuth": target.azimuth_deg, "width": target.width_deg}
        for target in targets
    }
    return LaneConditions(
        automation, names, model.spec.tier_at(tier, sample_rate), sample_rate, starts
    )


def _direction(steering: LaneConditions, target: str) -> dict[str, float | None]:
    """Azimuth and width of a target; None where it moves."""
    return {name: steering.lane_or_default(target, name).constant for name in ("azimuth", "width")}


def _stem(
    name: str, path: Path, direction: Mapping[str, float | None], writer: AudioWriter
) -> Stem:
    size = writer.frames * writer.channels
    return Stem(
        name=name,
        path=str(path),
        azimuth_deg=direction.get("azimuth"),
        width_deg=direction.get("width"),
        peak_db=_db(writer.peak),
        rms_db=_db(math.sqrt(writer.power / size)),
        clipped=writer.clipped,
    )


def _db(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude), 2) if amplitude else None
