"""Long windows from live weights: both halves of a cell do what the cell did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models_onnx.networks import checkpoints, registry, timbre
from models_onnx.networks.steer import network as steer
from models_onnx.networks.steer.cells import covariances, pool
from models_onnx.networks.steer.direction import PLACES
from models_onnx.networks.steer.features import described
from models_onnx.training.widen import main, widen, widen_core
from realtime import load_model
from realtime.errors import StemsteerError
from realtime.model import WEIGHTS

TINY = steer.CONFIGS["tiny"]


def masks(network, cells):
    """Masks (4, 3, cells) of a direction where covariances (1, 4, 3, cells) stand still."""
    theta = torch.full((4, 1, 1), 0.9)
    averages = cells[:, :, None].expand(-1, -1, 2, -1, -1)
    [(features, slopes)] = described(averages, [cells], theta, TINY.steepest)
    opening = torch.full((4, 1), 20.0), torch.full((4, PLACES), 1 / PLACES)
    states = [torch.zeros(1, network.config.core)]
    return network._decide(features, features, slopes, opening, states)[0]


def test_both_halves_of_a_cell_do_what_the_cell_did():
    torch.manual_seed(0)
    narrow = steer.Steer(TINY).eval()
    wide = steer.Steer(replace(TINY, window=4096, synthesis=4096, hop=1024)).eval()
    widen(wide, narrow.state_dict())
    cells = pool(covariances(torch.randn(1, 4, 2, 1024, 2)))
    cells[:, :, :, :] = cells[:, :, :, :1]  # the mean over neighbours is then the same, too
    cells = cells * torch.rand(1, 4, 1, 1)
    with torch.no_grad():
        expected = masks(narrow, cells).repeat_interleave(2, -1)
        found = masks(wide, cells.repeat_interleave(2, -1))
    torch.testing.assert_close(found[..., 4:-4], expected[..., 4:-4], atol=1e-4, rtol=1e-3)
    assert expected.std() > 1e-3


def test_a_shipped_file_becomes_a_checkpoint_for_studio(tmp_path):
    main(WEIGHTS / "steer.onnx", tmp_path, "studio", "steer", 0)
    network, spec, _ = registry.build("steer", "studio")
    registry.load_weights(network, tmp_path)
    assert spec.tier("studio") == load_model("steer", "studio").spec.tier("studio")
    assert checkpoints.load(tmp_path)["step"] == 0


def test_cells_that_are_not_half_as_wide_are_refused():
    narrow = steer.Steer(TINY)
    with pytest.raises(ValueError, match="expected twice 8"):
        widen(steer.Steer(TINY), narrow.state_dict())


def test_a_wider_core_begins_with_what_the_narrow_one_does():
    torch.manual_seed(0)
    sizes = replace(TINY, core=96, layers=2, timbre=8, code=8)
    narrow = steer.Steer(sizes).eval()
    with torch.no_grad():
        for weight in narrow.film.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        narrow.decode.weight.mul_(10)
    wide = steer.Steer(replace(sizes, core=144)).eval()
    as_drawn = {name: weight.clone() for name, weight in wide.state_dict().items()}
    widen_core(wide, narrow.state_dict())
    spectrum = torch.randn(1, 50, 2, 1024, 2) * torch.rand(1, 50, 1, 1024, 1)
    asked = {
        "direction": torch.tensor([10.0, 20.0]).expand(1, 50, 1, 2),
        "timbre": torch.nn.functional.normalize(torch.randn(8), dim=0).expand(1, 50, 1, 8),
        "against": torch.zeros(1, 50, 1, 8),
    }
    with torch.no_grad():
        expected, found = narrow(spectrum, asked).masks, wide(spectrum, asked).masks
        wide.load_state_dict(as_drawn)
        other = wide(spectrum, asked).masks

    def alike(masks):
        return float(torch.corrcoef(torch.stack([masks.flatten(), expected.flatten()]))[0, 1])

    assert alike(found) > 0.995
    assert alike(other) < 0.95


def test_a_core_that_is_not_wider_or_differs_in_more_is_refused():
    narrow = steer.Steer(TINY).state_dict()
    with pytest.raises(ValueError, match="a core of 32 numbers, expected more than 32"):
        widen_core(steer.Steer(TINY), narrow)
    with pytest.raises(ValueError, match=r"hidden\.weight is \(64, 100, 32\), expected"):
        widen_core(steer.Steer(replace(TINY, core=48, inner=32)), narrow)


def test_a_network_that_is_told_timbres_keeps_what_they_do_and_its_encoder(tmp_path, monkeypatch):
    torch.manual_seed(0)
    tiny = timbre.CONFIGS["tiny"]
    wide = replace(tiny, steer=replace(tiny.steer, window=4096, synthesis=4096, hop=1024))
    configs = {"live": tiny, "studio": wide}
    monkeypatch.setitem(
        registry.NETWORKS, "timbre", (timbre.TimbreSteer, timbre.TimbreConfig, configs, timbre.spec)
    )
    live, _, about = registry.build("timbre", "live")
    with torch.no_grad():
        live.steer.film.inner.normal_()
    weights = live.state_dict()
    (tmp_path / "live").mkdir()
    checkpoints.save(
        tmp_path / "live",
        {
            "step": 0, "elapsed_s": 0.0, "network": weights, "average": weights, "about": about,
            "data": [], "tier": "live", "spec": "{}", "commit": "",
        },
    )  # fmt: skip
    main(tmp_path / "live", tmp_path / "wide", "studio", "timbre", 0)
    studio, _, _ = registry.build("timbre", "studio")
    registry.load_weights(studio, tmp_path / "wide")
    inner = tiny.steer.inner
    for mine, learned in zip(
        studio.steer.film.inner.chunk(2, -1), live.steer.film.inner.chunk(2, -1), strict=True
    ):
        torch.testing.assert_close(mine[..., :inner], learned)
    torch.testing.assert_close(studio.names(), live.names())


def test_a_network_that_is_not_widened_is_told(tmp_path):
    with pytest.raises(StemsteerError, match="--network spain-xumx: expected one that is widened"):
        main(WEIGHTS / "spain-xumx.onnx", tmp_path, "studio", "spain-xumx", 0)
