"""What a model gained stands in its file, by tier and instrument."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from models_onnx import commands
from models_onnx.export import gains
from realtime.model import OnnxModel
from realtime.spec import Tier
from tests.support.fakes import fake_spec
from tests.support.models import timbre_model

CLASSES = {"vocals": (1.0, 0.0), "drums": (0.0, 1.0)}


def measure(path: Path, *rows: tuple[str, str, float]) -> Path:
    """A file of rows: system, instrument, gain, which is none of what is absent."""
    made = [
        {
            "system": s,
            "instrument": i,
            "gain_db": g,
            "absent": bool(np.isnan(g)),
            "si_sdr_db": None if np.isnan(g) else g,
        }
        for s, i, g in rows
    ]
    path.write_text(json.dumps(made))
    return path


def write(model: Path, *measured: str) -> Result:
    options = [word for one in measured for word in ("--measured", one)]
    return CliRunner().invoke(commands.app(gains.main), [str(model), *options])


def test_the_first_file_of_a_tier_counts(tmp_path):
    model = timbre_model(tmp_path / "made.onnx", CLASSES)
    before = OnnxModel(model)
    rows = measure(
        tmp_path / "a.json",
        ("name", "vocals", 4.0), ("name", "vocals", 5.0), ("query", "vocals", 9.0),
        ("name", "drums", float("nan")),
    )  # fmt: skip
    more = measure(tmp_path / "b.json", ("name", "vocals", 7.5), ("name", "drums", -1.0))
    done = write(model, str(rows), f"live={rows}", f"live={more}")
    assert done.exit_code == 0, done.output
    after = OnnxModel(model)
    assert after.spec.gains_db == {"live": {"vocals": 4.5, "drums": -1.0}}
    assert after.spec.classes == before.spec.classes
    assert after.spec.tiers == before.spec.tiers


def test_neither_other_hops_nor_what_is_nearly_alone_count():
    live, direct = Tier(2048, 512, 256), Tier(2048, 256, 128, turns=2)
    spec = fake_spec(tiers={"direct": direct, "live": live, "offline": live})
    about = {"system": "name", "instrument": "vocals", "absent": False}
    rows = [
        {**about, "gain_db": 4.0, "si_sdr_db": 1.0},
        {**about, "gain_db": -9.0, "si_sdr_db": 40.0},
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gains, "_rows", lambda file: rows)
        found = gains.with_gains(spec, ["a.json"]).gains_db
    assert found == {"live": {"vocals": 4.0}, "offline": {"vocals": 4.0}}


def test_tiers_that_no_file_is_of_keep_their_gains():
    live, studio = Tier(2048, 512, 256), Tier(4096, 4096, 256)
    spec = fake_spec(
        tiers={"live": live, "studio": studio},
        gains_db={"live": {"vocals": 3.0}, "studio": {"vocals": 5.0}},
    )
    rows = [
        {"system": "name", "instrument": "drums", "absent": False, "gain_db": 6.0, "si_sdr_db": 1.0}
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gains, "_rows", lambda file: rows)
        of_studio = gains.with_gains(spec, ["studio=a.json"]).gains_db
        of_live = gains.with_gains(spec, ["a.json"]).gains_db
    assert of_studio == {"live": {"vocals": 3.0}, "studio": {"drums": 6.0}}
    assert of_live == {"live": {"drums": 6.0}, "studio": {"vocals": 5.0}}


def test_a_file_may_have_an_equals_sign_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = timbre_model(tmp_path / "made.onnx", CLASSES)
    measure(tmp_path / "run=1.json", ("name", "vocals", 4.0))
    done = write(model, "run=1.json")
    assert done.exit_code == 0, done.output
    assert OnnxModel(model).spec.gains_db == {"live": {"vocals": 4.0}}


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ("there=a.json", "there is no file of this name, and as TIER=FILE 'there' is no tier"),
        ("b.json", "No such file"),
        ("c.json", "does not hold"),
        ("direction.json", "direction.json has no rows by name"),
        ("absent.json", "absent.json has no rows by name"),
        ("empty.json", "empty.json has no rows by name"),
    ],
)
def test_what_is_no_measurement_is_said_and_changes_nothing(tmp_path, monkeypatch, measured, said):
    monkeypatch.chdir(tmp_path)
    model = timbre_model(tmp_path / "made.onnx", CLASSES)
    bytes_before = model.read_bytes()
    measure(tmp_path / "a.json", ("name", "vocals", 4.0))
    Path("c.json").write_text("{}x")
    measure(tmp_path / "direction.json", ("direction", "vocals", 4.0))
    measure(tmp_path / "absent.json", ("name", "vocals", float("nan")))
    measure(tmp_path / "empty.json")
    done = write(model, measured)
    assert done.exit_code == 1
    assert said in done.output
    assert model.read_bytes() == bytes_before
