"""Stems of a file: the separator fed from disk to disk, in memory that does not grow.

In order: `plan_render` checks everything that can be checked and loads what is slow to load;
`separated` turns blocks of the mixture into stems, and needs no file; `render` joins them with the
files they come from and go to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation import ALL, Automation, LaneConditions, conditions_of
from plugin_bridge.control.names import name_key
from plugin_bridge.control.target import Target, TimbrePair, check_targets
from plugin_bridge.control.target_conditions import has_own_sources, takes_width
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import SampleFormat, format_like
from plugin_bridge.files.stem_files import Naming, StemFiles
from plugin_bridge.hosting.stem_mixer import EVERY_STEM_IS_HEARD, StemMixer, compensated
from plugin_bridge.offline.activity import ActivityLog
from plugin_bridge.offline.parts import Part, PartConditions, parts_of, summed
from plugin_bridge.offline.presence import Pairs, within_stretches
from plugin_bridge.offline.report import Report, StemReport
from plugin_bridge.offline.wiener import wiener_filtered
from realtime import Separator
from realtime.arrays import Audio
from realtime.model import Model
from realtime.separator import RESIDUAL

MODES = ("isolate", "remove")
BLOCK_S = 4.0  # long enough for the separator to work on many frames at once
ALL_BLOCKS_S = 32.0  # of all targets together: more of them get shorter blocks, not more memory
MOST_PASSES = 10
"""Of the Wiener filter; each costs as much as the first, and soon nothing changes any more."""
MIX = "mix"  # the file of the sum of all stems
Progress = Callable[[int], None]
"""Told how many more samples are done."""


@dataclass(frozen=True)
class RenderSettings:
    """What is taken out of a file, and how it is written.

    Parameters
    ----------
    targets : in the order of their stems.
    tier : one of the model's.
    mode : "isolate" writes a file a target and one of what is left, "remove" only what is left.
    automation : lanes that move the targets. Where they also move levels (mix, mode, gain,
        bypass), a target's file is what its plugin would put out.
    chains : JSON files of plugins by stem; the sum of all stems is then written as ``mix``.
    timbres : of the targets' examples, by name.
    wiener_passes : of `plugin_bridge.offline.wiener`, before the plugins; offline and of stereo.
    container, subtype : of the files; None: as the input's.
    force : replace files that are there.

    Raises
    ------
    ValueError for targets that cannot be taken together (`check_targets`), a mode that there is
    not, or a number of passes out of range.
    """

    targets: Sequence[Target]
    tier: str = "offline"
    mode: str = "isolate"
    automation: Automation = field(default_factory=Automation)
    chains: Mapping[str, Path] = field(default_factory=dict)
    timbres: Mapping[str, TimbrePair] = field(default_factory=dict)
    wiener_passes: int = 0
    container: str | None = None
    subtype: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        check_targets(self.targets)
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}, expected one of {', '.join(MODES)}")
        if not 0 <= self.wiener_passes <= MOST_PASSES:
            raise ValueError(
                f"wiener is {self.wiener_passes}, expected a number of passes, 0 to {MOST_PASSES}"
            )

    @property
    def target_names(self) -> list[str]:
        """Return the names of the targets, in order."""
        return [target.name for target in self.targets]


@dataclass(frozen=True)
class RenderPlan:
    """A render that can begin: everything is checked and loaded."""

    settings: RenderSettings
    separator: Separator
    parts: Sequence[Part]
    conditions: LaneConditions
    mixer: StemMixer | None
    sample_format: SampleFormat


def plan_render(source: AudioReader, model: Model, settings: RenderSettings) -> RenderPlan:
    """Check and load what a render of `source` needs.

    Raises
    ------
    StemsteerError for a chain that cannot be used, ValueError for values that do not go together.
    """
    if settings.wiener_passes and (settings.tier != "offline" or source.channels != 2):
        raise ValueError(
            f"{settings.wiener_passes} Wiener passes of {source.channels} channels in the tier "
            f"{settings.tier!r}: they need the tier offline and two channels"
        )
    conditions = _conditions(model, settings, source.sample_rate)
    parts = parts_of(settings.targets, model.spec, settings.automation)
    separator = Separator(
        model,
        source.sample_rate,
        targets=settings.target_names if len(parts) == len(settings.targets) else len(parts),
        tier=settings.tier,
        channels=source.channels,
        conditions=PartConditions(conditions, parts, model.spec),
        select=has_own_sources(model.spec),
    )
    return RenderPlan(
        settings,
        separator,
        parts,
        conditions,
        _mixer(settings, conditions, source),
        format_like(source, settings.container, settings.subtype),
    )


def stem_paths(source: AudioReader, settings: RenderSettings, folder: Path) -> dict[str, Path]:
    """Return the files that a render without plugins writes into `folder`, by name."""
    container = format_like(source, settings.container, settings.subtype).container
    return {name: folder / f"{name}.{container}" for name in (*settings.target_names, RESIDUAL)}


def written_paths(source: AudioReader, settings: RenderSettings, folder: Path) -> dict[str, Path]:
    """Return the files that `render` writes into `folder`, by name, in order."""
    container = format_like(source, settings.container, settings.subtype).container
    names = [RESIDUAL]
    if settings.mode != "remove":
        names = [*settings.target_names, RESIDUAL, *([MIX] if _is_mixed(settings) else [])]
    return {name: folder / f"{name}.{container}" for name in names}


def aligned_stems(blocks: Iterator[Audio], separator: Separator) -> Pairs:
    """Yield pairs of mixture and stems in step with each other.

    The latency is trimmed: what comes out in all is as long as what went in. The mixture keeps its
    dtype: samples of 32 bits that come in float64 leave as they came.
    """
    to_skip = separator.latency
    waiting: Audio | None = None
    for block in blocks:
        waiting = block if waiting is None else np.concatenate([waiting, block], axis=1)
        out = separator.process(block.astype(np.float32, copy=False))
        skipped = min(to_skip, out.shape[2])
        to_skip -= skipped
        ready = out.shape[2] - skipped
        if ready:
            yield waiting[:, :ready], out[:, :, skipped:]
        waiting = waiting[:, ready:]
    # The input ends where the stems are still `latency` samples behind: they follow here, without
    # what was skipped if the file is shorter than the latency.
    if waiting is not None:
        yield waiting, separator.flush()[:, :, to_skip:]


def separated(plan: RenderPlan, blocks: Iterator[Audio]) -> Pairs:
    """Yield pairs of mixture and stems, refined if that is wanted, of blocks (channels, n)."""
    aligned = aligned_stems(blocks, plan.separator)
    pairs = ((mixture, summed(stems, plan.parts)) for mixture, stems in aligned)
    passes, rate_hz = plan.settings.wiener_passes, plan.separator.sample_rate
    refined = wiener_filtered(pairs, passes, rate_hz) if passes else pairs
    return within_stretches(refined, [t.stretches_s for t in plan.settings.targets], rate_hz)


def render(
    source: AudioReader,
    model: Model,
    settings: RenderSettings,
    folder: Path,
    *,
    progress: Progress = lambda samples: None,
    naming: Naming = lambda hidden: None,
) -> Report:
    """Write the stems of a file into `folder`.

    Raises
    ------
    StemsteerError for files that cannot be read or written, ValueError for values out of range.
    In either case, and when interrupted, no file is left behind.
    """
    plan = plan_render(source, model, settings)
    names = settings.target_names
    activities = ActivityLog(plan.separator, [names[part.owner] for part in plan.parts])
    paths = written_paths(source, settings, folder)
    began_s = time.perf_counter()
    with StemFiles(paths, source, plan.sample_format, force=settings.force, naming=naming) as files:
        latency = plan.separator.latency
        block_s = min(BLOCK_S, ALL_BLOCKS_S / max(1, len(plan.parts)))
        pairs = separated(plan, source.blocks(round(block_s * source.sample_rate), source.dtype))
        with closing(_write(files, pairs, plan)) as blocks:  # whatever ends this, nothing writes on
            for n_samples in blocks:
                progress(n_samples)
    took_s = time.perf_counter() - began_s
    told = ("azimuth", "width") if takes_width(model.spec) else ("azimuth",)
    directions = {name: _direction(plan.conditions, name, told) for name in names}
    return Report(
        input=str(source.path),
        model=model.spec.name,
        tier=settings.tier,
        sample_rate=source.sample_rate,
        frames=files.n_samples,
        latency_samples=latency,
        real_time_factor=round(took_s * source.sample_rate / files.n_samples, 6),
        stems=tuple(
            StemReport.of(
                name,
                paths[name],
                directions.get(name, {}),
                writer,
                activities.of(name, files.n_samples / source.sample_rate),
            )
            for name, writer in files.writers.items()
        ),
        model_faults=plan.separator.model_faults,
    )


def _write(files: StemFiles, pairs: Pairs, plan: RenderPlan) -> Generator[int, None, None]:
    """Write the stems, and yield how many samples of them at a time.

    A block is encoded and written while the next one is separated, so that both cores of a machine
    have work; no more than one waits, so that memory does not grow where the disk is slower.
    """
    if plan.mixer is not None:
        yield from _write_mixed(files, pairs, plan.mixer)
        return
    position = 0
    waiting: Future[None] | None = None
    with ThreadPoolExecutor(1, "stemsteer-writer") as writer:
        for mixture, stems in pairs:
            if waiting is not None:
                waiting.result()
            waiting = writer.submit(_writing(files, plan, position, mixture, stems))
            position += mixture.shape[1]
            yield mixture.shape[1]
        if waiting is not None:
            waiting.result()


def _writing(
    files: StemFiles, plan: RenderPlan, position: int, mixture: Audio, stems: NDArray[np.float32]
) -> Callable[[], None]:
    """Return what writes a block of every stem that is wanted, from `position` in the file on."""
    if plan.settings.mode == "remove":
        return partial(files.write, stems[-1], stems[:0])
    if plan.conditions.has_unity_levels:
        return partial(files.write, mixture, stems[:-1])
    return partial(files.write_each, [*plan.conditions.outputs(position, stems), stems[-1]])


def _write_mixed(files: StemFiles, pairs: Pairs, mixer: StemMixer) -> Iterator[int]:
    """Write the stems as they come out of their plugins, and their sum."""
    for stems in compensated(mixer, (stems for _, stems in pairs)):
        files.write_each([*stems, stems.sum(0)])
        yield stems.shape[2]


def _is_mixed(settings: RenderSettings) -> bool:
    """Return whether there are plugins on the stems, or lanes that expect some."""
    owners = (*settings.target_names, RESIDUAL, ALL)
    return bool(settings.chains) or any(map(settings.automation.parameters, owners))


def _mixer(
    settings: RenderSettings, conditions: LaneConditions, source: AudioReader
) -> StemMixer | None:
    """Return the plugins on the stems, if it is to be mixed."""
    if not _is_mixed(settings):
        return None
    from plugin_bridge.hosting.chain_file import read_chain  # pedalboard is slow to import

    if settings.mode != "isolate":
        raise ValueError(EVERY_STEM_IS_HEARD)
    if MIX in map(name_key, conditions.targets):
        raise ValueError(f"a target is called {MIX!r}, as the sum of all stems is; rename it")
    chains = {
        stem: read_chain(path, source.sample_rate, source.channels)
        for stem, path in settings.chains.items()
    }
    return StemMixer(chains, conditions, source.channels)


def _conditions(model: Model, settings: RenderSettings, sample_rate: int) -> LaneConditions:
    """Return the conditions of every frame: the lanes, else the targets' own directions."""
    settings.automation.check_targets(settings.target_names)
    tier = model.spec.tier_at(settings.tier, sample_rate)
    return conditions_of(
        model.spec, settings.automation, settings.targets, tier, sample_rate, settings.timbres
    )


def _direction(
    conditions: LaneConditions, target: str, told: Sequence[str]
) -> dict[str, float | None]:
    """Return what of azimuth and width a model is told of a target; None where it moves."""
    return {name: conditions.lane_or_default(target, name).constant for name in told}
