"""The VST3 plugin in a real host, pedalboard, with a real engine."""

from __future__ import annotations

import numpy as np
import pedalboard
import pytest

from realtime import Separator, load_model
from realtime.spec import Tier
from tests.support.engine_sandbox import built_plugin, level_db, noise, panned
from tests.support.models import LIVE, source_model
from tests.support.serve_process import ServeProcess
from tests.support.waiting import until

pytestmark = pytest.mark.host
RATE_HZ = 44_100


def load(name="Stemsteer"):
    return pedalboard.load_plugin(str(built_plugin() / f"{name}.vst3"))


def test_the_plugin_has_every_control_of_the_table_under_its_name():
    plugin = load()
    assert {"azimuth_deg", "width_deg", "instrument", "timbre_morph", "timbre_strength", "mix",
            "mode", "gain_db", "bypass", "latency_mode", "offline_render", "connected", "dropouts",
            "load"} <= set(plugin.parameters)  # fmt: skip


@pytest.mark.parametrize("block", [2, 3, 64, 441, 512, 1024, 4096])
def test_with_the_identity_model_a_bounce_is_the_input_whatever_the_block(engine_sandbox, block):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(RATE_HZ)
    y = load().process(x, RATE_HZ, buffer_size=block)
    assert y.shape == x.shape
    np.testing.assert_allclose(y, x, atol=2e-7, rtol=0)
    until(lambda: engine_sandbox.busiest()["hops"] >= RATE_HZ // 256, "the engine has done it")


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 88_200, 96_000, 192_000])
def test_with_the_identity_model_a_bounce_is_the_input_at_any_rate(engine_sandbox, rate_hz):
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(rate_hz)
    y = load().process(x, rate_hz, buffer_size=512)
    np.testing.assert_allclose(y, x, atol=2e-7, rtol=0)
    busiest = engine_sandbox.busiest()
    assert busiest["rate_hz"] == rate_hz
    until(
        lambda: engine_sandbox.busiest()["hops"] >= rate_hz // busiest["hop"],
        "the engine has done it",
    )


