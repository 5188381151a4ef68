"""The classifier of instruments: what it is fitted to, and when that is drawn again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models_onnx.training import fit_heard
from realtime.encoder import OnnxEncoder, load_encoder
from tests.support.timbres import Songs


class Listened(OnnxEncoder):
    """An encoder of three numbers that counts what it hears."""

    count = 0

    def encode(self, audio: np.ndarray) -> np.ndarray:
        self.count += 1
        return audio[0, :3]


@pytest.fixture
def songs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Songs]:
    """Songs by the names of their folders."""
    found = {"few": Songs(2), "others": Songs(2, others={"flute": "vocals"}), "more": Songs(3)}
    monkeypatch.setattr(fit_heard, "open_collection", lambda folder, part: found[folder.name])
    return found


@pytest.mark.parametrize(
    "other",
    [{"folders": [Path("others")]}, {"count": 4}, {"seed": 2}, {"part": "test"}, "more", "others"],
    ids=["songs", "pieces", "seed", "part", "more songs", "other songs in the same folder"],
)
def test_pieces_are_drawn_again_only_where_others_are_asked_for(
    songs: dict[str, Songs], tmp_path: Path, other: dict[str, object] | str
) -> None:
    heard = Listened(load_encoder().path)
    about = {"folders": [Path("few")], "count": 3, "seed": 1, "part": "train"}
    kept = tmp_path / "kept.npz"
    first = fit_heard.pieces(**about, encoder=heard, kept=kept)
    assert heard.count == 3
    again = fit_heard.pieces(**about, encoder=heard, kept=kept)
    assert heard.count == 3
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, again, strict=True))
    if isinstance(other, str):
        songs["few"], other = songs[other], {}
    fit_heard.pieces(**{**about, **other}, encoder=heard, kept=kept)
    assert heard.count > 5


def test_another_encoder_hears_the_pieces_anew(songs: dict[str, Songs], tmp_path: Path) -> None:
    shutil.copy(load_encoder().path, tmp_path / "same.onnx")
    shutil.copy(load_encoder().path, tmp_path / "longer.onnx")
    with (tmp_path / "longer.onnx").open("ab") as file:
        file.write(b"other")
    counts = {}
    for name in ("same", "longer"):
        heard = Listened(load_encoder().path)
        heard.path = tmp_path / f"{name}.onnx"
        for _ in range(2):
            fit_heard.pieces([Path("few")], 2, 0, heard, tmp_path / "kept.npz", part="train")
        counts[name] = heard.count
    assert counts == {"same": 2, "longer": 2}


def test_what_is_there_is_what_is_above_the_level_that_is_told() -> None:
    """Pieces at -15 dB have the instrument, those at -20 dB say nothing, and -30 dB is without."""
    levels = np.repeat([fit_heard.AUDIBLE_DB + 1, -20.0, -30.0], 20)
    vectors = np.repeat([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], 20, axis=0)
    weights = fit_heard.fitted(vectors, levels)
    assert weights[0] > 1  # tells them apart
    assert abs(weights[1]) < 1e-3  # heard only where nobody can say
