import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from realtime import Separator, StemsteerError, find_model, load_model
from realtime.model import MODELS_VARIABLE, WEIGHTS, OnnxModel
from realtime.spec import METADATA_KEY
from tests.support.contract import verify_streaming
from tests.support.fakes import fake_spec
from tests.support.signals import noise

BINS = 513


def write_model(path, *, spec=None, metadata=None, drop=(), state_back=True, axes=1, dtype=None):
    """Write a model with a counter as state: the masks are 1 / frames so far."""
    kind = dtype or TensorProto.FLOAT
    spectrum = helper.make_tensor_value_info("spectrum", kind, ["frames", 2, BINS, 2])
    direction = helper.make_tensor_value_info("direction", kind, ["frames", "targets", 2])
    state = helper.make_tensor_value_info("state_count", kind, ["targets", 1])
    masks = helper.make_tensor_value_info("masks", kind, ["frames", "targets", axes, BINS])
    following = helper.make_tensor_value_info("next_count", kind, ["targets", 1])
    constants = [
        helper.make_tensor("one", kind, [1], [1.0]),
        helper.make_tensor("shape", TensorProto.INT64, [4], [1, -1, 1, 1]),
        helper.make_tensor("bins", TensorProto.INT64, [4], [1, 1, axes, BINS]),
    ]
    nodes = [
        helper.make_node("Add", ["state_count", "one"], ["next_count"]),
        helper.make_node("Reciprocal", ["next_count"], ["share"]),
        helper.make_node("Reshape", ["share", "shape"], ["shaped"]),
        helper.make_node("Expand", ["shaped", "bins"], ["masks"]),
    ]
    inputs = [i for i in (spectrum, direction, state) if i.name not in drop]
    outputs = [o for o in (masks, *([following] if state_back else [])) if o.name not in drop]
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    text = metadata if metadata is not None else (spec or fake_spec()).to_json()
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)
    return path


def test_a_state_comes_back_by_its_name(tmp_path):
    stream = load_model(write_model(tmp_path / "m.onnx")).stream(3)
    spectrum, direction = np.zeros((1, 2, BINS, 2), np.float32), np.zeros((1, 3, 2), np.float32)
    shares = [stream.step(spectrum, {"direction": direction})["masks"][0, 2, 0, 0].item()]
    for _ in range(3):
        shares.append(stream.step(spectrum, {"direction": direction})["masks"][0, 2, 0, 0].item())
    np.testing.assert_allclose(shares, [1, 1 / 2, 1 / 3, 1 / 4])
    stream.reset()
    assert stream.step(spectrum, {"direction": direction})["masks"].max() == 1


def test_streams_of_one_model_do_not_share_their_states(tmp_path):
    model = load_model(write_model(tmp_path / "m.onnx"))
    one, two = model.stream(1), model.stream(1)
    spectrum, direction = np.zeros((1, 2, BINS, 2), np.float32), np.zeros((1, 1, 2), np.float32)
    one.step(spectrum, {"direction": direction})
    assert two.step(spectrum, {"direction": direction})["masks"].max() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": ""}, "no Stemsteer spec"),
        ({"metadata": "{}"}, "schema"),
        ({"metadata": "nonsense"}, "not JSON"),
        ({"state_back": False}, "asks for 'state_count' and does not return it"),
        ({"drop": ("spectrum",)}, "lacks the input 'spectrum'"),
        ({"drop": ("direction",)}, "lacks the input 'direction'"),
        ({"drop": ("masks",)}, "lacks the output 'masks'"),
        ({"axes": 2}, "masks of shape"),
        ({"spec": fake_spec(conditions={"timbre": 8})}, "unknown to its spec"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_does_not_keep_its_spec_is_refused(tmp_path, changes, message):
    path = write_model(tmp_path / "m.onnx", **changes)
    with pytest.raises(StemsteerError, match=message):
        OnnxModel(path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 100])
def test_a_corrupt_file_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(StemsteerError, match=r"m\.onnx"):
        load_model(path)


def test_a_missing_model_is_refused_with_the_names_of_those_there():
    with pytest.raises(StemsteerError, match="panorama"):
        load_model("no-such-model")
    with pytest.raises(StemsteerError, match="no model file"):
        load_model("/no/such/file.onnx")


def test_a_model_of_the_user_takes_the_place_of_a_shipped_one_in_every_tier(tmp_path, monkeypatch):
    shipped = find_model("steer", "offline")
    assert shipped.name == "steer-studio.onnx"
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    mine = write_model(tmp_path / "steer.onnx")
    assert find_model("steer", "live") == find_model("steer", "offline") == mine
    mine.rename(tmp_path / "steer-live.onnx")
    assert find_model("steer", "offline") == shipped


