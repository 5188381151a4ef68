"""Validators and hosts of others: lv2_validate, lv2info, DawDreamer; pluginval, clap-validator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.claphost import Run
from tests.support.engine_sandbox import (
    LATENCY,
    absent,
    built_plugin,
    compiled,
    need,
    noise,
    panned,
)

pytestmark = pytest.mark.host
NAMES = ("Stemsteer", "StemsteerSplit")
RATE_HZ = 44_100


@pytest.mark.parametrize("name", NAMES)
def test_the_lv2_texts_have_no_error(name, tmp_path):
    need("lv2_validate", "sord_validate")
    bundle = built_plugin() / f"{name}.lv2"
    done = subprocess.run(
        ["lv2_validate", *sorted(bundle.glob("*.ttl"))], capture_output=True, text=True
    )
    assert re.search(r"Found 0 errors among [1-9]\d files", done.stdout + done.stderr), done.stderr
    assert done.returncode == 0
    text = (bundle / f"{name}_dsp.ttl").read_text()
    (tmp_path / "broken.ttl").write_text(text.replace("lv2:portProperty", "lv2:portProporty"))
    broken = subprocess.run(
        ["lv2_validate", bundle / "manifest.ttl", tmp_path / "broken.ttl"],
        capture_output=True,
        text=True,
    )
    assert "Found 0 errors" not in broken.stdout + broken.stderr  # it would see one


@pytest.mark.parametrize("name", NAMES)
def test_lv2info_shows_every_port_with_its_names(name, tmp_path):
    need("lv2info")
    (tmp_path / f"{name}.lv2").symlink_to(built_plugin() / f"{name}.lv2")
    uri = "urn:stemsteer:split" if name.endswith("Split") else "urn:stemsteer:stemsteer"
    environment = {**os.environ, "LV2_PATH": f"{tmp_path}:/usr/lib/lv2"}
    done = subprocess.run(["lv2info", uri], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert re.search(r"Required Features: +http://lv2plug.in/ns/ext/urid#map\n", shown)
    assert re.search(r"Has latency: +yes, reported by port \d", shown)
    for text in ("Azimuth", "Latency Mode", '8 = "guitar"', '63 = "unnamed 63"', '1 = "remove"'):
        assert text in shown, text
    assert shown.count("http://lv2plug.in/ns/lv2core#AudioPort") == (6 if "Split" in name else 4)


def test_every_format_and_bus_gives_the_same_samples(engine_sandbox, tmp_path):
    engine_sandbox.start()
    x = panned(RATE_HZ, [-30, 20]).sum(0)
    values = {"azimuth": -30, "width": 33, "mix": 0.75, "gain": -6.5}
    clap, facts = Run(tmp_path, x, "offline=1", name="StemsteerSplit", **values).end()
    assert facts["channels"] == 4
    for kind, library in (
        ("vst3", vst3_library()),
        ("lv2", "StemsteerSplit.lv2/StemsteerSplit_dsp.so"),
    ):
        words = [f"{key.title()}={value}" for key, value in values.items()]
        command = [compiled(f"{kind}_player"), built_plugin() / library, tmp_path / "in.f32"]
        subprocess.run([*command, tmp_path / f"{kind}.f32", *words], check=True, timeout=120)
        y = np.fromfile(tmp_path / f"{kind}.f32", np.float32).reshape(-1, 4).T
        np.testing.assert_array_equal(y, clap, kind)
    assert np.abs(clap[2:]).max() > 0.01  # the second bus has the rest
    assert clap[:2].std() < 10 ** (-6.5 / 20) * x.std()  # the first has the gain, and less


def vst3_library() -> str:
    """The library in the bundle of Stemsteer Split."""
    return f"StemsteerSplit.vst3/Contents/{os.uname().machine}-linux/StemsteerSplit.so"


def test_dawdreamer_hosts_the_vst3_with_every_bus_and_value(engine_sandbox, tmp_path):
    """In a process of its own: it brings a second JUCE, which is not to meet pedalboard's."""
    engine_sandbox.start(engine_sandbox.identity)
    x = noise(RATE_HZ)
    np.save(tmp_path / "x.npy", x)
    script = tmp_path / "host.py"
    script.write_text(DAWDREAMER)
    bundle = built_plugin() / "StemsteerSplit.vst3"
    done = subprocess.run(
        [sys.executable, script, bundle, tmp_path], capture_output=True, text=True, timeout=120
    )
    if "No module named 'dawdreamer'" in done.stderr:
        absent("DawDreamer; run: pip install 'stemsteer[validate]'")
    assert done.returncode == 0, done.stderr[-2000:]
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (4, RATE_HZ)
    np.testing.assert_allclose(y[:2, LATENCY:], x[:, :-LATENCY] * 10 ** (-6.5 / 20), atol=1e-6)
    assert np.abs(y[2:]).max() < 1e-6  # nothing is left beside the identity, and it is written
    assert done.stdout.split() == ["-30.5", "guitar", "remove", "on", "-6.5", "-30.5"]


DAWDREAMER = """
import sys
import dawdreamer, numpy
bundle, folder = sys.argv[1:]
x = numpy.load(folder + "/x.npy")
engine = dawdreamer.RenderEngine(44100, 512)
plugin = engine.make_plugin_processor("it", bundle)
index = {p["name"]: p["index"] for p in plugin.get_parameters_description()}
def text(of, name): return of.get_parameter_text(index[name])
values = {"Azimuth": (-30.5 + 45) / 90, "Instrument": 8 / 63, "Mode": 1, "Bypass": 1}
for name, share in values.items():
    plugin.set_parameter(index[name], share)
shown = [text(plugin, name) for name in values]
for name in ("Bypass", "Mode", "Instrument"):
    plugin.set_parameter(index[name], 0)
plugin.set_parameter(index["Gain"], (-6.5 + 60) / 72)
engine.load_graph([(engine.make_playback_processor("in", x), []), (plugin, ["in"])])
engine.render(1.0)
numpy.save(folder + "/y.npy", engine.get_audio())
print(*shown, text(plugin, "Gain"), text(plugin, "Azimuth"))
"""


@pytest.mark.parametrize("kind", ["vst3", "lv2"])
def test_pluginval_passes_if_it_is_here(engine_sandbox, kind):
    program = shutil.which("pluginval")
    if program is None:
        pytest.skip("pluginval is not on the path")
    for name in NAMES:
        bundle = built_plugin() / f"{name}.{kind}"
        command = [program, "--strictness-level", "10", "--skip-gui-tests", "--validate", bundle]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:]


def test_clap_validator_passes_if_it_is_here(engine_sandbox):
    program = shutil.which("clap-validator")
    if program is None:
        pytest.skip("clap-validator is not on the path")
    bundles = [built_plugin() / f"{name}.clap" for name in NAMES]
    command = [program, "validate", "--only-failed", *bundles]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_list_of_what_validates_names_files_that_are_there():
    script = Path(__file__).parents[2] / "build" / "validate.sh"
    for file in re.findall(r"tests/\S+\.py", script.read_text()):
        assert (script.parents[1] / file).exists(), file
