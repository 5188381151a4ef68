"""What is measured of one target of one scene by one system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models_onnx.data.scenes import EvaluationScene
from models_onnx.evaluation import metrics, spatial
from realtime.arrays import Floats

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One target of one scene by one system, and all that is measured of it; see `metrics`.

    `removed_db` and `kept_db` are the gains of the target and of the rest when the target is
    removed. `activity_f1` is that of the frames in which the target sounds, of models that tell.
    `error_deg` is by how much the direction was wrong, `misled` whether it was then nearer to
    another source than to the target. `coherence_error` to `srr_db` are of the spatial image, see
    `spatial`. `sdr_db` to `sar_db` are those of BSS Eval, where asked for. `song` is that of the
    scene.
    """

    system: str
    scene: int
    target: int
    instrument: str
    sources: int
    nearest_deg: float
    error_deg: float
    si_sdr_db: float
    gain_db: float
    sd_sdr_db: float
    level_difference_error_db: float
    silence_db: float
    removed_db: float
    kept_db: float
    activity_f1: float = NAN
    misled: bool = False
    coherence_error: float = NAN
    ssr_db: float = NAN
    srr_db: float = NAN
    sdr_db: float = NAN
    isr_db: float = NAN
    sir_db: float = NAN
    sar_db: float = NAN
    song: int = 0


def measure(
    system: str,
    number: int,
    scene: EvaluationScene,
    estimates: Floats | Sequence[Floats | None],
    *,
    f1: Sequence[float] = (),
    bss: bool = False,
) -> Iterator[Row]:
    """Measure the estimates of every target of a scene.

    Parameters
    ----------
    number : of the scene.
    estimates : (sources, 2, n); None of a source that the system does not know.
    f1 : that of the activity of every source, where it is known.
    bss : whether also by BSS Eval, which is slow.
    """
    known = [estimate for estimate in estimates if estimate is not None]
    complete = bss and len(known) == len(scene.images)  # BSS Eval looks at all of them at once
    scores = metrics.bss_eval_db(np.stack(known), scene.images) if complete else {}
    for k in scene.targets():
        estimate = estimates[k]
        if estimate is not None:
            bss_db = {name: float(values[k]) for name, values in scores.items()}
            yield _row(system, number, k, scene, estimate, f1[k] if f1 else NAN, bss_db)


def _row(
    system: str,
    number: int,
    k: int,
    scene: EvaluationScene,
    estimate: Floats,
    f1: float,
    bss_db: Mapping[str, float],
) -> Row:
    image = scene.images[k]
    distortion = spatial.distortion(estimate, image)
    reached = metrics.si_sdr_db(estimate, image)
    removed = kept = NAN
    if not system.startswith("mix"):  # of the mixture nothing would be left
        rest = scene.mixture - image
        removed, kept = metrics.leakage_db(scene.mixture - estimate, image, rest)
    return Row(
        system=system,
        scene=number,
        target=k,
        instrument=scene.names[k],
        sources=len(scene.images),
        nearest_deg=scene.nearest_deg(k),
        error_deg=0.0,
        si_sdr_db=reached,
        gain_db=reached - metrics.si_sdr_db(scene.mixture, image),
        sd_sdr_db=metrics.sd_sdr_db(estimate, image),
        level_difference_error_db=metrics.level_difference_error_db(estimate, image),
        silence_db=metrics.silence_db(estimate, image),
        removed_db=removed,
        kept_db=kept,
        activity_f1=f1,
        coherence_error=spatial.coherence_error(estimate, image),
        ssr_db=distortion.ssr_db,
        srr_db=distortion.srr_db,
        sdr_db=bss_db.get("SDR", NAN),
        isr_db=bss_db.get("ISR", NAN),
        sir_db=bss_db.get("SIR", NAN),
        sar_db=bss_db.get("SAR", NAN),
        song=scene.song,
    )
