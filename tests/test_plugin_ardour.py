"""The plugin on two automated tracks of Ardour, without screen or sound card, exported."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from ardour import SCANNER, export, scan_vst3
from bridge import built_plugin, desk, level_db, need, panned

from realtime import Separator, load_model

pytestmark = pytest.mark.host
RATE_HZ, SECONDS, WIDTH_DEG = 44_100, 5, 20
END = RATE_HZ * SECONDS
CURVES = ([(0, -40), (END, 40)], [(0, 30), (END // 2, 30), (END, -30)])
LAGS = range(0, 8193, 512)  # Ardour evaluates automation late by latencies and blocks


def separated(x, curve, lag):
    """What the engine makes of `x` when the direction follows `curve`, `lag` frames late."""

    def conditions(first, frames):
        at = [separator.position_of(k) - lag for k in range(first, first + frames)]
        azimuth = np.interp(at, *zip(*curve, strict=True))
        direction = np.stack([azimuth, np.full(frames, WIDTH_DEG)], axis=1)
        return {"direction": direction[:, None].astype(np.float32)}

    separator = Separator(load_model("panorama"), RATE_HZ, conditions=conditions)
    out = np.concatenate([separator.process(x), separator.flush()], axis=2)
    return out[0, :, separator.latency : separator.latency + x.shape[1]]


@pytest.mark.parametrize("kind", ["LV2", "VST3"])
def test_an_export_has_both_tracks_separated_along_their_curves_and_in_time(
    monkeypatch, tmp_path, kind
):
    need("ardour7-lua", "ardour7-export", str(SCANNER))
    built = built_plugin()
    for bundle in built.glob("*.lv2"):
        shutil.copytree(bundle, tmp_path / "lv2" / bundle.name)
    monkeypatch.setenv("LV2_PATH", str(tmp_path / "lv2"))
    monkeypatch.setenv("VST3_PATH", str(built))
    x = panned(END, [-30, 5, 30]).sum(0)
    x[:, :10_000] = 0  # so that the onset can be seen
    with desk(monkeypatch) as own:
        own.start()
        name = "urn:stemsteer:stemsteer" if kind == "LV2" else scan_vst3(built / "Stemsteer.vst3")
        y = export(tmp_path, name, kind, [({}, curve) for curve in CURVES], x, RATE_HZ)
        told = own.plugin_log.read_text() if own.plugin_log.exists() else ""
    assert "ERROR" not in told
    # What reaches out before the onset is one window of the transform.
    loud = np.flatnonzero(np.abs(y).max(0) > 1e-3)
    assert 10_000 - 512 <= loud[0] <= 10_000 + 16
    steady = slice(16_384, END - 16_384)
    sums = [separated(x, CURVES[0], lag) + separated(x, CURVES[1], lag) for lag in LAGS]
    nulls = [level_db((y - s)[:, steady], s[:, steady]) for s in sums]
    best = int(np.argmin(nulls))
    print(f"{kind}: null {nulls[best]:.1f} dB with the automation {LAGS[best]} frames late")
    assert nulls[best] <= -60
    assert LAGS[best] <= 4096


def test_lanes_of_the_engine_follow_the_song_of_the_export(monkeypatch, tmp_path):
    need("ardour7-lua", "ardour7-export")
    for bundle in built_plugin().glob("*.lv2"):
        shutil.copytree(bundle, tmp_path / "lv2" / bundle.name)
    monkeypatch.setenv("LV2_PATH", str(tmp_path / "lv2"))
    x = panned(END, [-30, 5, 30]).sum(0)
    lanes = tmp_path / "lanes.csv"
    lanes.write_text(f"samples,azimuth,width\n0,-40,{WIDTH_DEG}\n{END},40,{WIDTH_DEG}\n")
    with desk(monkeypatch) as own:
        own.start("panorama", "--automation", str(lanes))
        y = export(tmp_path, "urn:stemsteer:stemsteer", "LV2", [({}, [])], x, RATE_HZ)
    steady = slice(16_384, END - 16_384)
    lags = range(-4096, 4097, 512)
    sums = [separated(x, CURVES[0], lag) for lag in lags]
    nulls = [level_db((y - s)[:, steady], s[:, steady]) for s in sums]
    best = int(np.argmin(nulls))
    print(f"null {nulls[best]:.1f} dB with the lanes {lags[best]} frames late")
    assert nulls[best] <= -60
    # Ardour tells a plugin the place that is heard now, which is late by the plugin's latency, here
    # 2048 for its block of 1024.
    assert lags[best] in (0, 2048)
