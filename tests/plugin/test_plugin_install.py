"""Installing the plugin into a user's folders, and taking it away without a trace."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys

import pedalboard
import pytest

from plugin_bridge.plugin.install import CPP, _quoted, engine_command
from tests.support.engine_sandbox import DPF, ROOT, built_plugin, need


@pytest.fixture
def engine_sandbox(engine_sandbox, monkeypatch):
    monkeypatch.setenv("HOME", str(engine_sandbox.folder))
    return engine_sandbox


def stemsteer(*words):
    command = [sys.executable, "-m", "plugin_bridge.cli", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def files(folder):
    """What lies in the folder, without what libraries keep in their caches."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if path.parts[0] != "XDG_CACHE_HOME"}


def plugin_checks():
    checks = json.loads(stemsteer("doctor", "--json").stdout)
    return {name: not checks[name]["remedy"] for name in ("plugin", "autostart", "engine")}


@pytest.mark.host
def test_an_installed_plugin_is_found_starts_its_engine_and_goes_without_a_trace(engine_sandbox):
    before = files(engine_sandbox.folder)
    assert plugin_checks() == {"plugin": False, "autostart": False, "engine": False}
    done = stemsteer("plugin", "install", "--prebuilt", built_plugin())
    assert done.returncode == 0, done.stderr
    assert "without its window" not in done.stdout
    for kind in ("vst3", "lv2", "clap"):
        for name in ("Stemsteer", "StemsteerSplit"):
            assert (engine_sandbox.folder / f".{kind}" / f"{name}.{kind}").exists()
    autostart = engine_sandbox.folder / "XDG_CONFIG_HOME" / "stemsteer" / "autostart"
    assert stat.S_IMODE(autostart.stat().st_mode) == 0o600
    assert autostart.read_text().split("\n")[0] == sys.executable
    assert plugin_checks() == {"plugin": True, "autostart": True, "engine": False}
    engine_sandbox.start()
    assert plugin_checks()["engine"]
    assert stemsteer("plugin", "install", "--prebuilt", built_plugin()).returncode == 0  # again
    assert "an engine is running" in stemsteer("plugin", "uninstall").stdout
    left = {path.name for path in files(engine_sandbox.folder) - before}
    assert left <= {"engine.lock", "engine.log"}
    engine_sandbox.stop()
    assert stemsteer("plugin", "uninstall").returncode == 0
    assert files(engine_sandbox.folder) <= before
    assert "nothing" in stemsteer("plugin", "uninstall").stdout


@pytest.fixture
def bundles(tmp_path):
    """A folder of bundles that hold one file each."""
    for name in ("Stemsteer", "StemsteerSplit"):
        (tmp_path / f"{name}.clap").write_text("new")
        for kind in ("vst3", "lv2"):
            (tmp_path / f"{name}.{kind}").mkdir()
            (tmp_path / f"{name}.{kind}" / "manifest.ttl").write_text("new")
    return tmp_path


def test_bundles_that_are_links_are_replaced_and_taken_away_and_what_they_lead_to_stays(
    engine_sandbox, bundles
):
    built = engine_sandbox.folder / "built"
    built.mkdir()
    (built / "Stemsteer.clap").write_text("mine")
    (built / "Stemsteer.vst3").mkdir()
    (built / "Stemsteer.vst3" / "mine").touch()

    def link():
        for kind in ("vst3", "clap"):
            place = engine_sandbox.folder / f".{kind}" / f"Stemsteer.{kind}"
            place.parent.mkdir(exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True)
            place.symlink_to(built / place.name)

    before = files(engine_sandbox.folder)
    link()
    for _ in range(2):
        done = stemsteer("plugin", "install", "--prebuilt", bundles)
        assert done.returncode == 0, done.stderr
        there = {path.name for path in (engine_sandbox.folder / ".vst3").iterdir()}
        assert there == {"Stemsteer.vst3", "StemsteerSplit.vst3"}
        manifest = engine_sandbox.folder / ".vst3" / "Stemsteer.vst3" / "manifest.ttl"
        assert manifest.read_text() == "new"
    link()
    done = stemsteer("plugin", "uninstall")
    assert done.returncode == 0, done.stderr
    assert files(engine_sandbox.folder) <= before
    assert (built / "Stemsteer.vst3" / "mine").exists()


def test_a_unit_that_was_enabled_leaves_no_link_behind(engine_sandbox, bundles):
    before = set(engine_sandbox.folder.rglob("*.service"))
    assert stemsteer("plugin", "install", "--prebuilt", bundles).returncode == 0
    unit = engine_sandbox.folder / "XDG_CONFIG_HOME" / "systemd" / "user" / "stemsteer.service"
    link = unit.parent / "default.target.wants" / unit.name
    link.parent.mkdir()
    link.symlink_to(unit)  # as systemctl --user enable does
    assert stemsteer("plugin", "uninstall").returncode == 0
    assert set(engine_sandbox.folder.rglob("*.service")) == before
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(unit)
    assert str(link) in stemsteer("plugin", "uninstall").stdout, "also where the unit has gone"
    assert not link.is_symlink()


