"""An encoder of timbres: its file, its spec, and the clips it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from realtime import model
from realtime.encoder import (
    ENCODER_KEY,
    FOLDER,
    EncoderSpec,
    OnnxEncoder,
    dominated,
    encoder_of,
    has_encoder,
    load_encoder,
)
from realtime.errors import StemsteerError
from realtime.model import OnnxModel
from realtime.spec import Tier
from realtime.stft import analyse, windows

SPEC = EncoderSpec("powers-1", size=1024)
RATE_HZ = 44_100


def write_encoder(path: Path, text: str | None = None, output: str = "timbre") -> Path:
    """Write an encoder whose timbre is the power of every bin, of unit length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = ["frames", 2, SPEC.bins, 2]
    nodes = [
        helper.make_node("ReduceSumSquare", ["spectrum"], ["power"], axes=[0, 1, 3], keepdims=0),
        helper.make_node("LpNormalization", ["power"], [output], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [SPEC.bins])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(made, {ENCODER_KEY: SPEC.to_json() if text is None else text})
    onnx.save(made, path)
    return path


def tone(hz: float = 440.0, seconds: float = 1.0) -> np.ndarray:
    """Make a sine (2, samples)."""
    n = np.arange(int(seconds * RATE_HZ))
    return np.tile(np.sin(2 * np.pi * hz * n / RATE_HZ), (2, 1)).astype(np.float32)


def test_an_encoder_hears_the_frames_of_its_window(tmp_path: Path) -> None:
    encoder, clip = OnnxEncoder(write_encoder(tmp_path / "e.onnx")), tone()
    window = windows(Tier(SPEC.window, SPEC.window, SPEC.hop))[0]
    power = np.square(np.abs(analyse(clip, window, SPEC.hop)[:, :, : SPEC.bins])).sum((0, 1))
    timbre = encoder.encode(clip)
    assert timbre == pytest.approx(power / np.linalg.norm(power), abs=1e-5)
    assert int(timbre.argmax()) == round(440 * SPEC.window / RATE_HZ)


def test_one_channel_is_heard_as_two_alike(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_encoder(tmp_path / "e.onnx"))
    assert np.array_equal(encoder.encode(tone()[:1]), encoder.encode(tone()))


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (tone(seconds=0.1), "0.10 s: expected 0.25 to 30 s"),
        (np.zeros((2, RATE_HZ), np.float32), "silent"),
        (tone() * np.nan, "no numbers"),
        (np.zeros((3, RATE_HZ), np.float32), "one or two channels"),
        (np.zeros(RATE_HZ, np.float32), "one or two channels"),
    ],
)
def test_a_clip_that_is_no_query_is_refused(tmp_path: Path, clip: np.ndarray, message: str) -> None:
    encoder = OnnxEncoder(write_encoder(tmp_path / "e.onnx"))
    with pytest.raises(ValueError, match=message):
        encoder.encode(clip)


def test_whole_numbers_and_a_residual_of_another_length_are_refused(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_encoder(tmp_path / "e.onnx"))
    with pytest.raises(TypeError, match="audio is int16, expected float32 with full scale at 1"):
        encoder.encode((tone() * 32_767).astype(np.int16))
    with pytest.raises(ValueError, match="as many samples of both"):
        encoder.encode_separated(tone(), tone()[:, :-1])


def test_a_spec_comes_back_from_its_text_and_a_strange_one_is_refused() -> None:
    assert EncoderSpec.from_json(SPEC.to_json()) == SPEC
    with pytest.raises(ValueError, match="schema"):
        EncoderSpec.from_json("{}")
    with pytest.raises(ValueError, match="one too many"):
        EncoderSpec.from_json(SPEC.to_json().replace("hop", "hops"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "4"),
        ("size", 10**9),
        ("hop", 0),
        ("window", 1.5),
        ("encoder", 3),
        ("bins", None),
        ("hop", 1500),
        ("window", 1024),
    ],
)
def test_a_field_of_a_wrong_type_or_out_of_range_is_named(field: str, value: object) -> None:
    fields = {"schema": 1, "encoder": "e", "size": 4, field: value}
    with pytest.raises(ValueError, match=field):
        EncoderSpec.from_json(json.dumps(fields))


def test_a_spec_nested_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested deeper"):
        EncoderSpec.from_json("[" * 100_000)


def test_an_encoder_that_gives_no_unit_vector_is_told(tmp_path: Path) -> None:
    shorter = replace(SPEC, size=8).to_json()
    encoder = OnnxEncoder(write_encoder(tmp_path / "e.onnx", text=shorter))
    with pytest.raises(StemsteerError, match="no unit vector of 8"):
        encoder.encode(tone())


def test_a_broken_encoder_keeps_none_of_the_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(model.MODELS_VARIABLE, str(tmp_path))
    write_encoder(tmp_path / FOLDER / "powers.onnx")
    (tmp_path / FOLDER / "a.onnx").write_bytes(b"no model")
    odd = SPEC.to_json().replace('"hop": 1024', '"hop": 1500')
    write_encoder(tmp_path / FOLDER / "b.onnx", text=odd)
    assert load_encoder("powers-1").path.stem == "powers"
    assert not has_encoder("b")


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(StemsteerError, match="is not a model that can be loaded"):
        OnnxEncoder(text)
    with pytest.raises(StemsteerError, match="no encoder of timbres"):
        OnnxEncoder(model.WEIGHTS / "panorama.onnx")
    with pytest.raises(StemsteerError, match="schema"):
        OnnxEncoder(write_encoder(tmp_path / "old.onnx", text="{}"))
    with pytest.raises(StemsteerError, match="does not keep its spec"):
        OnnxEncoder(write_encoder(tmp_path / "other.onnx", output="vector"))


def test_an_encoder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(StemsteerError, match="carries no Stemsteer spec"):
        OnnxModel(write_encoder(tmp_path / "e.onnx"))


def test_an_encoder_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(model.MODELS_VARIABLE, str(tmp_path))
    write_encoder(tmp_path / FOLDER / "powers.onnx", replace(SPEC, encoder="powers-2").to_json())
    assert load_encoder("powers").spec.encoder == "powers-2"
    assert load_encoder("powers-2").path.stem == "powers", "a model says the identity"
    with pytest.raises(StemsteerError, match="no encoder 'ears'"):
        load_encoder("ears")


def test_a_file_that_is_called_as_an_encoder_and_holds_another_one_is_refused_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(model.MODELS_VARIABLE, str(tmp_path))
    write_encoder(tmp_path / FOLDER / "powers-2.onnx")
    assert encoder_of("powers-1").path.stem == "powers-2"
    with pytest.raises(StemsteerError, match=r"called as the encoder 'powers-2' .* 'powers-1'"):
        encoder_of("powers-2")


def test_frames_are_learned_from_where_the_target_dominates_and_a_quarter_at_least():
    target = np.array([1, 1, 0.001, 1, 1, 1, 1, 1], np.float32)
    residual = np.array([0.1, 2, 0, 2, 0.5, 2, 2, 2], np.float32)
    assert dominated(target, residual).tolist() == [True, *[False] * 3, True, *[False] * 3]
    assert dominated(target, residual + 9).sum() == 2
