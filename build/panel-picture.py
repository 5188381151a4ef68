"""Make build/panel.png, the README's picture of the panel: the bundled song in Debian's chromium.

The song is separated as `stemsteer live` does it and shown at its own pace, whatever the machine's,
up to the moment of the picture. Needs `pip install 'stemsteer[panel,dev]'` and chromium:

    .venv/bin/python build/panel-picture.py [FILE.png] [--light] [--size 1280x800] [--seconds 10]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.metering import decibels
from plugin_bridge.control.servers import running
from plugin_bridge.control.sound_history import shown_samples
from plugin_bridge.control.surface import Facts, MemorySurface, Sound
from plugin_bridge.control.target_conditions import facts_of
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.panel.pace import PICTURES_HZ
from plugin_bridge.panel.server import PanelOptions
from realtime import Separator, load_model

ROOT = Path(__file__).resolve().parents[1]
MODEL, TIER = "steer", "live"
TARGETS = {"guitar": (-30.0, 22.0), "drums and bass": (0.0, 12.0), "piano": (22.0, 18.0)}


class Recording(MemorySurface):
    """A separated song that goes on by a look's time with every look, up to `end`."""

    def __init__(
        self, song, stems, rate_hz: float, latency: float, facts: Facts, encoder: str
    ) -> None:
        super().__init__(list(TARGETS))
        self.encoder = encoder
        self.song, self.stems, self.rate_hz = song, stems, rate_hz
        self.latency, self._facts = latency, facts
        self.position, self.end = 0.0, 0.0

    def facts(self, instance):
        return self._facts

    def actions(self, instance):
        return ACTIONS

    def timbres(self, instance):
        return {"encoder": self.encoder}

    def meters(self, instance):
        sound = self._at(instance)
        levels = [float(np.mean(s**2)) for s in (sound.target, sound.residual)]
        target_db, residual_db = decibels(np.array(levels))
        return {
            "level_target": (target_db,),
            "level_residual": (residual_db,),
            "latency": (self.latency,),
        }

    def sound(self, instance):
        self.position = min(self.position + self.rate_hz / PICTURES_HZ, self.end)
        return self._at(instance)

    def _at(self, instance) -> Sound:
        end = max(int(self.position), shown_samples(self.rate_hz))
        part = slice(end - shown_samples(self.rate_hz), end)
        index = self.instances.index(instance)
        others = np.delete(self.stems, index, axis=0)[..., part].sum(0)
        song, stem = self.song[:, part], self.stems[index][:, part]
        return Sound(end, self.rate_hz, song, stem, others)


def separated(path: Path, seconds: float) -> Recording:
    """Separate the beginning of a file as `live` does."""
    with AudioReader(path) as reader:
        rate_hz = reader.sample_rate
        song = np.concatenate(list(reader.blocks(4096)), axis=1)[:, : int(seconds * rate_hz)]
    model = load_model(MODEL)
    separator = Separator(model, rate_hz, targets=list(TARGETS), tier=TIER)
    for name, (azimuth_deg, width_deg) in TARGETS.items():
        separator.set(name, azimuth_deg=azimuth_deg, width_deg=width_deg)
    stems = np.concatenate([separator.process(song), separator.flush()], axis=2)
    stems = stems[..., -song.shape[1] :]
    facts = facts_of(model.spec, TIER, rate_hz)
    surface = Recording(song, stems, rate_hz, float(separator.latency), facts, model.spec.encoder)
    for name, values in TARGETS.items():
        for control, value in zip(("azimuth", "width"), values, strict=True):
            surface.set_value(name, control, value)
    return surface


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "build" / "panel.png")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    wanted = parser.parse_args()
    width, height = map(int, wanted.size.split("x"))
    surface = separated(ROOT / "build" / "demo" / "mix.flac", wanted.seconds)
    with (
        running(PanelOptions(port=0).open(surface, print), print) as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = chromium.new_page(
            viewport={"width": width, "height": height},
            color_scheme="light" if wanted.light else "dark",
            device_scale_factor=wanted.scale,
        )
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.get_by_role("status").get_by_text("Connected").wait_for()
        surface.end = surface.song.shape[1]
        while surface.position < surface.end:
            page.wait_for_timeout(100)
        page.wait_for_timeout(500)  # what has been told is drawn
        page.screenshot(path=wanted.file)
        chromium.close()
    print(f"{wanted.file}: {wanted.file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
