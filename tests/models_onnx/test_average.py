"""The mean of the weights of two runs, or of a run and of what it began with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models_onnx.export.separators import OneStream, export
from models_onnx.networks import checkpoints, registry, timbre_live
from models_onnx.networks.timbre_live import CONFIGS, TimbreLive
from models_onnx.training.average import averaged, main
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_live_task import TimbreLiveTask, begin_with_narrower
from realtime.errors import StemsteerError

TINY = CONFIGS["causal-tiny"]


def run(folder: Path, seed: int, songs: str = "songs") -> TimbreLive:
    """Write a run as it begins; return its network."""
    torch.manual_seed(seed)
    network, spec, about = registry.build("timbre-live", "causal-tiny")
    assert isinstance(network, TimbreLive)
    Run(TimbreLiveTask(network, spec, "live"), Plan(steps=1), about, [songs]).save(folder)
    return network


def test_a_quarter_of_another_run_is_in_the_mean(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 1).state_dict()
    two = run(tmp_path / "two", 2, "more songs").state_dict()
    main(tmp_path / "one", tmp_path / "two", tmp_path / "mean", 0.25)
    found = checkpoints.load(tmp_path / "mean")
    name = "unet.leave.conv.weight"
    assert not torch.equal(one[name], two[name])
    torch.testing.assert_close(found["average"][name], 0.75 * one[name] + 0.25 * two[name])
    assert found["data"] == ["songs", "and 0.25 of the weights of two", "more songs"]
    assert isinstance(registry.restore(tmp_path / "mean")[0], TimbreLive)
    with pytest.raises(StemsteerError, match="is there already"):
        main(tmp_path / "one", tmp_path / "two", tmp_path / "mean")


def test_a_gru_that_the_other_lacks_gives_half_of_what_it_gave() -> None:
    torch.manual_seed(3)
    plain = TimbreLive(TINY).eval()
    sizes = replace(TINY, unet=replace(TINY.unet, recurrent=6))
    one, other = TimbreLive(sizes).eval(), TimbreLive(sizes).eval()
    begin_with_narrower(one, plain.state_dict())
    begin_with_narrower(other, plain.state_dict())
    assert one.unet.recurrent is not None
    torch.nn.init.normal_(one.unet.recurrent.leave.weight)
    mean = averaged(one.state_dict(), other.state_dict(), 0.5)
    assert torch.equal(mean["unet.recurrent.gru.weight_hh_l0"],
                       one.state_dict()["unet.recurrent.gru.weight_hh_l0"])  # fmt: skip
    torch.testing.assert_close(
        mean["unet.recurrent.leave.weight"], one.unet.recurrent.leave.weight.detach() / 2
    )
    name = "unet.down.0.conv.conv.weight"
    torch.testing.assert_close(mean[name], plain.state_dict()[name])


def test_an_exported_separator_may_be_the_other(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 1)
    torch.manual_seed(2)
    two = TimbreLive(TINY).eval()
    stream = timbre_live.TimbreLiveStream(two)
    spec = timbre_live.spec(TINY)
    file = export(OneStream(stream, ["timbre"]), spec, tmp_path / "two.onnx",
                  states=stream.states())  # fmt: skip
    main(tmp_path / "one", file, tmp_path / "mean", 0.5)
    mean = checkpoints.load(tmp_path / "mean")["average"]
    name = "unet.leave.conv.weight"
    halves = (one.state_dict()[name] + two.state_dict()[name]) / 2
    torch.testing.assert_close(mean[name], halves, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(mean["classes"], one.state_dict()["classes"])


def test_a_run_of_no_separator_by_timbre_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "one", 1)
    found = checkpoints.load(tmp_path / "one")
    steer, spec, about = registry.build("steer", "tiny")
    changed = {"average": steer.state_dict(), "about": about, "spec": spec.to_json()}
    checkpoints.save(tmp_path / "other", found | changed)
    with pytest.raises(StemsteerError, match="no separator by timbre"):
        main(tmp_path / "other", tmp_path / "one", tmp_path / "mean")
