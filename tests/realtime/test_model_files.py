"""Model files from anywhere: each loads and runs, or ends in one line that names it."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import onnx
import pytest

from plugin_bridge.model_library import found_models
from realtime import Separator
from realtime.errors import StemsteerError
from realtime.model import MODELS_VARIABLE, WEIGHTS, OnnxModel
from realtime.spec import METADATA_KEY, ModelSpec
from tests.support.soak import at_most, memory_mb, mutated, rounds

BASE = (WEIGHTS / "panorama.onnx").read_bytes()
DEEP = "[" * 100_000
ODD = (
    0,
    -1,
    1,
    3,
    10**9,
    10**30,
    0.5,
    float("nan"),
    "44100",
    "",
    None,
    True,
    [],
    {},
    [[]],
    {"a": 1},
)


def changed(path, change, graph=lambda model: None):
    """Write panorama with another spec and graph."""
    model = onnx.load_from_string(BASE)
    graph(model)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            fields = json.loads(entry.value)
            text = change(fields)
            entry.value = text if isinstance(text, str) else json.dumps(fields)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample_rate": 0}, "sample_rate of the spec is 0"),
        ({"sample_rate": "44100"}, "sample_rate of the spec is '44100'"),
        ({"sample_rate": True}, "sample_rate of the spec is True"),
        ({"bins": 10**9}, "bins of the spec is 1000000000"),
        ({"conditions": {"direction": 10**9}}, "condition 'direction' of the spec is 1000000000"),
        ({"conditions": ["direction"]}, "conditions of the spec is list"),
        ({"tiers": {"live": 5}}, "the tier 'live' of the spec is 5"),
        ({"tiers": {"live": {"window": 1e9, "synthesis": 2, "hop": 1}}}, "window of the tier"),
        ({"tiers": {"live": {"window": 2**20, "synthesis": 2, "hop": 1}}}, "window of the tier"),
        ({"targets": [1, 2]}, "targets of the spec are list"),
        ({"targets": ["a", "a"]}, "two targets of the spec have the same name"),
        ({"name": 5}, "name of the spec is 5"),
        ({"licence": ["x"]}, "licence of the spec is list"),
        ({"gains_db": {"live": {"voice": "loud"}}}, "gains_db of 'live' are dict"),
        ({"gains_db": {"live": {"voice": 10**400}}}, "1000.* is too large a number"),
        ({"classes": {"voice": [10**400]}}, "1000.* is too large a number"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(tmp_path, changes, words):
    path = changed(tmp_path / "m.onnx", lambda fields: fields.update(changes))
    with pytest.raises(StemsteerError, match=f"m.onnx: .*{words}"):
        OnnxModel(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a\x1b[31mred"},
        {"name": "two\nlines"},
        {"licence": "free\x1b[2J"},
        {"description": "\x9b31m"},
        {"encoder": "a\rb"},
        {"targets": ["\x1b[31mvoice"]},
        {"training": {"data": ["a", {"\x1b[5m": 1}]}},
        {"training": {"credit": "\x1b]0;title\x07"}},
    ],
)
def test_a_text_that_would_steer_the_terminal_is_refused(tmp_path, changes):
    path = changed(tmp_path / "m.onnx", lambda fields: fields.update(changes))
    with pytest.raises(StemsteerError, match=r"control character") as refused:
        OnnxModel(path)
    assert str(refused.value).isprintable()


def test_what_is_wrong_with_weights_in_other_files_is_said_by_us_alone(tmp_path, capfd):
    def outside(model):
        tensor = model.graph.initializer.add(name="n\x1b[31m", data_type=1)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "w.bin"), ("offset", "-4"), ("length", "4")):
            tensor.external_data.add(key=key, value=value)
        for node in model.graph.node:
            node.output[:] = ["before" if name == "masks" else name for name in node.output]
        more = onnx.helper.make_node("Add", ["before", tensor.name], ["masks"])
        model.graph.node.append(more)

    (tmp_path / "w.bin").write_bytes(bytes(4))
    path = changed(tmp_path / "m.onnx", lambda fields: None, outside)
    with pytest.raises(StemsteerError, match="is not a model that can be loaded"):
        OnnxModel(path)
    assert capfd.readouterr().err == ""


def test_the_spec_is_checked_before_anything_of_the_graph_is_loaded(tmp_path, monkeypatch):
    path = changed(tmp_path / "m.onnx", lambda fields: fields.update(sample_rate=0))
    monkeypatch.setattr("realtime.model.open_session", lambda *_, **__: pytest.fail("a session"))
    with pytest.raises(StemsteerError, match="sample_rate of the spec is 0"):
        OnnxModel(path)


def test_a_deep_or_a_long_spec_is_refused(tmp_path):
    for text in (DEEP, '{"schema": 1, "name": "' + "x" * 5_000_000 + '"}'):
        with pytest.raises(StemsteerError, match=r"m\.onnx: "):
            OnnxModel(changed(tmp_path / "m.onnx", lambda fields, text=text: text))


@pytest.mark.parametrize(("axis", "word"), [(0, "frames"), (1, "targets")])
def test_a_graph_with_a_fixed_axis_is_refused_with_what_to_do(tmp_path, axis, word):
    def fix(model):
        for value in model.graph.input:
            if value.name == "direction" or word == "frames":
                size = value.type.tensor_type.shape.dim[axis]
                size.ClearField("dim_param")
                size.dim_value = 1

    path = changed(tmp_path / "m.onnx", lambda fields: None, fix)
    with pytest.raises(StemsteerError, match=f'export it with the axis "{word}" dynamic'):
        OnnxModel(path)


def test_masks_without_axes_are_refused(tmp_path):
    def flatten(model):
        for node in model.graph.node:
            node.output[:] = ["whole" if name == "masks" else name for name in node.output]
        mean = onnx.helper.make_node("ReduceMean", ["whole"], ["masks"], keepdims=0)
        model.graph.node.append(mean)
        masks = next(value for value in model.graph.output if value.name == "masks")
        del masks.type.tensor_type.shape.dim[:]

    with pytest.raises(StemsteerError, match=r"m\.onnx"):
        OnnxModel(changed(tmp_path / "m.onnx", lambda fields: None, flatten))


def test_one_bad_file_does_not_end_a_listing(tmp_path, monkeypatch):
    changed(tmp_path / "a.onnx", lambda fields: fields.update(sample_rate=0))
    changed(tmp_path / "b.onnx", lambda fields: DEEP)
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    (tmp_path / "d.onnx").mkdir()
    (tmp_path / "e.onnx").write_bytes(BASE)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    mine = {one.path.name: one for one in found_models() if one.path.parent == tmp_path}
    assert mine["e.onnx"].spec is not None
    assert all(mine[f"{name}.onnx"].fault for name in "abc")


def odd_spec(random):
    """Give fields of a spec something odd, also inside."""

    def change(fields):
        place = fields
        while True:
            name = random.choice(list(place))
            if isinstance(place[name], dict) and place[name] and random.random() < 0.6:
                place = place[name]
                continue
            place[name] = random.choice(ODD)
            return

    return change


@pytest.mark.soak
def test_odd_and_damaged_models_end_in_a_line_or_run(tmp_path):
    count, before_mb = rounds(300), 0.0
    block = np.random.default_rng(0).standard_normal((2, 2048)).astype(np.float32) * 0.1
    for number in range(count):
        before_mb = before_mb if number != count // 5 else memory_mb()
        random = Random(f"model {number}")
        path = tmp_path / "m.onnx"
        if number % 3:
            changed(path, odd_spec(random))
        else:
            path.write_bytes(mutated(BASE, random))
        try:
            with at_most(60):
                model = OnnxModel(path)
                tier = random.choice(list(model.spec.tiers))
                out = Separator(model, 44_100, tier=tier).process(block)
            assert np.isfinite(out).all(), number
        except (StemsteerError, ValueError):  # anything else ends the test
            continue
    assert memory_mb() - before_mb < 60


def test_a_spec_that_was_written_is_read_as_it_was():
    spec = OnnxModel(WEIGHTS / "panorama.onnx").spec
    assert ModelSpec.from_json(spec.to_json()) == spec
