"""The plugin on two automated tracks of Ardour, without screen or sound card, exported."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest

from plugin_bridge.control.controls import INSTRUMENTS
from realtime import Separator, load_model
from tests.support.ardour import SCANNER, export, scan_vst3
from tests.support.engine_sandbox import built_plugin, level_db, need, panned, sandboxed_engine
from tests.support.models import source_model

pytestmark = pytest.mark.host
RATE_HZ, SECONDS, WIDTH_DEG, LOW_DB = 44_100, 5, 20, -40
END = RATE_HZ * SECONDS
CURVES = ([(0, -40), (END, 40)], [(0, 30), (END // 2, 30), (END, -30)])
LAGS = range(0, 4097, 512)  # Ardour evaluates automation late by latencies and blocks
RESAMPLER = 16  # frames that Ardour's ports hold back; now and then its place in the song has them


def separated(x, curve, lag, cut=0):
    """What the engine makes of `x` when the direction follows `curve`, `lag` frames late.

    Its hops begin `cut` samples into the song.
    """
    x = x[:, cut:]

    def conditions(first, frames):
        at = [separator.position_of(k) + cut - lag for k in range(first, first + frames)]
        azimuth = np.interp(at, *zip(*curve, strict=True))
        direction = np.stack([azimuth, np.full(frames, WIDTH_DEG)], axis=1)
        return {"direction": direction[:, None].astype(np.float32)}

    separator = Separator(load_model("panorama"), RATE_HZ, conditions=conditions)
    out = np.concatenate([separator.process(x), separator.flush()], axis=2)
    out = out[0, :, separator.latency : separator.latency + x.shape[1]]
    return np.pad(out, ((0, 0), (cut, 0)))


def installed(monkeypatch, folder, kind):
    """Let Ardour find the plugin; the name by which it knows it."""
    need("ardour7-lua", "ardour7-export", str(SCANNER))
    built = built_plugin()
    for bundle in built.glob("*.lv2"):
        shutil.copytree(bundle, folder / "lv2" / bundle.name)
    monkeypatch.setenv("LV2_PATH", str(folder / "lv2"))
    monkeypatch.setenv("VST3_PATH", str(built))
    return "urn:stemsteer:stemsteer" if kind == "LV2" else scan_vst3(built / "Stemsteer.vst3")


@pytest.mark.parametrize("kind", ["LV2", "VST3"])
def test_an_export_has_both_tracks_separated_along_their_curves_and_in_time(
    monkeypatch, tmp_path, kind
):
    x = panned(END, [-30, 5, 30]).sum(0)
    x[:, :10_000] = 0  # so that the onset can be seen
    with sandboxed_engine(monkeypatch) as own:
        name = installed(monkeypatch, tmp_path, kind)
        own.start()
        y = export(tmp_path, name, kind, [({}, curve) for curve in CURVES], x, RATE_HZ)
        told = own.plugin_log.read_text() if own.plugin_log.exists() else ""
    assert "ERROR" not in told
    # What reaches out before the onset is one window of the transform.
    loud = np.flatnonzero(np.abs(y).max(0) > 1e-3)
    assert 10_000 - 512 <= loud[0] <= 10_000 + 16
    steady = slice(16_384, END - 16_384)
    nulls = {}
    for lag, cut in itertools.product(LAGS, (0, RESAMPLER)):
        s = sum(separated(x, curve, lag, cut) for curve in CURVES)
        nulls[lag, cut] = level_db((y - s)[:, steady], s[:, steady])
    lag, cut = min(nulls, key=nulls.__getitem__)
    print(f"{kind}: null {nulls[lag, cut]:.1f} dB with the automation {lag} frames late")
    assert nulls[lag, cut] <= -60


@pytest.mark.parametrize(
    ("kind", "values", "in_a_row"),
    [("LV2", {}, 1), ("LV2", {"Latency Mode": 2}, 1), ("LV2", {}, 2), ("VST3", {}, 1)],
)
def test_lanes_of_the_engine_follow_the_song_of_the_export(
    monkeypatch, tmp_path, kind, values, in_a_row
):
    lanes = tmp_path / "lanes.csv"
    lanes.write_text(f"samples,gain\n0,{LOW_DB}\n{END},0\n")
    x = np.full((2, END), 0.5, np.float32)
    with sandboxed_engine(monkeypatch) as own:
        name = installed(monkeypatch, tmp_path, kind)
        own.start(own.identity, "--automation", str(lanes))
        y = export(tmp_path, name, kind, [(values, [])], x, RATE_HZ, in_a_row=in_a_row)
    inside = np.arange(512, END - 1024)  # without the smoothing at the lane's ends
    gain_db = 20 * np.log10(np.abs(y[0, inside]) / 0.5) / in_a_row
    late = inside - (1 - gain_db / LOW_DB) * END
    if late.mean() < -RESAMPLER / 2:
        late += RESAMPLER
    print(f"{kind}: lanes {late.min():.2f} to {late.max():.2f} frames late")
    assert np.abs(late).max() <= 1


@pytest.mark.parametrize("kind", ["LV2", "VST3"])
def test_an_automated_instrument_is_taken_in_time(monkeypatch, tmp_path, kind):
    vocals, drums = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
    half, x = END // 2, np.full((2, END), 0.5, np.float32)
    curve = [(0, vocals), (half, drums)]
    with sandboxed_engine(monkeypatch) as own:
        name = installed(monkeypatch, tmp_path, kind)
        own.start(source_model(tmp_path / "halves.onnx", {"vocals": 0.5, "drums": 0.25}))
        y = export(
            tmp_path, name, kind, [({"Width": 90}, curve)], x, RATE_HZ,
            automated="Instrument", in_steps=True,
        )  # fmt: skip
    late, faded = LAGS[-1], 4410
    np.testing.assert_allclose(y[:, 4096 : half - faded], 0.25, atol=1e-3)
    np.testing.assert_allclose(y[:, half + late + faded : END - 4096], 0.125, atol=1e-3)
