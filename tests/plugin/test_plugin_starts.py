"""The programs that the plugin starts in somebody else's process: which, where and with what."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.engine_sandbox import CPP, ROOT, compiled
from tests.support.waiting import until

pytestmark = pytest.mark.host


def recorder(path: Path) -> Path:
    """Write a program that records its folder, arguments, environment, files and signals."""
    path.write_text(
        '#!/bin/sh\n{ pwd; printf "%s\\n" "$@"; env; ls -l /proc/self/fd; cat /proc/self/status; }'
        ' > "$0.tmp"; mv "$0.tmp" "$0.said"\n'
    )
    path.chmod(0o700)
    return path


def said(program: Path) -> list[str]:
    record = Path(f"{program}.said")
    until(record.exists, f"{program.name} is started")
    return record.read_text().splitlines()


def start(folder: Path, notifier: Path, *arguments: str) -> str:
    """Run the starter in a folder, as hosts do, with a host's environment; what it prints."""
    flags = (f'-DSTEMSTEER_NOTIFIER="{notifier}"',)
    host = {**os.environ, "LD_LIBRARY_PATH": "/of/the/host", "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [compiled("starter", CPP / "paths.cpp", flags=flags), *arguments],
        cwd=folder,
        env=host,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def autostart(engine_sandbox, *words: object) -> None:
    file = engine_sandbox.folder / "XDG_CONFIG_HOME" / "stemsteer" / "autostart"
    file.parent.mkdir()
    file.write_text("\n".join(map(str, words)) + "\n")
    file.chmod(0o600)


def test_programs_run_in_the_root_folder_without_the_hosts_environment(engine_sandbox, tmp_path):
    engine, notifier = recorder(tmp_path / "engine"), recorder(tmp_path / "notifier")
    autostart(engine_sandbox, engine, "serve", "a word; touch harm")
    assert start(tmp_path, notifier) == "1"
    folder, *rest = said(engine)
    assert folder == "/"
    assert rest[:2] == ["serve", "a word; touch harm"]
    assert not [line for line in rest if line.startswith(("LD_LIBRARY_PATH", "PYTHONPATH"))]
    folder, *rest = said(notifier)
    assert folder == "/"
    shown = "--a text with \"quotes\"; $(false) and 'more', &lt;b&gt;R&amp;B&lt;/b&gt;"  # no markup
    assert rest[2:5] == ["--", "a title", shown]


def test_programs_have_neither_the_files_nor_the_ignored_signals_of_the_host(
    engine_sandbox, tmp_path
):
    engine, notifier = recorder(tmp_path / "engine"), recorder(tmp_path / "notifier")
    autostart(engine_sandbox, engine, "serve")
    assert start(tmp_path, notifier) == "1"
    for program in (engine, notifier):
        lines = said(program)
        assert not [line for line in lines if "/starter-" in line]
        [ignored] = [line.split()[1] for line in lines if line.startswith("SigIgn:")]
        assert not int(ignored, 16) & 1 << (signal.SIGTERM - 1)


def test_programs_find_the_users_models_timbres_and_settings(engine_sandbox, tmp_path, monkeypatch):
    sources = [ROOT / "plugin_bridge/paths.py", ROOT / "realtime/folders.py"]
    sources.append(ROOT / "realtime/model.py")
    text = "".join(source.read_text() for source in sources)
    names = set(re.findall(r'"(STEMSTEER_\w+|XDG_\w+)"', text)) - {"STEMSTEER_AUTOSTART"}
    assert len(names) >= 7
    for name in names - {"XDG_CONFIG_HOME"}:
        monkeypatch.setenv(name, f"/of/the/user/{name}")
    engine = recorder(tmp_path / "engine")
    autostart(engine_sandbox, engine, "serve")
    assert start(tmp_path, tmp_path / "none") == "1"
    lines = said(engine)
    assert [name for name in names if f"{name}={os.environ[name]}" not in lines] == []


def test_a_command_without_an_absolute_path_is_not_started(engine_sandbox, tmp_path):
    engine, notifier = recorder(tmp_path / "engine"), recorder(tmp_path / "notifier")
    autostart(engine_sandbox, engine.name, "serve")
    assert start(tmp_path, notifier) == "0"
    said(notifier)
    assert not Path(f"{engine}.said").exists()


def test_without_a_notifier_nothing_is_started(engine_sandbox, tmp_path):
    assert start(tmp_path, tmp_path / "none") == "0"


def test_the_panel_is_opened_by_the_program_that_is_the_engine(
    engine_sandbox, tmp_path, monkeypatch
):
    monkeypatch.setenv("DISPLAY", ":7")
    program = recorder(tmp_path / "engine")
    autostart(engine_sandbox, program, "-m", "a module", "serve", "--model", "steer")
    assert start(tmp_path, tmp_path / "none", "panel") == "1"
    folder, *rest = said(program)
    assert folder == "/"
    assert rest[:4] == ["-m", "a module", "panel", "--open"]
    assert "DISPLAY=:7" in rest  # for the browser
    assert not [word for word in rest if "serve" in word or "steer" in word.split()]


def test_without_an_engine_to_start_there_is_no_panel(engine_sandbox, tmp_path):
    assert start(tmp_path, tmp_path / "none", "panel") == "0"
    autostart(engine_sandbox, recorder(tmp_path / "engine"), "other")
    assert start(tmp_path, tmp_path / "none", "panel") == "0"
