"""The cost of separators beside each other: each in a process of its own."""

import pytest

from models_onnx.evaluation import peers
from realtime.errors import StemsteerError


def test_a_model_of_ours_is_measured_without_torch_and_faster_than_real_time():
    cost = peers.measure("panorama", 5.0)
    assert cost.speed > 1
    assert cost.speed == pytest.approx(5 / cost.processor_s)
    assert 30 < cost.memory_mb < 200, "torch alone has 200 MB"
    assert 0 < cost.latency_s < 1


def test_what_is_installed_can_be_measured_and_the_slowest_stands_first():
    assert {"panorama", "steer", "steer-studio"} <= set(peers.available())
    rows = [peers.Cost("a", 60, 2, 100, 0.005), peers.Cost("b", 60, 30, 100, 60)]
    shown = peers.table(rows)
    assert list(shown.columns[0].cells) == ["b", "a"]
    assert list(shown.columns[1].cells) == ["2.0", "30.0"]
    assert list(shown.columns[3].cells) == ["60.0 s", "0.005 s"]


def test_one_that_fails_says_why():
    with pytest.raises(StemsteerError, match=r"cannot be measured: .*no model"):
        peers.measure("nothing", 5.0)
    with pytest.raises(StemsteerError, match="no system 'nothing'; there are htdemucs"):
        peers.main(system=["nothing"])


def test_a_model_that_is_not_installed_is_called_as_what_installs_it(monkeypatch):
    monkeypatch.setattr(peers, "available", list)
    with pytest.raises(StemsteerError, match="`stemsteer models add spleeter` installs it"):
        peers.main(system=["spleeter-offline"])