def test_a_plugin_that_reads_how_the_engine_starts_while_it_is_written_reads_it_whole(
    engine_sandbox, bundles
):
    config = engine_sandbox.folder / "XDG_CONFIG_HOME"
    assert stemsteer("plugin", "install", "--prebuilt", bundles).returncode == 0
    for starter in (config / "stemsteer/autostart", config / "systemd/user/stemsteer.service"):
        starter.write_text("/usr/bin/old\n")
        starter.chmod(0o644)
        with starter.open() as reading:
            assert stemsteer("plugin", "install", "--prebuilt", bundles).returncode == 0
            assert reading.read() == "/usr/bin/old\n"
        assert sys.executable in starter.read_text()
        assert stat.S_IMODE(starter.stat().st_mode) == 0o600
        assert len(list(starter.parent.iterdir())) == 1, "nothing is left beside it"


@pytest.mark.host
def test_installing_builds_the_plugin_and_writes_a_unit_that_systemd_takes(engine_sandbox):
    need("g++", "make", str(DPF))
    done = stemsteer("plugin", "install")
    assert done.returncode == 0, done.stderr
    config = engine_sandbox.folder / "XDG_CONFIG_HOME"
    (config / "stemsteer" / "autostart").unlink()  # or the plugin starts an engine that stays
    plugin = pedalboard.load_plugin(str(engine_sandbox.folder / ".vst3" / "Stemsteer.vst3"))
    assert "azimuth_deg" in plugin.parameters
    unit = config / "systemd" / "user" / "stemsteer.service"
    (command,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert shlex.split(command) == engine_command()
    assert "\nWorkingDirectory=/\n" in unit.read_text()
    need("systemd-analyze")
    verify = subprocess.run(["systemd-analyze", "--user", "verify", unit], capture_output=True)
    assert (verify.returncode, verify.stderr) == (0, b"")


def test_what_has_a_meaning_in_a_unit_is_escaped():
    assert _quoted('/home/a b/50%/$x"') == '"/home/a b/50%%/$$x\\""'


def test_a_folder_that_lacks_a_bundle_is_refused_and_nothing_is_written(engine_sandbox, tmp_path):
    before = files(engine_sandbox.folder)
    done = stemsteer("plugin", "install", "--prebuilt", tmp_path)
    assert done.returncode == 1
    assert "lacks Stemsteer.vst3" in done.stderr
    done = stemsteer("plugin", "install", "--prebuilt", tmp_path / "nofolder")
    assert done.returncode == 1
    assert "there is no folder" in done.stderr
    assert files(engine_sandbox.folder) == before


def in_bounds(*words):
    """Run a command by permissions that hold for root, too."""
    bounds = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    command = [*(bounds if os.geteuid() == 0 else []), sys.executable, "-m", "plugin_bridge.cli"]
    return subprocess.run(
        [*command, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_the_plugin_is_built_in_a_folder_with_a_space_in_its_path(tmp_path):
    need("g++", "make", str(DPF))
    cpp, out = tmp_path / "a folder" / "cpp", tmp_path / "out"
    shutil.copytree(CPP, cpp)
    for words in (["-n", "native"], [f"{out}/.work/dpf/patched"]):  # without minutes of compiling
        command = ["make", "-C", cpp, f"OUT={out}", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    command = ["make", "-C", cpp, f"OUT={tmp_path}/an out", "clean"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "expected a path without spaces" in done.stderr


@pytest.mark.parametrize(
    ("kept", "what"),
    [
        (".clap", "Stemsteer.clap"),
        (".vst3/StemsteerSplit.vst3/Contents", "StemsteerSplit.vst3"),
        ("XDG_CONFIG_HOME/stemsteer/autostart", "autostart"),
        ("XDG_CONFIG_HOME", "autostart"),
    ],
)
def test_where_the_plugin_may_not_be_written_that_is_said_before_it_is_built(
    engine_sandbox, monkeypatch, tmp_path, kept, what
):
    make = tmp_path / "make"  # in place of the one that compiles for a minute
    make.write_text(f"#!/bin/sh\ntouch {tmp_path}/built\nexit 1\n")
    make.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    place = engine_sandbox.folder / kept
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch() if place.name == "autostart" else place.mkdir(exist_ok=True)
    before = files(engine_sandbox.folder)
    place.chmod(0o500)
    done = in_bounds("plugin", "install")
    place.chmod(0o700)
    assert done.returncode == 1
    assert f"you may not write to {place}, where {what} goes" in done.stderr
    assert f"sudo chown -R $USER {place}" in done.stderr
    assert not (tmp_path / "built").exists()
    assert files(engine_sandbox.folder) == before


def test_a_file_where_a_folder_of_plugins_is_to_be_is_said_before_anything_is_written(
    engine_sandbox, bundles
):
    (engine_sandbox.folder / ".lv2").touch()
    before = files(engine_sandbox.folder)
    done = stemsteer("plugin", "install", "--prebuilt", bundles)
    assert done.returncode == 1
    assert f"{engine_sandbox.folder / '.lv2'} is no folder, but Stemsteer.lv2 goes" in done.stderr
    assert files(engine_sandbox.folder) == before


@pytest.mark.realtime
def test_a_rehearsal_counts_the_blocks_that_are_late(engine_sandbox):
    done = stemsteer("bench", "panorama", "--instances", 2, "--seconds", 4, "--json")
    assert done.returncode == 0, done.stderr
    [seen] = json.loads(done.stdout)
    assert seen["instances"] == 2
    assert seen["blocks"] == 2 * (4 * 44_100 // 512)
    assert 0 <= seen["late"] < seen["blocks"] / 2
    assert 0 < seen["load"] < 2
