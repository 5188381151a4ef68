"""Put the plugin into the user's folders, and write how it starts the engine; take both away."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from plugin_bridge.engine.client import ask_status
from plugin_bridge.launch import frozen_folder, own_command
from plugin_bridge.paths import (
    autostart_file,
    config_folder,
    engine_socket,
    runtime_folder,
    state_folder,
)
from plugin_bridge.plugin.bounces import last_loss, plugin_log
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

CPP = Path(__file__).resolve().parent / "cpp"
DPF = Path("/usr/share/dpf")
PLUGINS = ("Stemsteer", "StemsteerSplit")
FORMATS = ("vst3", "lv2", "clap")
UNIT = """[Unit]
Description=Stemsteer engine

[Service]
ExecStart={command}
WorkingDirectory=/
Restart=on-failure
LimitRTPRIO=20

[Install]
WantedBy=default.target
"""


def bundles() -> dict[str, Path]:
    """Return where each bundle goes in the user's folders, by its file name."""
    return {
        f"{name}.{kind}": Path.home() / f".{kind}" / f"{name}.{kind}"
        for kind in FORMATS
        for name in PLUGINS
    }


def unit_file() -> Path:
    """Return the systemd user unit of the engine."""
    return config_folder().parent / "systemd" / "user" / "stemsteer.service"


def _enabled_link() -> Path:
    """Return the link that `systemctl --user enable` makes for `WantedBy` of the unit."""
    unit = unit_file()
    return unit.parent / "default.target.wants" / unit.name


def engine_command() -> list[str]:
    """Return the command that runs the engine from this environment, or this application."""
    return own_command("serve")


def install(prebuilt: Path | None = None) -> list[Path]:
    """Copy the plugin into the user's folders; returns what was written.

    It comes from the folder `prebuilt`, from the frozen application, or is built.

    Raises
    ------
    StemsteerError if it cannot be built, or there is no such folder, or it lacks a bundle, or it
    may not be written where it goes, which is found before anything is built.
    """
    for place in [*bundles().values(), autostart_file(), unit_file()]:
        _check_place(place)
    with tempfile.TemporaryDirectory(prefix="stemsteer-plugin-") as folder:
        if prebuilt and not prebuilt.is_dir():
            raise StemsteerError(f"there is no folder {prebuilt}; give one that holds the bundles")
        source = prebuilt or _carried() or _build(Path(folder))
        missing = [name for name in bundles() if not (source / name).exists()]
        if missing:
            raise StemsteerError(f"{source} lacks {', '.join(missing)}: build it with make")
        for name, place in bundles().items():
            _replace(source / name, place)
    return [*bundles().values(), *_write_starters()]


def has_window() -> bool:
    """Return whether the installed plugin was built with its window."""
    return "ui:X11UI" in (bundles()["Stemsteer.lv2"] / "manifest.ttl").read_text()


def uninstall() -> list[Path]:
    """Remove what `install` has written, and what engines have left; returns what was there.

    While an engine runs, its logs and its lock stay.
    """
    removed = []
    places = [*bundles().values(), autostart_file(), unit_file(), _enabled_link()]
    if not is_engine_running():
        places += [engine_socket().with_suffix(".lock"), *state_folder().iterdir()]
    for place in places:
        if _remove(place):
            removed.append(place)
    for folder in (config_folder(), state_folder(), runtime_folder()):
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()
    return removed


def is_engine_running() -> bool:
    """Return whether an engine answers."""
    try:
        ask_status()
    except StemsteerError:
        return False
    return True


def state() -> list[tuple[str, str, str]]:
    """For `stemsteer doctor`: name, what was found, what to do about it (empty: well)."""
    places = bundles()
    there = [name for name, place in places.items() if place.exists()]
    remedy = "" if len(there) == len(places) else "run: stemsteer plugin install"
    checks = [("plugin", f"{len(there)} of {len(places)} bundles in {Path.home()}", remedy)]
    starts = autostart_file()
    command = starts.read_text().split("\n") if starts.exists() else []
    found = " ".join(command) if command else f"no {starts}"
    works = bool(command) and shutil.which(command[0]) is not None
    checks.append(("autostart", found, "" if works else "run: stemsteer plugin install"))
    try:
        status = ask_status()
        checks.append(("engine", f"{len(status['instances'])} instances, {status['model']}", ""))
    except StemsteerError:
        checks.append(("engine", "not running", "the plugin starts it, or run: stemsteer serve"))
    loss = last_loss()
    remedy = f"render that song again, see {plugin_log()}" if loss else ""
    checks.append(("bounces", loss or "none has lost its engine since yesterday", remedy))
    return checks


def _carried() -> Path | None:
    """Return the folder of the plugins that the frozen application carries."""
    inside = frozen_folder()
    return Path(inside) / "plugins" if inside else None


def _build(folder: Path) -> Path:
    lacking = [tool for tool in ("make", "g++") if shutil.which(tool) is None]
    if lacking or not DPF.exists():
        raise StemsteerError(
            "building the plugin needs g++, make and DPF: run `sudo apt install g++ make "
            "dpf-source`, or give a folder of prebuilt bundles with --prebuilt"
        )
    done = subprocess.run(
        ["make", "-C", str(CPP), "-j", "2", f"OUT={folder}"], capture_output=True, text=True
    )
    if done.returncode:
        raise StemsteerError(f"building the plugin failed: {done.stderr.strip()[-600:]}")
    return folder


def _check_place(place: Path) -> None:
    """Raise StemsteerError if a file or a bundle cannot be written, or take another one's place."""
    above = next(folder for folder in place.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise StemsteerError(
            f"{above} is no folder, but {place.name} goes there: move it away, and install again"
        )
    if place.is_dir() and not place.is_symlink():
        written = [above, *(Path(folder) for folder, _, _ in os.walk(place))]
    else:  # starters that are protected stay as they are
        is_kept = place in (autostart_file(), unit_file()) and place.exists()
        written = [above, place] if is_kept else [above]
    for path in written:
        if not os.access(path, os.W_OK):
            shown = shlex.quote(str(path))
            raise StemsteerError(
                f"you may not write to {path}, where {place.name} goes: see by `ls -ld {shown}` "
                f"whose it is; what sudo has made is yours again by `sudo chown -R $USER {shown}`"
            )


def _replace(source: Path, place: Path) -> None:
    """Copy a bundle beside its place, then swap it in: a host never sees half of one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh, former = (place.with_name(f".{place.name}.{word}") for word in ("new", "old"))
    _remove(fresh)
    _remove(former)
    if source.is_dir():
        shutil.copytree(source, fresh)
        with contextlib.suppress(FileNotFoundError):
            place.rename(former)
    else:
        shutil.copy2(source, fresh)
    fresh.replace(place)
    _remove(former)


def _remove(place: Path) -> bool:
    """Remove a folder, a file or a link, not what it leads to; return whether it was there."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
    else:
        return False
    return True


def _quoted(word: str) -> str:
    """Quote a word of a systemd command line, where % and $ have a meaning."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'


def _write_starters() -> list[Path]:
    starts, unit = autostart_file(), unit_file()
    command = engine_command()
    for file, text in (
        (starts, "\n".join(command) + "\n"),
        (unit, UNIT.format(command=" ".join(map(_quoted, command)))),
    ):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(file.resolve()) as fresh:  # a plugin never reads half of it
            fresh.write_text(text)
            fresh.chmod(0o600)
    return [starts, unit]
