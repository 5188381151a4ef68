"""What the panel costs is measured: figures of a short run are those of a panel."""

from __future__ import annotations

import pytest

from plugin_bridge.diagnostics.panel_load import bench_panel
from realtime import load_model

pytestmark = pytest.mark.realtime


def test_a_bench_tells_how_soon_the_panel_is_and_what_it_costs():
    result = bench_panel(load_model("panorama"), 1.0, moves=10, tones=3)
    assert result.blocks == 172
    assert 1 < result.pictures_hz < 35
    assert 0 < result.share_of_one < 0.5
    assert -25 < result.hand_median_ms <= result.hand_p95_ms < 200
    assert -25 < result.picture_median_ms <= result.picture_p95_ms < 300
