"""The ways of asking for a class of a scene: by direction, by name, by examples, and once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from models_onnx.evaluation.systems import directions_off
from models_onnx.evaluation.timbre_scenes import TimbreScene
from realtime.arrays import Floats
from realtime.encoder import LONGEST_S, OnnxEncoder
from realtime.model import Model
from realtime.spec import ModelSpec

FREE, WIDTH_DEG = (0.0, 90.0), 20.0
TOGETHER = "together"
"""By name, in one stream with all other classes of the scene."""
WAYS = (
    "direction", "name", TOGETHER, "query", "few", "few, against", "both", "learned", "iterative",
    "true",
)  # fmt: skip
NAMED, POINTED = ("name", TOGETHER), ("direction", "both")
"""Ways that need no encoder: those of names, and those for which a model must take a direction."""
FIRST = {"learned": "direction", "iterative": "query"}
"""Ways that encode what another way has separated: two seconds of it, or all."""
LEARNED_S = 2.0
EXAMPLES = 5
OFF = ("direction", "both")
"""Ways that are also judged with a direction that is off, where that is asked for."""
ABSENT = ("vocals", "drums", "guitar", "piano", "saxophone", "violin", "trumpet", "organ")
RATE_HZ = 44_100


@dataclass(frozen=True)
class Question:
    """What the model is told: a direction, a timbre and a counter-example, zeros for none."""

    way: str
    index: int
    instrument: str
    direction: tuple[float, float]
    timbre: Floats
    against: Floats


def listed(ways: Sequence[str]) -> str:
    """Return ways of asking in a row, those with a comma in quotation marks, as in a terminal."""
    return ", ".join(f'"{way}"' if "," in way else way for way in ways)


def ways_of(spec: ModelSpec) -> list[str]:
    """Return the ways in which a model can be asked: without an encoder, those that need none."""
    if spec.encoder:
        return list(WAYS)
    able = NAMED + (POINTED if "direction" in spec.conditions else ())
    return [way for way in WAYS if way in able]


def ways_off(offs_deg: Sequence[float]) -> dict[str, tuple[str, float]]:
    """Return the ways of `OFF` with directions that are off: their names, and what they are."""
    return {f"{way}, {off:g}° off": (way, off) for off in offs_deg for way in OFF}


def questions(
    model: Model,
    encoder: OnnxEncoder | None,
    scene: TimbreScene,
    ways: Sequence[str],
    off: Mapping[str, tuple[str, float]] = MappingProxyType({}),
) -> list[Question]:
    """Ask for every class of a scene in every way that can be had, and for absent ones by name.

    A class that the model has no name for is asked for in the other ways alone.

    Parameters
    ----------
    encoder : of the model; None for one that is told names alone.
    off : ways with directions that are off, as `ways_off` gives them.
    """
    size = model.spec.conditions["timbre"]
    nothing = np.zeros(size, np.float32)
    names = {n: np.array(v, np.float32) for n, v in model.spec.classes.items()}
    asked = []
    for k in scene.judged():
        name = scene.classes[k]
        direction_deg = scene.azimuth_deg(k)
        clips = [_heard(encoder, scene.clip(name, n)) for n in range(EXAMPLES)]
        others = [c for n in scene.classes if n != name for c in [scene.clip(n, 0)]]
        unlike = [_heard(encoder, c) for c in others]
        for called in ways:
            way, off_deg = off.get(called, (called, 0.0))
            where = FREE
            if way in ("direction", "both"):
                side = 1 if k % 2 else -1  # to the left or to the right by turns
                where = (float(directions_off([direction_deg], off_deg, [side])[0]), WIDTH_DEG)
            timbre = _timbre(way, names.get(name, nothing), clips, encoder, scene.images[k])
            against = _mean(unlike) if way.endswith("against") else nothing
            told = way == "direction" or np.any(timbre)
            if told and (np.any(against) or not way.endswith("against")):
                asked.append(Question(called, k, name, where, timbre, against))
    if "name" in ways:
        for name in ABSENT:
            if name in names and name not in scene.classes:
                asked.append(Question("name", -1, name, FREE, names[name], nothing))
    return asked


def _timbre(
    way: str,
    named: Floats,
    clips: Sequence[Floats | None],
    encoder: OnnxEncoder | None,
    image: Floats,
) -> Floats:
    """Return the timbre that a way of asking tells of a class; zeros if it tells none.

    Parameters
    ----------
    named : the timbre of the class.
    clips : those of its examples.
    image : of the source itself in the scene (2, samples).
    """
    if way in ("name", TOGETHER, "both"):
        return named
    if way == "query":
        return _mean(clips[:1])
    if way.startswith("few"):
        return _mean(clips)
    if way == "true":
        return _mean([_heard(encoder, image)])
    return np.zeros_like(named)


def again(
    encoder: OnnxEncoder | None,
    scene: TimbreScene,
    asked: Sequence[Question],
    estimates: Floats,
    ways: Sequence[str],
) -> list[Question]:
    """Ask once more, with the timbres of what was separated.

    To learn, one listens where the source plays: in its loudest two seconds. All of an estimate is
    its loudest stretch that an encoder takes. Without an encoder nothing can be asked so.
    """
    found: list[Question] = []
    if encoder is None:
        return found
    for way in ways:
        for question, estimate in zip(asked, estimates, strict=True):
            if question.way != FIRST.get(way) or question.index < 0:
                continue
            try:
                if way == "learned":
                    heard = _loudest(scene.images[question.index], LEARNED_S)
                    rest = scene.mixture[:, heard] - estimate[:, heard]
                    timbre = encoder.encode_separated(estimate[:, heard], rest)
                else:
                    timbre = encoder.encode(estimate[:, _loudest(estimate, LONGEST_S)])
            except ValueError:  # silent
                continue
            nothing = np.zeros_like(timbre)
            found.append(Question(way, question.index, question.instrument, FREE, timbre, nothing))
    return found


def _loudest(audio: Floats, seconds: float) -> slice:
    """Return where the loudest stretch of a length is, of those a quarter of it apart."""
    count = min(audio.shape[1], round(seconds * RATE_HZ))
    starts = range(0, audio.shape[1] - count + 1, max(1, count // 4))
    places = (slice(a, a + count) for a in starts)
    return max(places, key=lambda place: float(np.square(audio[:, place]).sum()))


def _heard(encoder: OnnxEncoder | None, clip: Floats | None) -> Floats | None:
    """Return the timbre of a clip where it is loudest; None of silence, or of no clip."""
    if encoder is None or clip is None:
        return None
    try:
        return encoder.encode(clip[:, _loudest(clip, LONGEST_S)])
    except ValueError:  # silent
        return None


def _mean(timbres: Sequence[Floats | None]) -> Floats:
    """Return the mean of timbres, of unit length; zeros where there are none."""
    there = [t for t in timbres if t is not None]
    if not there:
        return np.zeros(1, np.float32)
    mean = np.mean(there, axis=0)
    return np.asarray(mean / (np.linalg.norm(mean) + 1e-9), np.float32)
