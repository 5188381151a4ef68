"""Pages of the panel in tests: what plays, and what is looked for in a page."""

from __future__ import annotations

import numpy as np

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.surface import MemorySurface, Sound
from realtime.encoder import load_encoder

ENCODER = load_encoder().spec.encoder
MIDI = """
const input = {};
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["one", input]]) });
window.play = (...data) => input.onmidimessage?.({ data: Uint8Array.from(data) });
"""


class Playing(MemorySurface):
    """Two sounds; at -30 degrees there is a tone, which is taken."""

    end = 0

    def actions(self, instance):
        return ACTIONS

    def timbres(self, instance):
        return {"encoder": ENCODER, "like": "solo"}

    def meters(self, instance):
        figures = {"level_target": -12.3, "level_residual": -20.0, "latency": 1024, "load": 0.25}
        return {name: (float(value),) for name, value in {**figures, "dropouts": 3}.items()}

    def facts(self, instance):
        return {"model": "steer", "tier": "live", "rate_hz": "44100", "instruments": "piano,bass"}

    def sound(self, instance):
        self.end += 700
        wave = 0.1 * np.sin(2 * np.pi * 1000 * (self.end + np.arange(2048)) / 44_100)
        tone = np.outer([np.cos(np.radians(15)), np.sin(np.radians(15))], wave).astype(np.float32)
        return Sound(self.end, 44_100, tone, tone, 0 * tone)


def handle(page, name="guitar"):
    return page.get_by_role("slider", name=f"{name}, azimuth")


def shown_azimuth(page, name="guitar"):
    return float(handle(page, name).get_attribute("aria-valuenow"))


def touches(page):
    """Return a function that touches a page: what happens, and where all fingers are then."""
    session = page.context.new_cdp_session(page)

    def touch(kind, points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return touch
