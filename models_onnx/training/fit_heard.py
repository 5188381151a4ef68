"""Fit the classifier of instruments: ``python -m models_onnx fit-heard --data SONGS --out FILE``.

Pieces of scenes, mixed as productions are, are heard by the encoder; for each instrument a logistic
regression on its vector learns whether it is among them. What was drawn is kept beside OUT, and
drawn again only by another encoder, of other songs or from another seed. Held-out songs say how
well it hears.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import minimize
from scipy.stats import rankdata

from models_onnx import commands
from models_onnx.data import production
from models_onnx.data.classes import ACCOMPANIMENT, CLASSES
from models_onnx.data.collections import open_collection
from models_onnx.data.mixer import Mixing, draw
from models_onnx.data.sources import Collection, Part, Source
from models_onnx.strict_json import to_json
from plugin_bridge.timbre.heard import HEARD, PIECE_S, Classifier
from realtime.atomic import atomic_write, sha256_of
from realtime.encoder import OnnxEncoder, load_encoder

Doubles = NDArray[np.float64]
MIXING = Mixing(sources=(1, 6), rate=0.05, silent=0.0)
AUDIBLE_DB = -16.0
UNCLEAR_DB = (-24.0, AUDIBLE_DB)
"""Level against the mixture above which an instrument is heard; between these nobody can say, and
it is not counted."""
RIDGE = 1e-4
FEWEST = 5
LEFT_OUT = ("other", "fx")


def pieces(
    folders: list[Path], count: int, seed: int, encoder: OnnxEncoder, kept: Path, *, part: Part
) -> tuple[Doubles, Doubles]:
    """Return vectors (pieces, size) and levels (pieces, classes), dB against the mixture.

    Parameters
    ----------
    kept : file of them; those that are in it are returned if they are the same pieces, by the same
        encoder, and replaced if not.
    part : of data sets in parts.
    """
    collections = [open_collection(folder, part=part) for folder in folders]
    drawn = to_json(
        {
            "encoder": [encoder.spec.encoder, sha256_of(encoder.path)],
            "songs": [collection.origin for collection in collections],
            "part": part,
            "pieces": count,
            "seed": seed,
            "classes": CLASSES,
        }
    )
    if kept.exists():
        with np.load(kept) as stored:
            if "drawn" in stored and str(stored["drawn"]) == drawn:
                return stored["Z"].astype(np.float64), stored["Y"].astype(np.float64)
    vectors, levels = [], []
    for number in track(range(count), "pieces", console=Console(stderr=True)):
        rng = np.random.default_rng([seed, number])
        song = song_of_classes(rng, collections)
        if rng.random() < 0.5:
            song += song_of_classes(rng, collections)
        if not song:
            continue
        scene = draw(
            rng, song, PIECE_S, mixing=MIXING, seats=production.seats, finish=production.finish
        )
        whole = float(np.square(scene.mixture).sum())
        if whole < 1e-3:
            continue
        level = np.full(len(CLASSES), -99.0)
        for name in set(scene.classes):
            own = scene.images[[c == name for c in scene.classes]].sum(0)
            level[CLASSES.index(name)] = 10 * np.log10(float(np.square(own).sum()) / whole + 1e-9)
        vectors.append(encoder.encode(np.ascontiguousarray(scene.mixture, np.float32)))
        levels.append(level)
    with atomic_write(kept) as hidden, hidden.open("wb") as file:
        np.savez(file, Z=vectors, Y=levels, drawn=drawn)
    return np.array(vectors, np.float64), np.array(levels)


def song_of_classes(rng: np.random.Generator, collections: list[Collection]) -> list[Source]:
    """Draw a song; give those of its sources that are an instrument of a class."""
    collection = collections[int(rng.choice(len(collections)))]
    song = collection.sources(int(rng.integers(len(collection))))
    return [s for s in song if production.real_voice(s.label) and s.label.name != ACCOMPANIMENT]


def fitted(vectors: Doubles, levels: Doubles) -> Doubles:
    """Return the weights (size + 1,) of a logistic regression with a ridge, the bias last."""
    clear = (levels < UNCLEAR_DB[0]) | (levels > UNCLEAR_DB[1])
    x = np.c_[vectors[clear], np.ones(int(clear.sum()))]
    sign = np.where(levels[clear] > AUDIBLE_DB, 1.0, -1.0)

    def cost(w: Doubles) -> tuple[float, Doubles]:
        margin = sign * (x @ w)
        slope = -sign / (1 + np.exp(margin))
        free = np.append(w[:-1], 0.0)
        loss = np.logaddexp(0, -margin).mean() + RIDGE * float(free @ free) / 2
        return float(loss), x.T @ slope / len(x) + RIDGE * free

    found = minimize(cost, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)


def auc(there: NDArray[np.bool_], chance: Doubles) -> float:
    """Return the area under the ROC curve: how often what is there has the higher chance."""
    hits = int(there.sum())
    ranks = rankdata(chance)[there].sum() - hits * (hits + 1) / 2
    return float(ranks / max(1, hits * (there.size - hits)))


def tables(classifier: Classifier, vectors: Doubles, levels: Doubles) -> Table:
    """Return how well instruments are heard in pieces, each and all together."""
    chances = classifier.chances(vectors.astype(np.float32)).astype(np.float64)
    columns = [CLASSES.index(name) for name in classifier.instruments]
    clear = (levels < UNCLEAR_DB[0]) | (levels > UNCLEAR_DB[1])
    there = levels > AUDIBLE_DB
    table = Table(title=f"instruments heard in {len(vectors)} pieces of {PIECE_S:g} s")
    for title in ("", "pieces with it", "AUC", "F1", "precision", "recall"):
        table.add_column(title, justify="right" if title else "left")
    marked, told = [], []
    for k, column in enumerate(columns):
        own, chance = there[clear[:, column], column], chances[clear[:, column], k]
        marked.append(own)
        told.append(chance)
        if own.sum() >= FEWEST:
            table.add_row(classifier.instruments[k], *_cells(own, chance))
    table.add_section()
    table.add_row("all", *_cells(np.concatenate(marked), np.concatenate(told)))
    return table


def _cells(there: NDArray[np.bool_], chance: Doubles) -> list[str]:
    said = chance >= HEARD
    hits = int((said & there).sum())
    numbers = (
        auc(there, chance),
        2 * hits / max(1, int(said.sum() + there.sum())),
        hits / max(1, int(said.sum())),
        hits / max(1, int(there.sum())),
    )
    return [str(int(there.sum())), *(f"{number:.2f}" for number in numbers)]


def main(
    data: Annotated[list[Path], typer.Option(help="songs of the renderer; repeatable")],
    out: Annotated[Path, typer.Option(help="file to write, <encoder>.heard.json")],
    held_out: Annotated[list[Path], typer.Option(help="songs to judge it on; repeatable")],
    encoder: Annotated[str, typer.Option(help="name or file of the encoder")] = "listen",
    count: Annotated[int, typer.Option("--pieces", min=50, help="pieces to fit it to")] = 6000,
    judged: Annotated[int, typer.Option(min=50, help="pieces to judge it on")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other pieces")] = 1,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Fit the classifier, and print how well it hears."""
    commands.claim(out, force=force)
    loaded = load_encoder(encoder)
    kept = [out.with_name(f"{out.name}.{use}.npz") for use in ("fit", "judged")]
    vectors, levels = pieces(data, count, seed, loaded, kept[0], part="train")
    names = [
        name
        for k, name in enumerate(CLASSES)
        if name not in LEFT_OUT and (levels[:, k] > AUDIBLE_DB).sum() >= FEWEST
    ]
    weights = np.stack([fitted(vectors, levels[:, CLASSES.index(name)]) for name in names])
    found = Classifier(loaded.spec.encoder, tuple(names), weights.astype(np.float32))
    with atomic_write(out) as hidden:
        found.save(hidden)
    judged_on = pieces(held_out, judged, seed + 1, loaded, kept[1], part="test")
    Console(width=100).print(tables(found, *judged_on))
