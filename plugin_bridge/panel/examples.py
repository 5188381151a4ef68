"""Sounds and pictures that are dropped onto a handle: what they are, and what the sound is told.

A browser decodes the file, within its own walls, and sends samples or pixels: no decoder of ours
reads what comes from elsewhere, and nothing of it but a timbre's vector reaches a disk, under a
name of letters. It is looked at in a thread of its own, one after the other.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import numpy as np

from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.names import name_key, usable_name
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.files.clip import resampled
from plugin_bridge.picture.recognise import recognise_pixels
from plugin_bridge.timbre import Timbre, TimbreLibrary
from plugin_bridge.timbre.surface_encoders import SurfaceEncoders
from realtime.encoder import LONGEST_S

RATE_HZ = 44_100
SIDE = 256
"""Pixels of a picture, each way."""
MAX_BYTES = int(LONGEST_S * RATE_HZ) * 8
_NOT_IN_NAME = re.compile(r"[^\w .+()-]|^\W+")


class Examples:
    """Gives sounds of a surface what a browser sends; any thread may call it, one at a time.

    Parameters
    ----------
    models_folder : see `SurfaceEncoders`.
    """

    def __init__(self, surface: ControlSurface, models_folder: Path | None = None) -> None:
        self._surface, self._library = surface, TimbreLibrary()
        self._encoders = SurfaceEncoders(surface, models_folder)

    def take_sound(self, instance: str, name: str, body: bytes) -> str:
        """Let an instance go by the timbre of a sound, which is kept in the library.

        Parameters
        ----------
        name : of the file.
        body : float32, left and right by turns, at `RATE_HZ`.

        Raises
        ------
        StemsteerError or ValueError, with the reason in a line.
        """
        self._check(instance)
        encoder = self._encoders.of(instance)
        if not body or len(body) % 8 or len(body) > MAX_BYTES:
            raise ValueError(f"{_named(name)} is no sound of up to {LONGEST_S:g} s")
        sound = np.frombuffer(body, np.float32).reshape(-1, 2).T
        if not (np.abs(sound) < 100).all():  # nor is NaN
            raise ValueError(f"{_named(name)} has samples that are no sound")
        vector = encoder.encode(resampled(sound, RATE_HZ, encoder.spec.sample_rate))
        taken = set(map(name_key, self._library.names()))
        kept = usable_name(_named(name), taken, "dropped")
        self._library.save(kept, Timbre(vector, encoder.spec.encoder, sources=(name[:100],)))
        self._surface.requests.put(Request(instance, "like", (kept,), names_files=False))
        return f"{instance} goes by the timbre {kept}, which is in your library now"

    def take_picture(self, instance: str, name: str, body: bytes) -> str:
        """Let an instance be the instrument that a picture shows.

        Parameters
        ----------
        body : `SIDE` rows of `SIDE` pixels, each of three bytes: red, green, blue.

        Raises
        ------
        StemsteerError or ValueError, with the reason in a line.
        """
        if len(body) != SIDE * SIDE * 3:
            raise ValueError(f"{_named(name)} is no picture of {SIDE} by {SIDE} pixels")
        self._check(instance)
        known = self._surface.facts(instance).get("instruments", "").split(",")
        pixels = np.frombuffer(body, np.uint8).reshape(SIDE, SIDE, 3)
        seen = recognise_pixels(pixels, _named(name))
        (shown, *_) = seen.instruments
        if shown not in known:
            raise ValueError(f"{_named(name)} {seen.note}, which its model does not know")
        self._surface.set_value(instance, "instrument", float(INSTRUMENTS.index(shown)))
        return f"{_named(name)} {seen.note}"

    def _check(self, instance: str) -> None:
        if instance not in self._surface.instances:
            raise ValueError(f"{instance[:40]!r} is no sound that is here")


def _named(file: str) -> str:
    """Return a name for the library, of the name of a file."""
    stem = PurePath(file.replace("\\", "/")).stem
    return _NOT_IN_NAME.sub("", stem)[:70].strip() or "dropped"
