"""Several networks in one file: which of them answers, and how one takes the place of another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry, timbre, timbre_live
from models_onnx.networks.timbre_live import TimbreLive
from models_onnx.training.run import Plan, Run
from models_onnx.training.task import SeparationTask
from models_onnx.training.timbre_live_task import TimbreLiveTask
from models_onnx.training.timbre_task import TimbreTask
from models_onnx.training.train_timbre import begin
from plugin_bridge.control.target import ANYWHERE
from realtime import load_model
from tests.support.networks import stirred


@pytest.fixture(scope="module", params=[32, 48], ids="core of {}".format)
def joined(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """A plain model with a core of 32, one that takes a timbre, and both in one file."""
    tiny = timbre.CONFIGS["tiny"]
    with pytest.MonkeyPatch.context() as patch:
        wide = replace(tiny, steer=replace(tiny.steer, core=request.param))
        patch.setitem(timbre.CONFIGS, "tiny", wide)
        yield joined_in(tmp_path_factory.mktemp("joined"))


def joined_in(folder: Path) -> dict[str, Path]:
    torch.manual_seed(3)
    plain, plain_spec, about = registry.build("steer", "tiny")
    network, spec, told_about = registry.build("timbre", "tiny")
    stirred(plain)
    stirred(network)
    alone, alone_spec, alone_about = registry.build("timbre-live", "causal-tiny")
    stirred(alone)
    for name, buffer in alone.named_buffers():  # weights that are equal are one in a file
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    alone.load_state_dict(network.heard(), strict=False)
    names = ("plain", "told", "both", "again", "alone", "three", "anew", "renewed", "other",
             "replaced", "other alone", "alone replaced")  # fmt: skip
    paths = {name: folder / f"{name}.onnx" for name in names}
    Run(TimbreLiveTask(alone, alone_spec, "live"), Plan(steps=1), alone_about).save(folder / "a")
    with torch.no_grad():
        alone.unet.leave.conv.bias.add_(1.0)
    Run(TimbreLiveTask(alone, alone_spec, "live"), Plan(steps=2), alone_about).save(folder / "b")
    Run(SeparationTask(plain, plain_spec, "live"), Plan(steps=1), about).save(folder / "p")
    Run(TimbreTask(network, spec, "live"), Plan(steps=1), told_about).save(folder / "t")
    stirred(plain)
    Run(SeparationTask(plain, plain_spec, "live"), Plan(steps=1), about).save(folder / "o")
    told = ["timbre", "--checkpoint", str(folder / "t")]

    def beside(plain: str, alone: str) -> list[str]:
        return ["--by-direction", str(paths[plain]), "--by-timbre", str(paths[alone])]

    commands_of = {
        "plain": ["steer", "--checkpoint", str(folder / "p")],
        "told": told,
        "both": [*told, "--by-direction", str(paths["plain"])],
        "again": [*told, "--by-direction", str(paths["both"])],
        "alone": ["timbre-live", "--checkpoint", str(folder / "a")],
        "three": [*told, *beside("plain", "alone"), "--eight-bits"],
        "anew": [*told, *beside("three", "three")],
        "renewed": ["steer", "--checkpoint", str(paths["three"])],
        "other": ["steer", "--checkpoint", str(folder / "o")],
        "replaced": ["steer", "--checkpoint", str(paths["three"]),
                     "--by-direction", str(paths["other"])],
        "other alone": ["timbre-live", "--checkpoint", str(folder / "b")],
        "alone replaced": ["steer", "--checkpoint", str(paths["three"]),
                           "--by-timbre", str(paths["other alone"])],
    }  # fmt: skip
    for name, command in commands_of.items():
        result = CliRunner().invoke(
            commands.app(export_main), [*command, "--out", str(paths[name])]
        )
        assert result.exit_code == 0, result.output
    return paths


def streamed(path: Path, told: dict[str, np.ndarray], blocks: list[int]) -> np.ndarray:
    """Return the masks of 12 frames that come in calls of so many frames."""
    stream, spectrum = load_model(path).stream(2), spectra_of_a_stream()
    out, at = [], 0
    for count in blocks:
        part = {name: value[at : at + count] for name, value in told.items()}
        out.append(stream.step(spectrum[at : at + count], part)["masks"].copy())
        at += count
    return np.concatenate(out)


def spectra_of_a_stream() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((12, 2, 1024, 2)).astype(np.float32)


def anywhere(timbre: np.ndarray) -> dict[str, np.ndarray]:
    told = told_of(timbre)
    told["direction"][:] = ANYWHERE
    return told


def told_of(timbre: np.ndarray) -> dict[str, np.ndarray]:
    direction = np.tile(np.array([[10.0, 20.0], [-30.0, 15.0]], np.float32), (12, 1, 1))
    return {"direction": direction, "timbre": timbre, "against": np.zeros_like(timbre)}


def test_a_joined_file_answers_a_direction_alone_as_before(joined) -> None:
    told = told_of(np.zeros((12, 2, 8), np.float32))
    for name in ("both", "again", "three", "anew", "renewed"):
        found = streamed(joined[name], told, [12])
        assert np.array_equal(found, streamed(joined["plain"], told, [12]))


def test_the_network_of_directions_alone_is_replaced_in_a_file(joined) -> None:
    nothing, vector = np.zeros((12, 2, 8), np.float32), np.full((12, 2, 8), 0.3, np.float32)
    found = streamed(joined["replaced"], told_of(nothing), [12])
    assert np.array_equal(found, streamed(joined["other"], told_of(nothing), [12]))
    assert not np.allclose(found, streamed(joined["three"], told_of(nothing), [12]), atol=1e-3)
    for told in (told_of(vector), anywhere(vector)):
        found = streamed(joined["replaced"], told, [12])
        np.testing.assert_allclose(found, streamed(joined["three"], told, [12]), atol=1e-5)


def test_the_network_of_timbres_alone_is_replaced_in_a_file(joined) -> None:
    nothing, vector = np.zeros((12, 2, 8), np.float32), np.full((12, 2, 8), 0.3, np.float32)
    told = anywhere(vector)
    found = streamed(joined["alone replaced"], told, [12])
    wanted = streamed(joined["other alone"], {"timbre": told["timbre"]}, [12])
    assert np.allclose(found[:, :, [0, 3]], wanted, atol=1e-5)
    assert not np.allclose(found, streamed(joined["three"], told, [12]), atol=1e-2)
    for kept in (told_of(nothing), told_of(vector)):
        found = streamed(joined["alone replaced"], kept, [12])
        np.testing.assert_allclose(found, streamed(joined["three"], kept, [12]), atol=1e-5)
    about = [load_model(joined[name]).spec.training for name in ("other alone", "alone replaced")]
    assert about[0] == about[1]["alone"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [("both", "no network of timbres alone"), ("three", "is told other timbres than")],
)
def test_a_network_of_timbres_alone_takes_no_place_that_is_not_its_own(
    joined, file: str, reason: str, tmp_path: Path
) -> None:
    torch.manual_seed(9)
    stranger, spec, about = registry.build("timbre-live", "causal-tiny")
    run, other = tmp_path / "run", tmp_path / "strange" / "timbre-live.onnx"
    Run(TimbreLiveTask(stranger, spec, "live"), Plan(steps=1), about).save(run)
    words = ["timbre-live", "--checkpoint", str(run), "--out", str(other)]
    assert not CliRunner().invoke(commands.app(export_main), words).exit_code
    words = ["steer", "--checkpoint", str(joined[file]), "--by-timbre", str(other)]
    out = tmp_path / "new.onnx"
    found = CliRunner().invoke(commands.app(export_main), [*words, "--out", str(out)])
    assert found.exit_code == 1
    assert reason in found.output
    assert not out.exists()


def test_a_file_of_two_networks_answers_a_timbre_as_the_new_one(joined) -> None:
    told = told_of(np.full((12, 2, 8), 0.3, np.float32))
    found = streamed(joined["both"], told, [12])
    assert np.allclose(found, streamed(joined["told"], told, [12]), atol=1e-6)
    assert not np.allclose(found, streamed(joined["plain"], told, [12]), atol=1e-3)


def test_a_timbre_that_begins_within_a_call_begins_at_its_frame(joined) -> None:
    timbre = np.zeros((12, 2, 8), np.float32)
    timbre[5:9] = 0.35
    told = told_of(timbre)
    alone = streamed(joined["both"], told, [1] * 12)
    for blocks in ([12], [4, 8], [5, 4, 3], [7, 5]):
        assert np.allclose(streamed(joined["both"], told, blocks), alone, atol=1e-5), blocks


@pytest.mark.parametrize("moved", ["direction", "against", "timbre"])
def test_what_is_told_beside_a_timbre_begins_at_its_frame(joined, moved: str) -> None:
    told = anywhere(np.full((12, 2, 8), 0.35, np.float32))
    if moved == "direction":
        told["direction"][5:9, 1] = 10.0, 20.0  # of one of both targets
    else:
        told[moved][5:9] = 0.0 if moved == "timbre" else 0.35
    one_by_one = streamed(joined["three"], told, [1] * 12)
    for blocks in ([12], [4, 8], [5, 4, 3], [7, 5]):
        found = streamed(joined["three"], told, blocks)
        assert np.allclose(found, one_by_one, atol=1e-5), blocks


def test_a_timbre_alone_is_answered_by_the_network_of_that(joined) -> None:
    timbre = np.random.default_rng(1).standard_normal((1, 2, 8)).astype(np.float32)
    told = anywhere(np.tile(timbre / np.linalg.norm(timbre, axis=-1, keepdims=True), (12, 1, 1)))
    mask = streamed(joined["alone"], {"timbre": told["timbre"]}, [12])
    for name in ("three", "anew", "renewed"):
        found = streamed(joined[name], told, [12])
        assert np.allclose(found[:, :, [0, 3]], mask, atol=1e-4)
        assert not found[:, :, 1:3].any()
    for narrower in ({"direction": told["direction"] - [0.0, 1.0]}, {"against": told["timbre"]}):
        both = {k: v.astype(np.float32) for k, v in (told | narrower).items()}
        wanted = streamed(joined["told"], both, [12])
        assert np.allclose(streamed(joined["anew"], both, [12]), wanted, atol=1e-5)
        assert np.allclose(streamed(joined["three"], both, [12]), wanted, atol=0.05)  # 8 bits


def test_a_timbre_alone_sees_every_fourth_frame_as_one_stream(joined) -> None:
    timbre = np.full((12, 2, 8), 0.3, np.float32)
    whole = streamed(joined["three"], anywhere(timbre), [12])
    spec = load_model(joined["three"]).spec
    assert spec.alone_turns == 4
    network = registry.build("timbre-live", "causal-tiny")[0]
    begin(network, joined["three"])
    length = np.linalg.norm(timbre[0, 0])
    with torch.no_grad():
        for first in range(4):
            spectra = torch.from_numpy(spectra_of_a_stream()[None, first::4])
            masks = network.eval().masks(spectra, torch.full((1, 8), 8**-0.5))[0].numpy()
            wanted = length * masks + 1 - length
            assert np.allclose(whole[first::4, 0, 0], wanted, atol=1e-4)


def test_the_network_of_a_timbre_alone_begins_anew_where_it_is_asked_again(joined) -> None:
    told = anywhere(np.full((12, 2, 8), 0.35, np.float32))
    told["direction"][4:8] = 10.0, 20.0
    after = streamed(joined["three"], told, [12])[8:]
    stream, spectrum = load_model(joined["three"]).stream(2), spectra_of_a_stream()[8:]
    fresh = stream.step(spectrum, {name: value[8:] for name, value in told.items()})["masks"]
    assert np.allclose(after, fresh, atol=1e-6)


def test_a_joined_file_says_how_the_network_of_a_timbre_alone_was_trained(joined) -> None:
    wanted = load_model(joined["alone"]).spec.training
    for name in ("three", "anew", "renewed"):
        assert load_model(joined[name]).spec.training["alone"] == wanted
    assert wanted["config"] == "causal-tiny"


def test_large_matrices_in_eight_bits_are_a_smaller_file(joined) -> None:
    assert joined["three"].stat().st_size < joined["anew"].stat().st_size


def test_a_file_for_timbres_alone_needs_one_for_directions_alone(joined, tmp_path: Path) -> None:
    run = str(joined["told"].parent / "t")
    words = ["timbre", "--checkpoint", run, "--by-timbre", str(joined["alone"])]
    words += ["--out", str(tmp_path / "new.onnx")]
    found = CliRunner().invoke(commands.app(export_main), words)
    assert "a file that answers directions alone is wanted, too" in found.output
    assert not list(tmp_path.iterdir())  # nor is an encoder left


def test_weights_are_read_back_from_either_network_of_a_file(joined) -> None:
    for network, config, name in (("steer", "tiny", "plain"), ("timbre", "tiny", "told")):
        built = registry.build(network, config)[0]
        separator = built if network == "steer" else built.steer
        for file in ("both", "anew"):
            registry.load_weights(separator, joined[file])
            other = registry.exported(joined[name])
            assert torch.equal(separator.leave.weight, other["leave.weight"])
    registry.load_weights(separator, joined["three"])
    stored = other["leave.weight"]
    step = stored.abs().amax(-1, keepdim=True) / 127
    assert ((separator.leave.weight - stored).abs() <= 0.6 * step).all()


def test_a_network_of_timbres_alone_begins_with_the_one_in_a_file(joined) -> None:
    network = TimbreLive(timbre_live.CONFIGS["causal-tiny"])
    begin(network, joined["three"])
    stored = registry.exported(joined["alone"])
    own = network.state_dict()
    for name in ("unet.leave.conv.weight", "unet.down.0.norm.running_var", "tell.0.weight"):
        assert torch.equal(own[name], stored.get(name, stored.get(f"network.{name}")))
