"""Songs to judge models by timbre on, and a tiny model that is judged."""

import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from models_onnx.data.sets.shards import INDEX
from models_onnx.evaluation.timbre_scenes import real_songs
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_task import TimbreTask
from tests.support.commands import onnx_command
from tests.support.timbres import FAMILIES, RATE_HZ, Songs, sound

INSTRUMENTS = {"01": "drum set", "02": "electric bass", "03": "male singer"}
BANDS = {"01": "drums", "02": "bass", "03": "vocals"}


def write_songs(folder: Path, seconds: float = 2.0) -> Path:
    """Write two songs in the layout of MedleyDB's excerpts."""
    for seed, song in enumerate(("One", "Two")):
        lines = ["stems:"]
        for number, instrument in INSTRUMENTS.items():
            rng = np.random.default_rng([seed, int(number)])
            mono = sound(rng, BANDS[number], int(seconds * RATE_HZ)).astype(np.float32)
            place = folder / song / f"stem_{number}.flac"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, np.stack([mono, mono], 1), RATE_HZ)
            lines += [f"  S{number}:", f"    instrument: {instrument}"]
        (folder / song / "METADATA.yaml").write_text("\n".join(lines))
    return folder


def write_named(folder: Path, songs: Path) -> Path:
    """Write the stems of songs as <song>/<instrument>.wav, and a mix that is none of them."""
    for scene in real_songs(songs):
        (folder / scene.name).mkdir(parents=True)
        for name, audio in zip(
            ("mix", *scene.classes), (scene.mixture, *scene.images), strict=True
        ):
            soundfile.write(folder / scene.name / f"{name}.wav", audio.T, RATE_HZ, subtype="FLOAT")
    return folder


def write_shards(folder: Path) -> Path:
    """Write songs as the renderer does."""
    lines = []
    for number in range(3):
        sources = Songs(3, 2.0).sources(number)
        stems = np.stack([s.read(0, s.samples) for s in sources])
        np.save(folder / f"{number}.npy", np.rint(stems * 32767).astype(np.int16))
        labels = [
            {"class": s.label.name, "family": FAMILIES[s.label.name], "role": ""} for s in sources
        ]
        lines.append({"file": f"{number}.npy", "seed": number, "samples": stems.shape[2],
                      "stems": labels})  # fmt: skip
    (folder / INDEX).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def export_tiny(folder: Path) -> Path:
    """Export a tiny model by timbre that has learned nothing."""
    torch.manual_seed(0)
    network, spec, about = registry.build("timbre", "tiny")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), about).save(folder)
    command = ["timbre", "--checkpoint", str(folder), "--out", str(folder / "steer.onnx")]
    assert onnx_command(export_main, *command).exit_code == 0
    return folder / "steer.onnx"


class Deaf:
    """An encoder that hears nothing in anything."""

    def encode(self, clip: np.ndarray) -> np.ndarray:
        return np.zeros(8, np.float32)
