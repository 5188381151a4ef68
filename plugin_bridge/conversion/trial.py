"""Whether a model that was written works: it is run on noise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from plugin_bridge.control.names import RULE, is_usable
from plugin_bridge.picture.spec import PICTURE_KEY, read_picture_spec
from realtime import OnnxModel, Separator
from realtime.arrays import Floats
from realtime.conditions import NO_CONDITIONS, Conditions, Outputs
from realtime.encoder import ENCODER_KEY, OnnxEncoder, has_encoder
from realtime.errors import StemsteerError
from realtime.masks import MAX_GAIN
from realtime.model import Model, ModelStream, open_session
from realtime.onnx_file import metadata_text
from realtime.spec import MAX_RATE_HZ, MIN_RATE_HZ

_RATE_HZ = 44_100  # of most files
BROKEN = "the weights are broken: a model of them gives NaN or Inf"


def load_with_encoder(path: Path) -> None:
    """Load a model, and the encoder of its timbres that is here or lies beside it.

    Raises StemsteerError if the model cannot be loaded; it may do without the encoder.
    """
    has_encoder(OnnxModel(path).spec.encoder, path.parent)


def try_out(path: Path) -> None:
    """Run what was written. Raises StemsteerError if it gives nonsense."""
    if metadata_text(path, PICTURE_KEY) is not None:
        _try_pictures(path)
    elif metadata_text(path, ENCODER_KEY) is not None:
        _try_encoder(path)
    else:
        _try_model(path)


def _try_encoder(path: Path) -> None:
    """Let an encoder hear a second of noise. Raises StemsteerError if it gives nonsense."""
    encoder = OnnxEncoder(path)
    noise = np.random.default_rng(0).standard_normal((2, encoder.spec.sample_rate))
    encoder.encode(noise.astype(np.float32))


def _try_model(path: Path) -> None:
    """Run a model over a second of noise.

    Raises StemsteerError if it gives nonsense, and ValueError if it has no windows for most files.
    """
    model = _Watched(OnnxModel(path))
    for name in model.spec.targets:
        if not is_usable(name):
            raise StemsteerError(f"a target of this model is called {name!r}, expected {RULE}")
    for tier in model.spec.tiers:
        model.spec.tier_at(tier, _RATE_HZ)
    tier = next(iter(model.spec.tiers))
    rate_hz = min(max(model.spec.sample_rate, MIN_RATE_HZ), MAX_RATE_HZ)  # as near as files are
    separator = Separator(model, rate_hz, tier=tier)
    runs = separator.tier.runs
    hops = 1 + (runs.every if runs else 0)
    noise = np.random.default_rng(0).standard_normal((2, hops * separator.tier.hop))
    separator.process(noise.astype(np.float32))
    separator.flush()
    if separator.model_faults and math.isfinite(model.peak):
        raise StemsteerError(
            f"the masks of this model reach {model.peak:.3g}, {20 * math.log10(model.peak):.0f} dB "
            f"above the mix; {MAX_GAIN:g} is the most that a mask may be"
        )
    if separator.model_faults:
        raise StemsteerError(BROKEN)


class _Watched:
    """A model whose masks are looked at: `peak` is the largest, not finite if one is not."""

    def __init__(self, model: Model) -> None:
        self.spec, self.peak = model.spec, 0.0
        self._model = model

    def stream(self, targets: int) -> ModelStream:
        """See `Model.stream`."""
        stream = self._model.stream(targets)
        return _WatchedStream(self, stream)

    def run(self, spectrum: Floats, newest: int, conditions: Conditions = NO_CONDITIONS) -> Floats:
        """See `Model.run`."""
        return self.seen(self._model.run(spectrum, newest, conditions))

    def seen(self, masks: Floats) -> Floats:
        """Return masks, having looked at them."""
        self.peak = float(np.maximum(self.peak, np.abs(masks).max(initial=0)))  # NaN stays
        return masks


class _WatchedStream:
    def __init__(self, watched: _Watched, stream: ModelStream) -> None:
        self._watched, self._stream, self.reset = watched, stream, stream.reset

    def step(self, spectrum: Floats, conditions: Conditions) -> Outputs:
        outputs = self._stream.step(spectrum, conditions)
        self._watched.seen(outputs["masks"])
        return outputs


def _try_pictures(path: Path) -> None:
    """Show a network of pictures noise. Raises StemsteerError if it gives nonsense."""
    size = read_picture_spec(path).size
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    probabilities = open_session(path).run(["probabilities"], {"image": image})[0]
    if not np.isclose(probabilities.sum(), 1, atol=1e-3):
        raise StemsteerError(BROKEN)