def test_a_change_of_the_rate_between_two_bounces_is_followed(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    plugin = load()
    for rate_hz in (44_100, 96_000, 44_100):
        x = noise(rate_hz // 2)
        np.testing.assert_allclose(plugin.process(x, rate_hz), x, atol=2e-7, rtol=0)


def test_a_bounce_is_what_the_separator_makes_of_the_same_audio(engine_sandbox):
    engine_sandbox.start()
    images = panned(256 * 300, [-30, 0, 30])
    x = images.sum(0)
    plugin = load()
    plugin.azimuth_deg, plugin.width_deg = -30, 20
    separator = Separator(load_model("panorama"), RATE_HZ, targets=["it"], block_multiple=256)
    separator.set("it", azimuth_deg=plugin.azimuth_deg, width_deg=plugin.width_deg)
    blocks = [separator.process(x[:, i : i + 256]) for i in range(0, x.shape[1], 256)]
    expected = np.concatenate([*blocks, separator.flush()], axis=2)[:, :, separator.latency :]
    for mode, stem in (("isolate", 0), ("remove", 1)):
        plugin.mode = mode
        y = plugin.process(x, RATE_HZ, buffer_size=512)
        assert level_db(y - expected[stem], expected[stem]) < -100
    assert level_db(expected[0] - images[0], images[0]) < level_db(x - images[0], images[0]) - 3


def test_mix_and_gain_scale_the_separated_sound_and_mix_zero_is_the_input_exactly(engine_sandbox):
    engine_sandbox.start()
    x = panned(RATE_HZ, [-30, 20]).sum(0)
    plugin = load()
    plugin.azimuth_deg = -30
    wet = plugin.process(x, RATE_HZ, buffer_size=512)
    plugin.mix = 0.0
    np.testing.assert_array_equal(plugin.process(x, RATE_HZ, buffer_size=512), x)
    plugin.mix = 0.5
    half = plugin.process(x, RATE_HZ, buffer_size=512)
    np.testing.assert_allclose(half, (x + wet) / 2, atol=1e-6)
    plugin.gain_db = -6.0
    quiet = plugin.process(x, RATE_HZ, buffer_size=512)
    np.testing.assert_allclose(quiet, half * 10 ** (plugin.gain_db / 20), atol=1e-6)


def test_osc_moves_the_plugin_until_its_own_parameter_moves(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    x, plugin = noise(RATE_HZ), load()
    np.testing.assert_allclose(plugin.process(x, RATE_HZ), x, atol=2e-7)
    server.send("/stemsteer/1/gain", -20.0)
    y = plugin.process(x, RATE_HZ)
    np.testing.assert_allclose(y[:, 2048:], 0.1 * x[:, 2048:], atol=1e-6)
    plugin.gain_db = -6.0
    y = plugin.process(x, RATE_HZ)
    np.testing.assert_allclose(y, x * 10 ** (plugin.gain_db / 20), atol=1e-6)


def test_bypass_is_the_input_exactly_and_as_late_as_the_sound(engine_sandbox):
    engine_sandbox.start()
    plugin = load()
    plugin.bypass = True
    x = noise(RATE_HZ)
    np.testing.assert_array_equal(plugin.process(x, RATE_HZ, buffer_size=512), x)


@pytest.mark.parametrize(
    ("mode", "latency"),
    [("512", 512), ("1024", 1024), ("2048", 2048), ("4096", 4096), ("8192", 8192)],
)
def test_the_reported_latency_is_the_measured_one(engine_sandbox, mode, latency):
    engine_sandbox.start(engine_sandbox.identity)
    plugin, block = load(), min(512, latency // 2)
    plugin.latency_mode = mode
    x = np.zeros((2, 8 * 4096), np.float32)
    x[:, 5000] = 1
    plugin.process(x, RATE_HZ, buffer_size=block)  # so that the host learns of the mode
    plugin.process(x[:, :0], RATE_HZ, reset=True)
    y = np.concatenate(
        [plugin.process(x[:, i : i + block], RATE_HZ, buffer_size=block, reset=False)
         for i in range(0, x.shape[1], block)], axis=1)  # fmt: skip
    # Without a reset, pedalboard holds back as many frames as the plugin reports.
    assert x.shape[1] - y.shape[1] == latency
    assert int(np.argmax(np.abs(y[0]))) == 5000


@pytest.mark.parametrize(
    ("latency", "tier"), [(1024, "live"), (4096, "studio"), (8192, "lookahead")]
)
def test_an_instrument_acts_and_crosses_over_when_it_is_moved(
    engine_sandbox, tmp_path, latency, tier
):
    tiers = {
        "live": LIVE,
        "studio": Tier(4096, 1024, 512, 5),
        "lookahead": Tier(4096, 1024, 512, 12),
    }
    shares = {"vocals": 0.5, "drums": 0.25}
    engine_sandbox.start(source_model(tmp_path / "known.onnx", shares, tiers=tiers))
    plugin, block = load(), 512
    plugin.latency_mode, plugin.width_deg, plugin.instrument = str(latency), 90, "vocals"
    plugin.offline_render = True
    x = noise(80 * block)
    plugin.process(x, RATE_HZ, buffer_size=block)  # so that the host learns of the mode
    # Another size of blocks lets the host activate it anew, and so the engine learns of the mode.
    plugin.process(x[:, :0], RATE_HZ, buffer_size=block // 2, reset=True)
    parts = []
    for at in range(0, x.shape[1], block):
        if at == x.shape[1] // 2:
            plugin.instrument = "drums"
        part = x[:, at : at + block]
        parts.append(plugin.process(part, RATE_HZ, buffer_size=block, reset=False))
    y = np.concatenate(parts, axis=1)
    assert x.shape[1] - y.shape[1] == latency
    until(lambda: engine_sandbox.busiest().get("tier") == tier, "the engine knows the mode")
    share = (y * x[:, : y.shape[1]]).sum(0) / np.square(x[:, : y.shape[1]]).sum(0)
    half = x.shape[1] // 2
    np.testing.assert_allclose(share[2048 : half - 2048], 0.5, atol=1e-3)
    np.testing.assert_allclose(share[half + 2048 :], 0.25, atol=1e-3)
    assert 0.24 < share[half - 2048 :].min() < share[half - 2048 :].max() < 0.51, "nothing between"


def test_the_state_comes_back_with_every_control(engine_sandbox):
    engine_sandbox.start()
    plugin = load()
    plugin.azimuth_deg, plugin.width_deg, plugin.mode, plugin.mix = 22.5, 40, "remove", 0.25
    x = panned(RATE_HZ // 2, [20, -10]).sum(0)
    expected = plugin.process(x, RATE_HZ)
    state = plugin.raw_state
    other = load()
    other.raw_state = state
    assert other.mode == "remove"
    np.testing.assert_allclose(other.process(x, RATE_HZ), expected, atol=1e-6)


def test_a_copy_of_a_track_is_known_by_another_name(engine_sandbox):
    engine_sandbox.start()
    first, second = load(), load()
    x = noise(4096)
    first.process(x, RATE_HZ)
    second.process(x, RATE_HZ)  # has a state of its own before it is made a copy
    second.raw_state = first.raw_state
    second.process(x, RATE_HZ)
    until(lambda: len(engine_sandbox.workers()) == 2, "both are attached")
    assert len({i["uuid"] for i in engine_sandbox.instances()}) == 2


def test_eight_instances_bounce_at_once_each_with_its_own_direction(engine_sandbox):
    engine_sandbox.start()
    azimuths = [-40, -30, -20, -10, 10, 20, 30, 40]
    x = panned(RATE_HZ, azimuths).sum(0)
    plugins = [load() for _ in azimuths]
    for plugin, azimuth in zip(plugins, azimuths, strict=True):
        plugin.azimuth_deg = azimuth
    together = [plugin.process(x, RATE_HZ, buffer_size=512) for plugin in plugins]
    assert len(engine_sandbox.instances()) >= len(azimuths)
    assert sum(i["dropouts"] for i in engine_sandbox.instances()) == 0
    for plugin, sound in zip(plugins, together, strict=True):
        alone = plugin.process(x, RATE_HZ, buffer_size=512)
        np.testing.assert_allclose(alone, sound, atol=1e-6)  # hops go to the model as they come
    assert len({sound.tobytes() for sound in together}) == len(azimuths)


def test_the_sibling_with_two_outputs_gives_the_same_sound_on_the_first(engine_sandbox):
    engine_sandbox.start()
    x = panned(RATE_HZ, [-30, 20]).sum(0)
    sounds = []
    for name in ("Stemsteer", "StemsteerSplit"):
        plugin = load(name)
        plugin.azimuth_deg = -30
        sounds.append(plugin.process(x, RATE_HZ, buffer_size=512))
    np.testing.assert_allclose(*sounds, atol=1e-6)


def test_nan_and_infinity_from_the_host_become_silence(engine_sandbox):
    engine_sandbox.start()
    x = noise(RATE_HZ // 2)
    x[0, 1000], x[1, 2000:2010] = np.nan, np.inf
    for mix in (1.0, 0.0):
        plugin = load()
        plugin.mix = mix
        assert np.isfinite(plugin.process(x, RATE_HZ, buffer_size=256)).all()


def test_without_an_engine_a_bounce_is_the_dry_sound_and_the_error_is_told(engine_sandbox, capfd):
    x = noise(RATE_HZ)
    y = load().process(x, RATE_HZ, buffer_size=512)
    np.testing.assert_array_equal(y, x)
    until(engine_sandbox.plugin_log.exists, "the log is there")
    assert "were not processed" in engine_sandbox.plugin_log.read_text()
