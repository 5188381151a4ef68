"""A live session: sound comes in, is separated and goes out, while its controls are moved."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation import Automation, conditions_of
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.control.surface import Meters
from plugin_bridge.control.target import Target, TimbrePair, check_targets
from plugin_bridge.control.target_conditions import facts_of, has_own_sources, numbers_of
from plugin_bridge.control.timbres_live import LiveTimbres
from plugin_bridge.files.recorder import LANES_FILE, StemRecorder
from plugin_bridge.hosting.stem_mixer import LEFT_OUT, StemMixer
from plugin_bridge.live.output_stage import OutputStage
from realtime import Separator
from realtime.arrays import Audio
from realtime.errors import StemsteerError
from realtime.model import Model
from realtime.separator import RESIDUAL
from realtime.spec import ModelSpec
from realtime.threaded import ThreadedProcessor

if TYPE_CHECKING:
    from plugin_bridge.hosting.chain import PluginChain


@dataclass(frozen=True)
class LiveSettings:
    """How a live session is set up; `block`, the largest one, and `slack` in samples.

    `wait`: whether sound may come late, as that of a file: then it waits for runs of a model that
    work beside the stream, and what is heard is what is rendered.

    Raises ValueError for targets that cannot be taken together (`check_targets`).
    """

    targets: Sequence[Target]
    sample_rate: float
    block: int = 256
    slack: int = 256
    tier: str = "live"
    automation: Automation = field(default_factory=Automation)
    chains: Mapping[str, Path] = field(default_factory=dict)
    timbres: Mapping[str, TimbrePair] = field(default_factory=dict)
    record_folder: Path | None = None
    force: bool = False
    wait: bool = False

    def __post_init__(self) -> None:
        check_targets(self.targets)


class LiveSession:
    """A session: `process` is the body of a sound card's callback.

    What is played is the sum of the targets' outputs; with plugins on stems, of all stems.
    `surface` is where controls are set and meters read.

    Raises
    ------
    ValueError for a lane of a target that is not there, or, with plugins, of mix, mode or bypass,
    and for a tier that the model has not.
    StemsteerError for a chain that cannot be used, or a recording that would replace files.
    """

    def __init__(self, model: Model, settings: LiveSettings) -> None:
        names = [target.name for target in settings.targets]
        settings.automation.check_targets(names)
        tier = model.spec.tier_at(settings.tier, settings.sample_rate)
        chains = _load(settings)
        folder = settings.record_folder
        self.moves = MoveLog(folder / LANES_FILE, force=settings.force) if folder else None
        timbres = LiveTimbres(
            names,
            settings.sample_rate,
            model.spec.timbre_encoder,
            {target.name: target.timbre_words for target in settings.targets},
        )
        self.surface = LiveLanes(
            settings.automation,
            names,
            {target.name: _values(target, model.spec) for target in settings.targets},
            tier.hop / settings.sample_rate,
            parameters={stem: chain.controls() for stem, chain in chains.items()},
            left_out=LEFT_OUT if chains else (),
            meters=self._meters,
            sound=lambda target: self.output_stage.sound(target),
            facts=facts_of(model.spec, settings.tier, settings.sample_rate),
            timbres=timbres,
            log=self.moves,
        )
        conditions = conditions_of(
            model.spec,
            self.surface,
            settings.targets,
            tier,
            settings.sample_rate,
            settings.timbres,
        )
        timbres.conditions = conditions.timbres
        separator = Separator(
            model, settings.sample_rate, targets=names, tier=settings.tier, block_multiple=tier.hop,
            conditions=conditions, select=has_own_sources(model.spec), wait=settings.wait,
        )  # fmt: skip
        mixer = None
        if chains:
            mixer = StemMixer(
                chains, conditions, 2, first=-separator.latency, block_multiple=tier.hop, live=True
            )
        stems = (*names, RESIDUAL)
        self.recorder = (
            StemRecorder(folder, stems, settings.sample_rate, 2, settings.force) if folder else None
        )
        self.output_stage = OutputStage(
            separator, conditions, mixer, self.recorder.put if self.recorder else None, timbres
        )
        self.processor = ThreadedProcessor(
            self.output_stage, max_block=settings.block, slack=settings.slack
        )
        self._plays_all = bool(chains)

    def process(self, block: Audio) -> Audio:
        """Take a block (2, n) and return what is to be played; never wait or raise."""
        return self.played(self.processor.process(block))

    def played(self, stems: NDArray[np.float32]) -> Audio:
        """Return what is to be played (2, n) of stems (stems, 2, n)."""
        played: Audio = (stems if self._plays_all else stems[:-1]).sum(0)
        return played

    def locate(self, sample: int) -> None:
        """Let the lanes go on from `sample` with the next block, in the thread that processes.

        What has been moved, and each timbre, stays as it is then. Not for what is recorded.
        """
        self.output_stage.locate(sample)
        self.surface.hold(sample / self.output_stage.sample_rate)
        self.output_stage.conditions.timbres.arrive()

    @property
    def fault(self) -> str:
        """Return why sound was left dry or a value of a plugin refused, empty if neither."""
        mixer = self.output_stage.mixer
        return self.processor.fault or (mixer.fault if mixer else "")

    @property
    def latency_s(self) -> float:
        """Return the seconds from input to output of `process`, without those of the sound card."""
        return self.processor.latency / self.output_stage.sample_rate

    def __enter__(self) -> LiveSession:
        if self.recorder:
            self._start_recording(self.recorder)
        self.processor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.processor.stop()
        if self.recorder:
            masked = [StemsteerError] if isinstance(error, Exception) else []  # the first counts
            with contextlib.suppress(*masked):
                self._end_recording(self.recorder)

    def _start_recording(self, recorder: StemRecorder) -> None:
        recorder.start(self.output_stage.latency)
        assert self.moves is not None
        try:
            self.moves.start(self.surface.lanes_at_start())
        except StemsteerError:
            recorder.close()
            raise

    def _end_recording(self, recorder: StemRecorder) -> None:
        """Finish sound and lanes, each of them whatever becomes of the other."""
        assert self.moves is not None
        try:
            recorder.close()
        finally:
            self.moves.close() if recorder.n_samples else self.moves.discard()

    def _meters(self, instance: str) -> Meters:
        counters = self.processor.counters
        return {
            **self.output_stage.meters(instance),
            "latency": (float(self.processor.latency),),
            "load": (counters.load,),
            "dropouts": (float(counters.late_blocks),),
        }


def _values(target: Target, spec: ModelSpec) -> dict[str, float]:
    """Return the values that the controls of a target begin with.

    A target of several instruments has no number for them: its control begins with any instrument.
    """
    numbers = numbers_of(target.instruments, spec)
    return target.values | ({"instrument": float(numbers[0])} if len(numbers) == 1 else {})


def _load(settings: LiveSettings) -> Mapping[str, PluginChain]:
    if not settings.chains:
        return {}
    from plugin_bridge.hosting.chain_file import read_chain  # pedalboard is slow to import

    return {stem: read_chain(p, settings.sample_rate, 2) for stem, p in settings.chains.items()}
