"""The encoders of what sounds on a surface."""

from __future__ import annotations

import time
from pathlib import Path

from plugin_bridge.control.surface import ControlSurface
from realtime.encoder import OnnxEncoder, encoder_of
from realtime.errors import StemsteerError

LOADING_S = 10.0
"""For how long a track that was just opened may load its model before a request is refused."""
POLL_S = 0.01


class SurfaceEncoders:
    """Gives the encoder of the model of each instance of a surface; loads each encoder once.

    Parameters
    ----------
    models_folder : where a model lies whose encoder may be beside it; None: where all models are.
    """

    def __init__(self, surface: ControlSurface, models_folder: Path | None = None) -> None:
        self._surface, self._models_folder = surface, models_folder
        self._loaded: dict[str, OnnxEncoder] = {}

    def of(self, instance: str) -> OnnxEncoder:
        """Return the encoder of an instance; waits until its model is loaded.

        Raises StemsteerError as `name_of` does, or if the encoder is not here.
        """
        name = self.name_of(instance)
        if name not in self._loaded:
            self._loaded[name] = encoder_of(name, self._models_folder)
        return self._loaded[name]

    def name_of(self, instance: str) -> str:
        """Return the name of the encoder of an instance; waits until its model is loaded.

        Raises StemsteerError if the model takes no timbre, or is not loaded within `LOADING_S`.
        """
        limit_s = time.monotonic() + LOADING_S
        while (name := self._surface.timbres(instance).get("encoder")) is None:
            if instance not in self._surface.instances or time.monotonic() > limit_s:
                raise StemsteerError("its model is not loaded: ask again when it sounds")
            time.sleep(POLL_S)
        if not name:
            raise StemsteerError("its model takes no timbre: choose one that does, as steer")
        return name
