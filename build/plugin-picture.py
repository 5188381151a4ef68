"""Make build/plugin.png, the README's picture of the plugin's window: the bundled song on a track.

The plugin runs in a small CLAP host of the tests, on an X server without a screen, with an engine
of its own. Needs g++, make, and Debian's dpf-source, libxcb1-dev, libcairo2-dev, xvfb and xdotool:

    .venv/bin/python build/plugin-picture.py [FILE.png] [--scale 2] [--seconds 12]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest
import soundfile
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.display import display  # noqa: E402
from tests.support.engine_sandbox import built_plugin, sandboxed_engine, until  # noqa: E402
from tests.support.window_host import HEIGHT, WIDTH, window_host  # noqa: E402

MODEL = "steer"
GUITAR = {"azimuth": -30, "width": 22}
RATE_HZ = 44_100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "build" / "plugin.png")
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=12.0)
    wanted = parser.parse_args()
    song, rate_hz = soundfile.read(ROOT / "build" / "demo" / "mix.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        sandboxed_engine(patch) as engine,
        display() as screen,
    ):
        sound = Path(folder) / "song.f32"
        song.tofile(sound)
        engine.start(MODEL)
        with window_host(screen, "clap", built_plugin(), sound) as host:
            for control, value in GUITAR.items():
                host.ask("set", control, value)
            host.ask("open", wanted.scale)
            until(lambda: host.value("connected") == 1, "the engine has the track", 60)
            time.sleep(wanted.seconds)
            size = round(WIDTH * wanted.scale), round(HEIGHT * wanted.scale)
            Image.fromarray(screen.picture(*size)).save(wanted.file)
            host.ask("close")
    print(f"{wanted.file}: {wanted.file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
