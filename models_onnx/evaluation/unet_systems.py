"""Systems 2 to 5: what each network is told of a scene, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models_onnx.data.classes import FAMILIES, FAMILY_OF, ORCHESTRA_13, UNSEEN
from models_onnx.evaluation import metrics
from models_onnx.evaluation.streaming import streamed
from models_onnx.evaluation.systems import sounding
from models_onnx.evaluation.timbre_scenes import TimbreScene
from models_onnx.export import OneStream, export
from models_onnx.export.unets import unet_stream
from models_onnx.networks import checkpoints, registry
from models_onnx.networks.unet.system import UNetSystem
from models_onnx.training.task import ACTIVE_DB
from plugin_bridge.offline.wiener import filtered
from realtime.encoder import FOLDER, LONGEST_S, OnnxEncoder
from realtime.errors import StemsteerError
from realtime.model import Model, OnnxModel

Floats = NDArray[np.float32]
RATE_HZ = 44_100
EXAMPLES = 5
PASSES = (0, 1, 2)
"""Of the Wiener filter over the masks of system 4."""


@dataclass(frozen=True)
class Ask:
    """One question: what a network is told of what is wanted, and of what is not; None: nothing.

    index : of the class in the scene, −1 for one that is absent.
    """

    system: str
    index: int
    instrument: str
    timbre: Floats
    against: Floats | None = None


@dataclass(frozen=True)
class UNetRow:
    """One question of one scene. What is absent has a level alone; see `metrics.silence_db`.

    song : of the scene, or the scene itself.
    """

    system: str
    scene: str
    instrument: str
    group: str
    gain_db: float
    si_sdr_db: float
    sd_sdr_db: float
    silence_db: float
    activity_f1: float = float("nan")
    song: str = ""


@dataclass(frozen=True)
class JudgedRun:
    """A network of a run as it streams, and the encoder of its timbres."""

    model: OnnxModel
    encoder: OnnxEncoder | None

    def named(self, name: str) -> Floats | None:
        """Return the timbre of a class by its name; None if it has none."""
        found = self.model.spec.classes.get(name)
        return None if found is None else np.array(found, np.float32)

    def heard(self, clip: Floats | None) -> Floats | None:
        """Return the timbre of a clip; None of silence, or of no clip."""
        if clip is None or self.encoder is None:
            return None
        try:
            return self.encoder.encode(clip[:, : round(LONGEST_S * RATE_HZ)])
        except ValueError:
            return None


def exported_run(runs: Path, config: str, folder: Path, gate: str = "none") -> JudgedRun:
    """Export the run of a configuration, as it is shipped, and load it.

    Raises StemsteerError if none of the runs in the folder `runs` is of it.
    """
    for path in sorted(runs.glob(f"*/{checkpoints.FILE}")):
        about = checkpoints.load(path)["about"]
        if (about.get("network"), about.get("config")) != ("unet", config):
            continue
        system, spec, _ = registry.restore(path)
        assert isinstance(system, UNetSystem)
        place = folder / f"{config}-{gate}"
        place.mkdir(parents=True)
        spec, stream = unet_stream(system, spec, place / FOLDER, gate=gate)
        file = export(OneStream(stream, list(spec.conditions)), spec, place / "net.onnx",
                      states=stream.states())  # fmt: skip
        heard = place / FOLDER / f"{spec.name}.onnx"
        return JudgedRun(OnnxModel(file), OnnxEncoder(heard) if heard.is_file() else None)
    raise StemsteerError(
        f"{runs} holds no run of {config!r}: `python -m models_onnx train-unet {config}` makes one"
    )


def separated(
    model: Model, mixture: Floats, asked: Sequence[Ask]
) -> tuple[Floats, NDArray[np.float32] | None]:
    """Stream a mixture (2, n): estimates (questions, 2, n), and the activity as `streamed` does."""
    nothing = np.zeros(model.spec.conditions["timbre"], np.float32)
    values = {
        "direction": np.array([(0.0, 90.0)] * len(asked), np.float32),
        "timbre": np.stack([ask.timbre for ask in asked]),
        "against": np.stack([nothing if a.against is None else a.against for a in asked]),
    }
    return streamed(model, next(iter(model.spec.tiers)), mixture, values)


def measure(
    ask: Ask, scene: TimbreScene, estimate: Floats, system: str = "", f1: float = float("nan")
) -> UNetRow:
    """Measure an estimate."""
    name, song, nan = system or ask.system, scene.song or scene.name, float("nan")
    true = np.zeros_like(estimate) if ask.index < 0 else scene.images[ask.index]
    silence_db = metrics.silence_db(estimate, true)
    row = UNetRow(name, scene.name, ask.instrument, "absent", nan, nan, nan, silence_db, nan, song)
    if ask.index < 0:
        return row
    reached = metrics.si_sdr_db(estimate, true)
    return replace(
        row,
        group="unseen" if ask.instrument in UNSEEN else "seen",
        gain_db=reached - metrics.si_sdr_db(scene.mixture, true),
        si_sdr_db=reached,
        sd_sdr_db=metrics.sd_sdr_db(estimate, true),
        activity_f1=f1,
    )


def of_queries(judged: JudgedRun, scene: TimbreScene) -> Iterator[UNetRow]:
    """Measure system 2: the mean of a class, a query, the true source; and both once more."""
    asked = []
    for k in scene.judged():
        name = scene.classes[k]
        ways = {
            "mean": judged.named(name),
            "query": judged.heard(scene.clip(name, 0)),
            "true source": judged.heard(scene.images[k]),
        }
        if ways["mean"] is None or ways["query"] is None or ways["true source"] is None:
            continue  # all of them or none: their difference is what is asked
        asked += [Ask(way, k, name, z) for way, z in ways.items() if z is not None]
    if not asked:
        return
    estimates, _ = separated(judged.model, scene.mixture, asked)
    again = []
    for ask, estimate in zip(asked, estimates, strict=True):
        yield measure(ask, scene, estimate)
        if ask.system != "true source" and (z := judged.heard(estimate)) is not None:
            again.append(replace(ask, system=f"{ask.system}, iterative", timbre=z))
    if again:
        for ask, estimate in zip(
            again, separated(judged.model, scene.mixture, again)[0], strict=True
        ):
            yield measure(ask, scene, estimate)


def nearest_seen(name: str, known: Mapping[str, object]) -> str:
    """Return the class of its family that a network of names knows, for one that it never met."""
    if name not in UNSEEN:
        return name
    others = [n for n in FAMILIES[FAMILY_OF[name]] if n not in UNSEEN and n in known]
    return others[0] if others else "piano"


def of_examples(few: JudgedRun, named: JudgedRun, scene: TimbreScene) -> Iterator[UNetRow]:
    """Measure system 3: one and five examples, five with counter-examples, and a one-hot class."""
    asked, classes = [], []
    for k in scene.judged():
        name = scene.classes[k]
        clips = [few.heard(scene.clip(name, n)) for n in range(EXAMPLES)]
        others = [few.heard(scene.clip(n, 0)) for n in scene.classes if n != name]
        vector = named.named(nearest_seen(name, named.model.spec.classes))
        one, many, unlike = mean(clips[:1]), mean(clips), mean(others)
        if vector is None or one is None or many is None or unlike is None:
            continue
        asked.append(Ask("1 example", k, name, one))
        asked.append(Ask("5 examples", k, name, many))
        asked.append(Ask("5 + counter-examples", k, name, many, unlike))
        classes.append(Ask("one-hot", k, name, vector))
    for judged, questions in ((few, asked), (named, classes)):
        if questions:
            found, _ = separated(judged.model, scene.mixture, questions)
            for ask, estimate in zip(questions, found, strict=True):
                yield measure(ask, scene, estimate)


def of_labels(
    runs: Mapping[str, JudgedRun], scene: TimbreScene, pictures: Mapping[str, str]
) -> Iterator[UNetRow]:
    """Measure system 4: told all that play, one of them, or what pictures show of them.

    Parameters
    ----------
    pictures : of instruments, what is recognised on a picture of each.
    """
    for config, judged in runs.items():
        takes_labels = "against" in judged.model.spec.conditions
        known = judged.model.spec.classes
        labels = {name: np.array(known[name], np.float32) for name in ORCHESTRA_13}
        playing = np.sum([labels[name] for name in scene.classes], axis=0)
        asked = []
        for name in ORCHESTRA_13:
            k = scene.classes.index(name) if name in scene.classes else -1
            others = playing * (1 - labels[name]) if takes_labels else None
            asked.append(Ask(config, k, name, labels[name], others))
        yield from _of_masks(judged, scene, asked)
        if not takes_labels:
            continue
        present = [ask for ask in asked if ask.index >= 0]
        alone = [replace(a, system=f"{config}, told one", against=None) for a in present]
        seen = np.sum([labels[pictures.get(n, n)] for n in scene.classes], axis=0)
        for ask in present:
            if (shown := pictures.get(ask.instrument)) is not None:
                others = np.minimum(seen, 1) * (1 - labels[shown])
                alone.append(Ask(f"{config}, by pictures", ask.index, ask.instrument,
                                 labels[shown], others.astype(np.float32)))  # fmt: skip
        found, _ = separated(judged.model, scene.mixture, alone)
        for ask, estimate in zip(alone, found, strict=True):
            yield measure(ask, scene, estimate)


def _of_masks(judged: JudgedRun, scene: TimbreScene, asked: Sequence[Ask]) -> Iterator[UNetRow]:
    """Measure all thirteen masks, and what passes of a Wiener filter over them make of these.

    Where labels multiply the masks those of absent instruments are nothing.
    """
    multiplies = "against" in judged.model.spec.conditions
    told = [k for k, ask in enumerate(asked) if ask.index >= 0 or not multiplies]
    estimates = np.zeros((len(asked), *scene.mixture.shape), np.float32)
    estimates[told] = separated(judged.model, scene.mixture, [asked[k] for k in told])[0]
    stems = np.concatenate([estimates, scene.mixture[None] - estimates.sum(0)])
    for passes in PASSES:
        done = filtered(scene.mixture, stems, passes) if passes else stems
        suffix = f", Wiener {passes}" if passes else ""
        for ask, estimate in zip(asked, done[:-1], strict=True):
            yield measure(ask, scene, estimate, ask.system + suffix)


def of_activity(runs: Mapping[str, JudgedRun], scene: TimbreScene) -> Iterator[UNetRow]:
    """Measure system 5: without the head, with it, and with its activity as a weight."""
    for system, judged in runs.items():
        asked = [
            Ask(system, k, scene.classes[k], vector)
            for k in scene.judged()
            if (vector := judged.named(scene.classes[k])) is not None
        ]
        if not asked:
            continue
        estimates, activity = separated(judged.model, scene.mixture, asked)
        true = sounding(scene, judged.model.spec.tier("offline"), ACTIVE_DB)
        for number, (ask, estimate) in enumerate(zip(asked, estimates, strict=True)):
            f1 = float("nan")
            if activity is not None:
                told, right = activity[number] > 0.5, true[ask.index]
                size = min(len(told), len(right))
                f1 = metrics.activity_f1(told[:size], right[:size])
            yield measure(ask, scene, estimate, f1=f1)


def mean(timbres: Sequence[Floats | None]) -> Floats | None:
    """Return the unit mean of timbres; None where there are none."""
    there = [t for t in timbres if t is not None]
    if not there:
        return None
    found = np.mean(there, axis=0)
    return np.asarray(found / (np.linalg.norm(found) + 1e-9), np.float32)
