"""What is wrong with plugins on stems: what is refused, what is said, and what goes on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pedalboard
import pytest
import soundfile

from plugin_bridge.automation import Automation, Lane, Point
from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.control.controls import REMOTE_CONTROLS as CONTROLS
from plugin_bridge.hosting import parameters
from plugin_bridge.hosting.chain_file import read_chain
from plugin_bridge.hosting.stem_mixer import StemMixer
from plugin_bridge.live.midi_input import controller_callback
from plugin_bridge.live.session import LiveSession, LiveSettings
from realtime import StemsteerError, load_model
from tests.support.chains import NOISE, RATE, chain, conditions, run, write
from tests.support.engine_sandbox import need
from tests.support.livesound import GUITAR, panned, play
from tests.support.rendering import render_song


def test_effects_are_moved_within_the_range_that_they_take():
    controls = chain(pedalboard.Reverb(), pedalboard.Gain(), pedalboard.Bitcrush()).controls()
    ranges = {name: (row.low, row.high) for name, row in controls.items()}
    assert ranges["reverb/wet_level"] == (0, 1)
    assert ranges["bitcrush/bit_depth"] == (0, 32)
    assert ranges["gain/gain_db"] == (-120, 60)


def refused():
    """A chain and a lane that soon asks for what the effect does not take."""
    lanes = {("guitar", "reverb/wet_level"): Lane([Point(0, 0.5, "step"), Point(0.2, 500)])}
    return {"guitar": chain(pedalboard.Reverb())}, conditions(lanes)


def test_a_value_that_a_plugin_refuses_keeps_the_last_one_live_and_fails_offline():
    with pytest.raises(StemsteerError, match=r"wet_level cannot be 500.*between 0.0 and 1.0"):
        run(StemMixer(*refused(), 2), 512)
    mixer = StemMixer(*refused(), 2, live=True)
    level = {("guitar", "reverb/wet_level"): Lane.level(0.5)}
    expected = run(StemMixer({"guitar": chain(pedalboard.Reverb())}, conditions(level), 2), 512)
    assert (run(mixer, 512) == expected).all()
    assert "wet_level cannot be 500.0" in mixer.fault
    assert "stays as it was" in mixer.fault


def test_a_value_that_a_plugin_refuses_is_told_and_costs_no_hop(tmp_path):
    chains = {"guitar": write(tmp_path, [{"plugin": "Reverb"}])}
    with LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE, chains=chains)) as session:
        session.surface.set_value("guitar", "reverb/wet_level", 500.0)
        play(session, panned(20, RATE // 2))
        assert session.processor.counters.faults == 0
        assert "wet_level cannot be 500.0" in session.fault


def test_live_has_no_controls_that_do_nothing_with_plugins_on_the_stems(tmp_path):
    chains = {"guitar": write(tmp_path, [{"plugin": "Gain"}])}
    surface = LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE, chains=chains)).surface
    assert not {"mix", "mode", "bypass"} & set(surface.controls("guitar"))
    assert {"azimuth", "gain", "gain/gain_db"} <= set(surface.controls("guitar"))
    on_message = controller_callback(surface, ControllerMap.of_table())
    on_message([0xB0, CONTROLS["bypass"].midi_cc, 127])
    on_message([0xB0, CONTROLS["gain"].midi_cc, 0])
    assert set(surface.moved) == {("guitar", "gain")}


@pytest.mark.parametrize("name", ["mix", "mode", "bypass"])
@pytest.mark.parametrize("target", ["guitar", ALL])
def test_live_refuses_lanes_that_would_do_nothing_with_plugins_on_the_stems(tmp_path, name, target):
    lanes = Automation({(target, name): Lane.steps([0.0, 1.0], [0.0, 1.0])})
    chains = {"guitar": write(tmp_path, [{"plugin": "Gain"}])}
    settings = LiveSettings(GUITAR, RATE, chains=chains, automation=lanes)
    with pytest.raises(ValueError, match="every stem is heard: leave mode, mix and bypass out"):
        LiveSession(load_model("panorama"), settings)


def test_a_parameter_that_is_no_number_is_refused(tmp_path):
    path = write(tmp_path, '[{"plugin": "Reverb", "parameters": {"room_size": NaN}}]')
    with pytest.raises(StemsteerError, match="NaN is no number"):
        read_chain(path, RATE, 2)


def test_a_plugin_that_puts_out_no_sound_is_named_and_leaves_no_file(tmp_path):
    soundfile.write(tmp_path / "song.wav", np.full((RATE, 2), 0.1), RATE)
    loud = {"plugin": "Gain", "name": "loud", "parameters": {"gain_db": 1e9}}
    path = write(tmp_path, [{"plugin": "Invert"}, loud, {"plugin": "Reverb"}])
    options = ("--azimuth", 0, "--chain", f"target={path}", "--out", tmp_path / "out")
    done = render_song(tmp_path / "song.wav", *options)
    assert done.exit_code == 1
    assert "loud puts out what is no number" in " ".join(done.stderr.split())
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rom": 1}, "there is no parameter 'rom'; there are room_size, damping, wet_level"),
        ({"room_size": "big"}, "it was given room_size 'big', expected room_size: float"),
        ({"room_size": 7}, "Room Size value must be between 0.0 and 1.0"),
    ],
)
def test_a_wrong_parameter_of_an_effect_is_named_with_those_that_there_are(
    tmp_path, parameters, words
):
    path = write(tmp_path, [{"plugin": "Reverb", "parameters": parameters}])
    with pytest.raises(StemsteerError, match=f"Reverb cannot be made so: {words}"):
        read_chain(path, RATE, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"plugins": [], "gain_db": 1e6}', "gain_db is 1e.06, expected -60 to 12 dB"),
        ('{"plugins": [], "gain_db": %s}' % ("9" * 400), "plugins: 9.* too large"),
        ("[" * 100_000, "is no chain of plugins: it is nested deeper than 32"),
        (5, "chain.json is no chain of plugins: plugins is 5, expected a list$"),
        ({"plugins": {"plugin": "Reverb"}}, "plugins is {'plugin': 'Reverb'}, expected a list$"),
        (["Reverb"], r"chain of plugins: a plugin is 'Reverb', expected \{\"plugin\": NAME\}$"),
        ([{"name": "hall"}], "is no chain of plugins: a plugin lacks 'plugin', its name or path$"),
        (
            [{"plugin": "Reverb", "parameters": 5}],
            "is no chain of plugins: parameters of Reverb is 5, expected them by name$",
        ),
        ([{"plugin": "own.vst3", "load_s": []}], r"load_s of own.vst3 is \[\], expected a number$"),
        ({"plugins": [], "gain_db": None}, "chain of plugins: gain_db is None, expected a number$"),
        ([{"plugin": "own.vst3", "preset": 5}], "preset of own.vst3 is 5, expected words"),
        ([{"plugin": "own.vst3", "plugin_name": 5}], "plugin_name of own.vst3 is 5, expected"),
        (
            {"plugins": [], "gian_db": 1},
            "unknown word 'gian_db' in the chain; there are plugins, g",
        ),
        (
            [{"plugin": "Reverb", "mix": 1}],
            "unknown word 'mix' in a plugin; there are plugin, name",
        ),
        ([{"plugin": "Reverb", "preset": "a"}], "Reverb has no preset, .*expected plugin, name"),
        ([{"plugin": "Reverb", "plugin_name": "a"}], "Reverb has no plugin_name"),
        ([{"plugin": "Reverb", "load_s": 5}], "Reverb has no load_s"),
        ([{"plugin": "Resample"}], "Resample cannot be used on a stream"),
        ([{"plugin": "GSMFullRateCompressor"}], "GSMFullRateCompressor cannot be used on a stream"),
    ],
)
def test_a_chain_that_cannot_be_played_is_refused(tmp_path, content, words):
    with pytest.raises(StemsteerError, match=words):
        read_chain(write(tmp_path, content), RATE, 2)


def test_a_chain_without_plugins_is_its_gain(tmp_path):
    softer = read_chain(write(tmp_path, {"gain_db": -6}), RATE, 2)
    played = run(StemMixer({"guitar": softer}, conditions(), 2), 512)
    np.testing.assert_allclose(played[0], NOISE[0] * 10 ** (-6 / 20), atol=1e-6)


def test_a_chain_is_read_from_a_file_alone(tmp_path):
    (tmp_path / "chain.json").symlink_to("/dev/null")
    with pytest.raises(StemsteerError, match=r"chain\.json is not a file"):
        read_chain(tmp_path / "chain.json", RATE, 2)


def test_a_name_that_is_not_in_the_file_of_a_plugin_is_refused(tmp_path):
    limiter = "/usr/lib/vst3/ZaMaximX2.vst3"  # Debian's zam-plugins
    need(limiter)
    path = write(tmp_path, [{"plugin": limiter, "plugin_name": "Echo"}])
    with pytest.raises(StemsteerError, match="has no plugin 'Echo'; it has ZaMaximX2"):
        read_chain(path, RATE, 2)
    path = write(tmp_path, [{"plugin": limiter, "plugin_name": "ZaMaximX2"}])
    assert read_chain(path, RATE, 2).latency == 480


def test_a_mono_plugin_on_a_stereo_stem_is_refused_with_its_chain_and_a_remedy(tmp_path):
    equalizer = "/usr/lib/vst3/ZamEQ2.vst3"  # Debian's zam-plugins
    need(equalizer)
    path = write(tmp_path, [{"plugin": equalizer}])
    with pytest.raises(StemsteerError, match=r"chain.json: .*ZamEQ2.*; expected a stereo effect"):
        read_chain(path, RATE, 2)


@pytest.mark.parametrize("name", ["VST3Plugin", "ExternalPlugin", "AudioUnitPlugin", "load_plugin"])
def test_what_loads_a_file_by_itself_is_no_effect(tmp_path, name):
    given = {"path_to_plugin_file": str(tmp_path / "any.vst3")}
    path = write(tmp_path, [{"plugin": name, "parameters": given}])
    with pytest.raises(StemsteerError, match=f"'{name}' is no effect of pedalboard, and there"):
        read_chain(path, RATE, 2)


@pytest.mark.parametrize("name", ["Plugin", "PluginContainer", "Chain", "Mix", "Pedalboard"])
def test_what_holds_effects_is_no_effect(tmp_path, name):
    with pytest.raises(StemsteerError, match=f"'{name}' is no effect of pedalboard"):
        read_chain(write(tmp_path, [{"plugin": name}]), RATE, 2)


def test_the_trial_of_a_plugin_runs_no_code_of_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "pedalboard.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StemsteerError, match="is no plugin that can be used"):
        read_chain(write(tmp_path, [{"plugin": "chain.json"}]), RATE, 2)
    assert not (tmp_path / "ran").exists()


def test_parameters_of_one_name_are_said_and_moved_by_nobody(monkeypatch):
    class Twins:
        _parameters = ("gain", "gain", "mix")
        gain = mix = 0.5

        def __init__(self):
            self.parameters = {name: SimpleNamespace(type=float) for name in ("gain", "mix")}

    monkeypatch.setattr(parameters, "is_external", lambda plugin: True)
    monkeypatch.setattr(parameters, "to_python_parameter_name", lambda parameter: parameter)
    twins = Twins()
    with pytest.raises(StemsteerError, match="several parameters of the plugin are called 'gain'"):
        parameters.set_parameter(twins, "gain", 0.0, "chain.json")
    parameters.set_parameter(twins, "mix", 0.25, "chain.json")
    assert (twins.gain, twins.mix) == (0.5, 0.25)
    assert parameters.numeric_parameters(twins) == ["mix"]
