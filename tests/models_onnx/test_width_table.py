"""What an asked width takes of a source: its middle, its wide part, and the others."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.data.scenes import EvaluationScene
from models_onnx.data.stems import image
from models_onnx.evaluation.width_table import GROUPS, WIDTHS_DEG, Row, main, measure
from realtime import load_model
from tests.support.commands import onnx_command

RATE_HZ = 44_100


def stem(seed: int, wide: float, seconds: float = 2.0) -> np.ndarray:
    """Noise (3, samples): the middle, and a wide part of another noise."""
    rng = np.random.default_rng(seed)
    middle, side = 0.1 * rng.standard_normal((2, int(seconds * RATE_HZ)))
    return np.stack([middle, wide * side, -wide * side]).astype(np.float32)


@pytest.fixture(scope="module")
def scene() -> EvaluationScene:
    azimuth_deg = np.float32([-30.0, 25.0])
    images = np.stack([image(stem(k, wide), azimuth_deg[k]) for k, wide in enumerate((0.3, 0.0))])
    images = images.astype(np.float32)
    return EvaluationScene(images.sum(0), images, azimuth_deg, ("wide", "point"))


def test_panorama_takes_more_of_the_wide_part_the_wider_it_is_asked(scene: EvaluationScene) -> None:
    rows = list(measure("panorama", load_model("panorama", "live"), "live", scene))
    assert [row.asked_deg for row in rows] == [w for w in WIDTHS_DEG for _ in range(2)]
    wide, point = rows[0::2], rows[1::2]
    assert {row.group for row in point} == {GROUPS[0]}
    assert {row.group for row in wide} == {GROUPS[2]}
    shares = [row.wide_db for row in wide]
    assert shares[-1] > shares[4] + 6
    assert wide[-1].middle_db > wide[0].middle_db
    assert wide[-1].rest_db > wide[0].rest_db + 6


def test_groups_are_by_what_a_source_fills_itself() -> None:
    fills = {0.0: GROUPS[0], 10.0: GROUPS[1], 29.0: GROUPS[1], 30.0: GROUPS[2], 90.0: GROUPS[2]}
    for filled_deg, group in fills.items():
        assert Row("a", 20.0, filled_deg, 0, 0, 0, 0).group == group


def test_the_picture_and_the_rows_are_written(tmp_path: Path) -> None:
    for name, wide in (("one", 0.3), ("two", 0.0)):
        place = tmp_path / "songs" / "song" / f"{name}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, image(stem(len(name), wide), 0.0).T, RATE_HZ)
    out = tmp_path / "width.png"
    command = ["--data", str(tmp_path / "songs"), "--model", "panorama", "--scenes", "1"]
    command += ["--seconds", "1", "--out", str(out)]
    result = CliRunner().invoke(commands.app(main), command)
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b"\x89PNG")
    rows = json.loads(out.with_suffix(".json").read_text())
    assert {row["asked_deg"] for row in rows} == set(WIDTHS_DEG)
    assert "wide part" in result.output


@pytest.mark.parametrize(
    ("out", "told"),
    [("w.json", "give a name in .png"), (".", "expected the name of a file")],
)
def test_a_picture_that_its_rows_would_replace_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = onnx_command(main, "--data", "songs", "--out", out)
    assert result.exit_code == 1
    assert told in result.output
    assert not list(tmp_path.iterdir())
