"""Our own processes: started isolated from the current folder, and gone with their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from plugin_bridge import launch
from plugin_bridge.cli.panel_options import announce
from plugin_bridge.launch import own_process
from plugin_bridge.panel.server import PanelOptions
from tests.support.engine_sandbox import ROOT, runs
from tests.support.waiting import until

MODULE = "plugin_bridge.controls"  # a small one that prints
TRAPS = ("json", "runpy", "site", "numpy", "plugin_bridge", "sitecustomize", "ctypes")


@pytest.fixture
def hostile_folder(tmp_path, monkeypatch):
    """A current folder whose files would be imported in the place of modules."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text("open('harm', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", ".", str(tmp_path))))
    return tmp_path


def test_code_of_the_current_folder_is_never_run(hostile_folder):
    done = subprocess.run(own_process(MODULE, "meters"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| name |")
    assert not (hostile_folder / "harm").exists()


def test_the_command_stemsteer_runs_no_code_of_the_current_folder_either(hostile_folder):
    (hostile_folder / "realtime").mkdir()
    (hostile_folder / "realtime" / "__init__.py").write_text("open('harm', 'w').close()\n")
    done = subprocess.run(launch.own_command("--help"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert not (hostile_folder / "harm").exists()


def test_the_trap_of_that_test_works(hostile_folder):
    subprocess.run([sys.executable, "-m", MODULE, "meters"], capture_output=True)
    assert (hostile_folder / "harm").exists()


def test_the_command_is_absolute_and_its_arguments_are_words(monkeypatch):
    monkeypatch.setattr(sys, "executable", os.path.relpath(sys.executable))
    command = own_process(MODULE, 7, "two words")
    assert os.path.isabs(command[0])
    assert command[-3:] == [MODULE, "7", "two words"]


def test_a_frozen_application_is_told_which_module_to_run(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    command = own_process(MODULE, "meters")
    assert command == [os.path.abspath(sys.executable), launch.RUN_MODULE, MODULE, "meters"]


def test_the_frozen_application_is_its_own_command_and_carries_the_plugins(monkeypatch):
    assert launch.own_command("serve") == own_process("plugin_bridge.cli", "serve")
    assert launch.frozen_folder() is None
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", "/opt/stemsteer/_internal", raising=False)
    assert launch.own_command("serve") == [os.path.abspath(sys.executable), "serve"]
    assert launch.frozen_folder() == "/opt/stemsteer/_internal"


@pytest.mark.parametrize("given", [{}, {"LD_LIBRARY_PATH_ORIG": "/home/me/lib"}])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_browser_gets_the_environment_of_the_user(monkeypatch, given, frozen):
    frozens = {"LD_LIBRARY_PATH": "/opt/stemsteer/_internal", "_PYI_ARCHIVE_FILE": "x", **given}
    for name, value in frozens.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    before, seen = dict(os.environ), []
    monkeypatch.setattr("webbrowser.open", lambda address: seen.append(dict(os.environ)))
    announce(PanelOptions("127.0.0.1", 9980, ""), 9980, open_it=True)
    assert os.environ == before
    expected = before
    if frozen:
        expected = {name: value for name, value in before.items() if name not in frozens}
        expected |= {name.removesuffix("_ORIG"): value for name, value in given.items()}
    assert seen == [expected]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_ends_with_its_parent_whatever_it_is_doing():
    program = """
import subprocess, sys
from plugin_bridge.launch import own_process
from tests.support.engine_sandbox import ROOT, runs
command = own_process("tests.support.busy", ends_with_parent=True)
print(subprocess.Popen(command).pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        child = int(parent.stdout.readline())
        time.sleep(1.0)
        assert runs(child)
        parent.kill()
    try:
        until(lambda: not runs(child), "it has ended")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