def test_a_model_for_the_tier_goes_before_the_common_one(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    common = write_model(tmp_path / "mine.onnx")
    assert find_model("mine", "live") == common
    special = write_model(tmp_path / "mine-live.onnx")
    assert find_model("mine", "live") == special
    assert find_model("mine", "studio") == common
    assert find_model("mine", "offline") == common
    (studio := tmp_path / "mine-studio.onnx").write_bytes(b"")
    assert find_model("mine", "studio") == find_model("mine", "offline") == studio
    assert find_model("mine", "live") == special


def test_a_model_with_fixed_targets_takes_no_other_number(tmp_path):
    path = write_model(tmp_path / "m.onnx", spec=fake_spec(targets=("a", "b")))
    with pytest.raises(ValueError, match="2 targets, not 3"):
        load_model(path).stream(3)


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_shipped_model_keeps_the_streaming_contract(path):
    model = load_model(path)
    for tier in model.spec.tiers:
        verify_streaming(lambda tier=tier: Separator(model, 44_100, tier=tier), tolerance=2e-6)


@pytest.mark.parametrize("tier", ["direct", "live"])
def test_the_shipped_network_of_timbres_alone_keeps_the_streaming_contract(tier):
    model = load_model("steer", "live")
    assert model.spec.alone_turns == 4

    def vocals() -> Separator:
        separator = Separator(model, 44_100, tier=tier)
        timbre = np.array(model.spec.classes["vocals"], np.float32)
        separator.set(azimuth_deg=0, width_deg=90, timbre=timbre)
        return separator

    verify_streaming(vocals, samples=9000, tolerance=2e-6)


ASKED = ("direction", "timbre", "both", "against")


def lane_of(way: str, frames: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Return what a target is told in frames (F,), by names; from frame 37 to 60 its timbre."""
    classes = load_model("steer", "live").spec.classes
    guitar, vocals = (np.array(classes[name], np.float32) for name in ("guitar", "vocals"))
    told = {
        "direction": np.tile(
            np.float32([0, 90] if way == "timbre" else [-20, 30]), (len(frames), 1)
        ),
        "timbre": np.tile(vocals * (way != "direction"), (len(frames), 1)),
        "against": np.tile(guitar * (way == "against"), (len(frames), 1)),
    }
    if way == "direction":
        told["timbre"][(frames >= 37) & (frames < 60)] = vocals
    return told


def separator_of(tier: str, ways: Sequence[str]) -> Separator:
    def conditions(first: int, frames: int) -> dict[str, NDArray[np.float32]]:
        lanes = [lane_of(way, np.arange(first, first + frames)) for way in ways]
        return {name: np.stack([lane[name] for lane in lanes], 1) for name in lanes[0]}

    model = load_model("steer", tier)
    return Separator(model, 44_100, tier=tier, targets=list(ways), conditions=conditions)


@pytest.mark.parametrize("way", ASKED)
def test_a_target_is_the_same_whatever_is_told_of_those_beside_it(way):
    sound = noise(2, 80 * 256)
    alone = separator_of("live", [way]).process(sound)[0]
    beside = separator_of("live", ASKED).process(sound)[ASKED.index(way)]
    np.testing.assert_allclose(beside, alone, atol=2e-6)


@pytest.mark.parametrize("tier", ["live", "offline"])
def test_targets_that_ask_for_different_things_keep_the_streaming_contract(tier):
    model = load_model("steer", tier)
    if not {"direction", "timbre"} <= model.spec.conditions.keys():
        model = load_model("steer")
    verify_streaming(lambda: separator_of(tier, ASKED), samples=80 * 256, tolerance=2e-6)


def test_buffers_are_kept_for_few_sizes_only():
    stream = load_model("panorama").stream(1)
    for frames in range(1, 30):
        spectrum = np.zeros((frames, 2, 1025, 2), np.float32)
        stream.step(spectrum, {"direction": np.zeros((frames, 1, 2), np.float32)})
    assert len(stream._all._buffers) <= 6


def test_the_runtime_leaves_no_identity_behind(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    program = "import realtime; realtime.load_model('panorama')"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "module", ["plugin_bridge.engine.daemon.daemon", "plugin_bridge.osc", "plugin_bridge.cli.app"]
)
def test_the_runtime_is_imported_only_by_who_loads_a_model(module):
    program = f"import sys, {module}; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
