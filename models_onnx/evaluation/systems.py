"""What is compared: models through the streaming engine, and estimates that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models_onnx.data.scenes import EvaluationScene
from models_onnx.evaluation.streaming import streamed
from realtime.errors import StemsteerError
from realtime.model import Model, OnnxModel, load_model
from realtime.spec import ModelSpec, Tier
from realtime.stft import analyse, synthesise, windows

Floats = NDArray[np.float32]
RATE_HZ = 44_100
PEER, PEER_TIER = "panorama", "studio"
"""The direction mask without learning, and its tier beside those that it does not have."""
TIER_HELP = "direct, live, studio, lookahead or offline, of those that the model has"
_LACKS = {
    "direction": "takes no direction",
    "timbre": "takes no timbre",
    "nothing": "has no sources of its own",
}
"""What a model can be told to be judged, and what is said of one that cannot be."""


def judged_model(name: str, tier: str, *told: str, file_tier: str | None = None) -> OnnxModel:
    """Load a model, and check that it can be judged in a tier.

    Parameters
    ----------
    name : of an installed model, or a path.
    told : what it is told, ``direction``, ``timbre``, or ``nothing`` of one that separates sources
        of its own; any of them will do.
    file_tier : the tier whose file is loaded, where that is another one: that of ``live`` is told
        timbres.

    Raises
    ------
    StemsteerError if there is no such model, it has no such tier, or it is told something else.
    """
    model = load_model(name, file_tier or tier)
    try:
        model.spec.tier(tier)
    except ValueError as error:
        raise StemsteerError(str(error)) from error
    spec = model.spec
    if spec.targets and spec.conditions:
        raise StemsteerError(
            f"{name} is told where each of its own sources is ({', '.join(spec.targets)}): "
            "it is judged by python -m models_onnx spain-table"
        )
    if not any(_can_be_told(spec, what) for what in told):
        lacks = " and ".join(_LACKS[what] for what in told)
        raise StemsteerError(f"{name} {lacks}: give a model that does")
    return model


def _can_be_told(spec: ModelSpec, what: str) -> bool:
    if what == "nothing":
        return bool(spec.targets) and not spec.conditions
    return what in spec.conditions and (what != "timbre" or bool(spec.classes))


def peer_tier(peer: Model, tier: str) -> str:
    """Return the tier of the peer beside a model in a tier: the same, where the peer has it."""
    return tier if tier in peer.spec.tiers else PEER_TIER


def directions_off(
    azimuth_deg: Sequence[float] | Floats, off_deg: float, side: Sequence[float] | Floats
) -> Floats:
    """Return directions (targets,) that are off by an angle, never beyond ±45°.

    Parameters
    ----------
    off_deg : 0 … 45.
    side : −1 to the left, +1 to the right; the other way where that would be beyond ±45°.
    """
    right = np.asarray(azimuth_deg, np.float32)
    step = np.float32(off_deg) * np.asarray(side, np.float32)
    return np.where(np.abs(right + step) > 45, right - step, right + step)


class Mixed(Protocol):
    """A mixture (2, n) and the images (sources, 2, n) that sum to it."""

    @property
    def mixture(self) -> Floats: ...

    @property
    def images(self) -> Floats: ...


@dataclass(frozen=True)
class System:
    """A model that is judged.

    Parameters
    ----------
    width_deg : given with the directions, to models that are told any.
    """

    name: str
    model: Model
    tier: str
    width_deg: float

    @property
    def has_own_sources(self) -> bool:
        """Return whether the model separates what it knows by name, and is told nothing."""
        return bool(self.model.spec.targets) and not self.model.spec.conditions

    def estimates(self, scene: EvaluationScene) -> tuple[list[Floats | None], Floats | None]:
        """Separate a scene.

        Returns
        -------
        An estimate (2, n) of every source, None of those that a model with sources of its own does
        not know: it knows the only source of one of its names. And the activity (sources, hops), if
        the model tells it.
        """
        if not self.has_own_sources:
            found, activity = separate_with_activity(
                self.model, self.tier, scene.mixture, list(scene.azimuth_deg), self.width_deg
            )
            return list(found), activity
        stems, _ = separate_with_activity(self.model, self.tier, scene.mixture, (), 0.0)
        estimates: list[Floats | None] = [None] * len(scene.images)
        for name, stem in zip(self.model.spec.targets, stems, strict=True):
            source = scene.only(name)
            if source is not None:
                estimates[source] = stem
        return estimates, None


def separate(
    model: Model, tier: str, mixture: Floats, azimuth_deg: Sequence[float], width_deg: float
) -> Floats:
    """Stream a mixture (2, n) through a model; one target a direction: (targets, 2, n)."""
    return separate_with_activity(model, tier, mixture, azimuth_deg, width_deg)[0]


def separate_with_activity(
    model: Model, tier: str, mixture: Floats, azimuth_deg: Sequence[float], width_deg: float
) -> tuple[Floats, Floats | None]:
    """Separate as `separate` does; return also the activity as `streamed` does."""
    direction = np.array([(azimuth, width_deg) for azimuth in azimuth_deg], np.float32)
    return streamed(model, tier, mixture, {"direction": direction})


def sounding(scene: Mixed, tier: Tier, level_db: float) -> NDArray[np.bool_]:
    """Return whether each source sounds in the frames of `tier`: (sources, hops).

    It does where its power is above `level_db` against the mixture's mean.
    """
    window = windows(tier)[0]

    def power(signal: Floats) -> Floats:
        padded = np.pad(signal, ((0, 0), (tier.window - tier.hop, 0)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, tier.window, 1)[:, :: tier.hop]
        return np.einsum("cfn,n->f", np.square(frames), np.square(window)) / 2

    mean = np.mean(np.square(scene.mixture)) * np.sum(np.square(window))
    return np.stack([power(image) for image in scene.images]) > mean * 10 ** (level_db / 10)


def oracle(scene: Mixed, tier: Tier) -> Floats:
    """Separate by the ratio mask made from the true sources, on each channel: (sources, 2, n).

    |S|² / (|S|² + |X − S|²) with the windows of `tier`: what a mask on the channels could reach.
    """
    analysis, synthesis = windows(tier)
    samples = scene.mixture.shape[1]
    before, after = tier.window - tier.hop, tier.window

    def spectra(signal: Floats) -> NDArray[np.complex64]:
        return analyse(np.pad(signal, ((0, 0), (before, after))), analysis, tier.hop)

    mixture = spectra(scene.mixture)
    out = np.empty_like(scene.images)
    for k, image in enumerate(scene.images):
        own = spectra(image)
        power, rest = np.square(np.abs(own)), np.square(np.abs(mixture - own))
        masked = mixture * (power / (power + rest + 1e-12))
        carry = np.zeros((2, tier.synthesis - tier.hop), np.float32)
        signal = synthesise(masked.astype(np.complex64), synthesis, tier.hop, carry)
        start = tier.synthesis - tier.hop
        out[k] = signal[:, start : start + samples]
    return out
