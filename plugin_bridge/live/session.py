"""Live: what comes in goes through the engine and out again, while hands are on the controls."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from plugin_bridge.automation import Automation, LaneConditions
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.control.surface import Meters
from plugin_bridge.files.audio_reader import AudioReader, AudioWriter, SampleFormat
from plugin_bridge.files.recorder import StemRecorder
from plugin_bridge.files.stem_files import check_writable
from plugin_bridge.files.targets import Target
from plugin_bridge.hosting.stem_mixer import StemMixer
from plugin_bridge.live.output_stage import OutputStage
from realtime import Separator
from realtime.errors import StemsteerError
from realtime.model import Model
from realtime.separator import RESIDUAL
from realtime.stft import Audio
from realtime.threaded import ThreadedProcessor

if TYPE_CHECKING:
    from plugin_bridge.hosting.chain import PluginChain


@dataclass(frozen=True)
class LiveSettings:
    """How a live session is set up; `block` and `slack` in samples."""

    targets: Sequence[Target]
    sample_rate: float
    block: int = 256
    slack: int = 256
    tier: str = "live"
    automation: Automation = field(default_factory=Automation)
    chains: Mapping[str, Path] = field(default_factory=dict)
    tape: Path | None = None
    force: bool = False


class LiveSession:
    """A session: `process` is the body of a sound card's callback.

    What is played is the sum of the targets' outputs; with plugins on stems, of all stems.
    `board` is where controls are played and meters read.
    """

    def __init__(self, model: Model, settings: LiveSettings) -> None:
        names = [target.name for target in settings.targets]
        settings.automation.check_targets(names)
        tier = model.spec.tier_at(settings.tier, settings.sample_rate)
        starts = {
            t.name: {"azimuth": t.azimuth_deg, "width": t.width_deg} for t in settings.targets
        }
        chains = _load(settings)
        self.board = LiveLanes(
            settings.automation,
            names,
            starts,
            tier.hop / settings.sample_rate,
            parameters={stem: chain.controls() for stem, chain in chains.items()},
            meters=self._meters,
        )
        self.board.record = {} if settings.tape else None
        steering = LaneConditions(self.board, names, tier, settings.sample_rate, starts)
        separator = Separator(
            model, settings.sample_rate, targets=names, tier=settings.tier, block=tier.hop,
            conditions=steering,
        )  # fmt: skip
        mixer = None
        if chains:
            mixer = StemMixer(
                chains, steering, 2, first=-separator.latency, block=tier.hop, live=True
            )
        stems = (*names, RESIDUAL)
        self.tape = (
            StemRecorder(settings.tape, stems, settings.sample_rate, 2, settings.force)
            if settings.tape
            else None
        )
        self.strip = OutputStage(separator, steering, mixer, self.tape.take if self.tape else None)
        self.engine = ThreadedProcessor(self.strip, block=settings.block, slack=settings.slack)
        self._all = bool(chains)

    def process(self, block: Audio) -> Audio:
        """Take a block (2, n), give what is to be heard; never waits or raises."""
        stems = self.engine.process(block)
        heard: Audio = (stems if self._all else stems[:-1]).sum(0)
        return heard

    @property
    def latency_s(self) -> float:
        """From `process` to `process`, without the sound card's own."""
        return self.engine.latency / self.strip.sample_rate

    def __enter__(self) -> LiveSession:
        if self.tape:
            self.tape.start(self.strip.latency)
        self.engine.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.engine.stop()
        if self.tape:
            masked = [StemsteerError] if isinstance(error, Exception) else []  # the first counts
            with contextlib.suppress(*masked):
                self.tape.close()

    def _meters(self, instance: str) -> Meters:
        counters = self.engine.counters
        return {
            **self.strip.meters(instance),
            "latency": (float(self.engine.latency),),
            "load": (counters.load,),
            "dropouts": (float(counters.late_blocks),),
        }


def play_file(
    live: LiveSession,
    source: AudioReader,
    to: Path | None,
    *,
    block: int,
    seconds: float | None = None,
    force: bool = False,
) -> None:
    """A file in the place of a sound card: at its pace, from disk and, if wanted, to disk.

    The output is `latency_s` late and that much longer than the file, as on a card, or than the
    first `seconds` of it.

    Raises StemsteerError if `to` is there already and not to be replaced by `force`.
    """
    writer = None
    if to is not None:
        check_writable(to, source.path, force)
        writer = AudioWriter(to, source.sample_rate, 2, SampleFormat("wav", "FLOAT"), source.frames)
    begun_s, played = time.perf_counter(), 0
    try:
        blocks = None if seconds is None else math.ceil(seconds * source.sample_rate / block)
        for samples in _with_tail(source, blocks, live.engine.latency, block):
            due_s = begun_s + played / source.sample_rate
            time.sleep(max(0.0, due_s - time.perf_counter()))
            heard = live.process(samples)
            played += samples.shape[1]
            if writer:
                writer.write(heard)
    finally:
        if writer:
            writer.close()


def _load(settings: LiveSettings) -> Mapping[str, PluginChain]:
    if not settings.chains:
        return {}
    from plugin_bridge.hosting.chain import read_chain  # pedalboard is slow to import

    return {stem: read_chain(p, settings.sample_rate, 2) for stem, p in settings.chains.items()}


def _with_tail(source: AudioReader, blocks: int | None, tail: int, block: int) -> Iterator[Audio]:
    for samples in itertools.islice(source.blocks(block), blocks):
        yield np.ascontiguousarray(np.broadcast_to(samples, (2, samples.shape[1])))
    for first in range(0, tail, block):
        yield np.zeros((2, min(block, tail - first)), np.float32)
