"""What `stemsteer models`, `bench` and `doctor` say is so."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from plugin_bridge.diagnostics import doctor
from plugin_bridge.diagnostics import model_speed as bench
from plugin_bridge.model_choice import PREFERRED, choose_model
from plugin_bridge.model_library import found_models
from realtime import StemsteerError, find_model, load_model
from realtime.model import MODELS_VARIABLE, WEIGHTS
from realtime.spec import METADATA_KEY
from tests.support.commands import stemsteer
from tests.support.models import source_model

PROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text()


def write_model(path, spec=None, states=()):
    """A graph of masks = spectrum, with states that are asked for and not returned."""
    shape = ["frames", 2, "bins", 2]
    inputs = [helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, shape)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in states]
    masks = helper.make_tensor_value_info("masks", TensorProto.FLOAT, shape)
    node = helper.make_node("Identity", ["spectrum"], ["masks"])
    graph = helper.make_graph([node], "g", inputs, [masks])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    if spec is not None:
        helper.set_model_props(model, {METADATA_KEY: spec})
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of models of one's own: one good, four broken."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    spec = load_model("panorama").spec.to_json().replace('"steered"', '"channels"')
    (tmp_path / "good.onnx").write_bytes(find_model("panorama").read_bytes())
    (tmp_path / "corrupt.onnx").write_bytes(b"\x08\x07 not a graph")
    write_model(tmp_path / "foreign.onnx")
    write_model(tmp_path / "wrong.onnx", spec='{"schema": 99}')
    write_model(tmp_path / "forgetful.onnx", spec=spec, states=["state_memory"])
    return tmp_path


def test_models_lists_what_is_there_with_its_latency_and_licence():
    done = stemsteer("models", "--json")
    (panorama,) = [m for m in json.loads(done.stdout) if m.get("name") == "panorama"]
    spec = load_model("panorama").spec
    assert panorama["conditions"] == ["direction"]
    assert panorama["licence"] == spec.licence
    assert panorama["size_bytes"] == find_model("panorama").stat().st_size
    latency_ms = 1000 * spec.tiers["live"].latency / spec.sample_rate
    assert panorama["tiers"]["live"] == pytest.approx(latency_ms, abs=0.1)


def test_models_cuts_no_name_and_says_how_sounds_are_pointed_at(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = set(stemsteer("models").stdout.split())
    assert {file.stem for file in WEIGHTS.glob("*.onnx")} <= words
    assert "counter-example" in words
    shown = {name: stemsteer("models", "show", name).stdout for name in ("steer", "label-unet")}
    assert "direction, instrument, example, counter-example" in shown["steer"]
    assert "instrument\n" in shown["label-unet"]
    assert "[" not in shown["label-unet"]


def test_models_shows_gains_with_their_sign(folder):
    source_model(folder / "x.onnx", {"bass": 1.0}, gains_db={"live": {"bass": -0.3, "drums": 2.0}})
    shown = stemsteer("models", "show", str(folder / "x.onnx")).stdout
    assert "live: bass -0.3 dB, drums +2.0 dB" in shown


def test_what_a_model_says_of_itself_stays_in_its_line(folder):
    about = {"description": "good\nlicence      free", "training": {"credit": "me\nfile  /x"}}
    path = source_model(folder / "x.onnx", {"bass": 1.0}, **about)
    shown = stemsteer("models", "show", str(path)).stdout
    assert "good\\nlicence      free\n" in shown
    assert "me\\nfile  /x\n" in shown


def test_models_shows_a_broken_file_with_its_fault_and_goes_on(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # no line is broken within words that are looked for
    done = stemsteer("models", "--json")
    faults = {m["path"]: m.get("fault") for m in json.loads(done.stdout)}
    assert faults[str(folder / "good.onnx")] is None
    for name in ("corrupt", "foreign", "wrong", "forgetful"):
        assert faults[str(folder / f"{name}.onnx")]
    assert "cannot be used" in stemsteer("models").stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("corrupt", "is not a model that can be loaded"),
        ("foreign", "carries no Stemsteer spec"),
        ("wrong", "the spec is not of schema"),
        ("forgetful", "asks for 'state_memory' and does not return it"),
    ],
)
def test_render_refuses_a_broken_model_in_one_line(folder, name, words):
    import numpy as np
    import soundfile

    soundfile.write(folder / "a.wav", np.zeros((100, 2)), 44_100)
    arguments = ("--azimuth", "0", "--model", str(folder / f"{name}.onnx"))
    done = stemsteer("render", str(folder / "a.wav"), *arguments, "--out", str(folder / "out"))
    assert done.exit_code == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "out").exists()


def test_a_tier_there_is_not_is_answered_with_those_there_are():
    with pytest.raises(
        ValueError, match="'fast', expected one of direct, live, studio, lookahead, offline"
    ):
        choose_model(None, "fast")


def test_the_preferred_model_that_has_the_tier_is_taken():
    for tier in ("direct", "live", "studio", "offline"):
        model = choose_model(None, tier)
        assert model.spec.name in PREFERRED
        assert tier in model.spec.tiers


def test_without_any_preferred_model_one_is_told_where_they_were_looked_for(monkeypatch):
    monkeypatch.setattr("plugin_bridge.model_choice.PREFERRED", ("nought",))
    with pytest.raises(StemsteerError, match="expected one of nought in"):
        choose_model(None, "live")


def test_bench_measures_every_part_of_a_hop():
    done = stemsteer("bench", "panorama", "--hops", "100", "--seconds", "4", "--json")
    report = json.loads(done.stdout)
    (result,) = report["models"]
    assert report["machine"]["cores"] >= 1
    assert {hop["targets"] for hop in result["hops"]} == {1, 8}
    for hop in result["hops"]:
        parts = [hop[part]["median_us"] for part in ("analysis", "model", "synthesis")]
        assert 0 < max(parts) < hop["whole"]["median_us"]
        assert hop["whole"]["median_us"] <= hop["whole"]["p99_us"] <= hop["whole"]["max_us"]
    live = next(hop for hop in result["hops"] if hop["tier"] == "live")
    assert live["hop_us"] == pytest.approx(
        1e6 * load_model("panorama").spec.tiers["live"].hop / 44100, abs=0.1
    )
    assert all(offline["real_time_factor"] > 0 for offline in result["offline"])


def test_bench_prints_tables_for_people_and_for_markdown():
    arguments = ("bench", "panorama", "--hops", "100", "--seconds", "4", "--markdown")
    lines = stemsteer(*arguments).stdout.splitlines()
    assert sum(line.startswith("| panorama") for line in lines) >= 3


def test_a_timed_model_gives_the_same_output():
    import numpy as np

    from realtime import Separator

    model = load_model("panorama")
    block = np.random.default_rng(0).uniform(-1, 1, (2, 5000)).astype(np.float32)
    plain, timed = Separator(model, 44_100), Separator(bench.TimedModel(model), 44_100)
    assert np.array_equal(plain.process(block), timed.process(block))


def test_doctor_finds_a_sound_installation():
    checks = {check.name: check for check in doctor.examine()}
    assert all(check.well for check in checks.values() if check.needed), checks
    assert {"python", "onnxruntime", "pedalboard", "models", "audio formats"} <= set(checks)


def test_doctor_goes_on_where_a_folder_of_the_users_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    checks = {check.name: check for check in doctor.examine()}
    assert str(tmp_path / "file") in checks["your folders"].found
    assert not checks["your folders"].well
    assert "machine" in checks


def test_doctor_knows_every_package_that_the_project_depends_on():
    (listed,) = re.findall(r"^dependencies = \[(.*?)^\]", PROJECT, re.DOTALL | re.MULTILINE)
    assert packages(listed) == sorted(doctor.NEEDED)


def test_doctor_knows_every_extra_of_the_project_with_its_packages():
    section = PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = re.findall(r"^(\w+) = \[(.*?)^\]", section, re.DOTALL | re.MULTILINE)
    known = {name: sorted(needed.split()) for name, (_, needed) in doctor.EXTRAS.items()}
    assert known == {name: packages(listed) for name, listed in extras}


def packages(listed):
    """The names in a list of requirements."""
    return sorted(re.findall(r'"([\w-]+)', listed))


def test_doctor_says_how_to_get_what_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "NEEDED", ("numpy", "no-such-package"))
    done = stemsteer("doctor")
    assert done.exit_code == 1
    assert "MISS  no-such-package" in done.stdout
    assert "-> run: pip install no-such-package" in done.stdout


def test_doctor_says_which_packages_of_an_extra_are_missing_and_how_to_get_them(monkeypatch):
    extras = {"live": ("sound cards", "numpy no-such-package"), "all": ("it", "numpy")}
    extras["train"] = ("training", "no-such-package")
    monkeypatch.setattr(doctor, "EXTRAS", extras)
    done = stemsteer("doctor")
    assert done.exit_code == 0, "an extra is not needed"
    assert re.search(
        r"--    extra live +without no-such-package\n +-> for sound cards: "
        r"pip install 'stemsteer\[live\]'\n",
        done.stdout,
    )
    assert re.search(r"ok    extra all +numpy \d", done.stdout)
    assert "extra train" not in done.stdout, "its users have no use for it"
    monkeypatch.setattr(doctor, "is_frozen", lambda: True)
    names = [check.name for check in doctor.examine()]
    assert "extra all" in names
    assert "extra live" not in names, "nothing can be installed into the frozen application"


def test_doctor_recognises_the_other_package_called_realtime(monkeypatch):
    stranger = types.ModuleType("realtime")
    stranger.__file__ = "/elsewhere/realtime/__init__.py"
    monkeypatch.setitem(sys.modules, "realtime", stranger)
    (check,) = [c for c in doctor.examine() if c.name == "realtime"]
    assert check.found == "another package, in /elsewhere/realtime"
    assert "environment of its own" in check.remedy


def test_doctor_misses_models_where_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr("realtime.model.WEIGHTS", tmp_path)
    assert found_models() == []
    (check,) = [c for c in doctor.examine() if c.name == "models"]
    assert not check.well
