"""What a sound is, as a unit vector: an encoder of audio, run once, outside the audio path."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object
from realtime.model import open_session, weights_folders
from realtime.onnx_file import metadata_text
from realtime.spec import Tier
from realtime.spec_fields import MAX_SPEC_BYTES, check_encoder_fields
from realtime.stft import analyse, windows

ENCODER_KEY = "stemsteer-encoder"
SCHEMA = 1
DEFAULT, FOLDER = "listen", "encoders"
SHORTEST_S, LONGEST_S = 0.25, 30.0
SILENT = 1e-5
"""RMS below which a clip is silence."""
LEAST_FRAMES = 0.25
"""Share of the frames of a separated target that is encoded at least."""
SOUNDING = 0.01
"""Power, over the mean of the frames, from which on a frame sounds."""


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder's file says about itself, in its metadata as JSON.

    Tensors: ``spectrum`` (frames, 2, bins, 2) of frames of `window` samples, `hop` apart, under the
    window of `realtime.stft.windows`, gives ``timbre`` (size,), a unit vector.

    Parameters
    ----------
    encoder : identity; vectors of another encoder have nothing in common with these. A model says
        in its own spec which encoder it was trained with.
    window : a multiple of two hops.

    Raises
    ------
    ValueError if the window is no such multiple.
    """

    encoder: str
    size: int
    sample_rate: int = 44_100
    window: int = 2048
    hop: int = 1024
    bins: int = 1024
    description: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.hop < 1 or self.window % (2 * self.hop):
            raise ValueError(
                f"window of the spec is {self.window}, expected a multiple of two hops, each of "
                f"{self.hop}"
            )

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> EncoderSpec:
        """Read a spec. Raises ValueError that says which field is wrong."""
        fields = read_json_object(text, max_bytes=MAX_SPEC_BYTES)
        if fields.pop("schema", None) != SCHEMA:
            raise ValueError(f"the spec is not of schema {SCHEMA}")
        check_encoder_fields(fields)
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"the spec lacks a field or has one too many: {error}") from error


class OnnxEncoder:
    """An encoder file.

    Raises
    ------
    StemsteerError if the file is missing, corrupt or no encoder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            text = metadata_text(self.path, ENCODER_KEY)
            if text is not None:
                self.spec = EncoderSpec.from_json(text)
        except ValueError as error:
            raise StemsteerError(f"{path}: {error}") from error
        self._session = open_session(self.path)
        if text is None:
            raise StemsteerError(f"{path} is an ONNX file, but no encoder of timbres")
        inputs = [i.name for i in self._session.get_inputs()]
        outputs = [o.name for o in self._session.get_outputs()]
        if (inputs, outputs) != (["spectrum"], ["timbre"]):
            raise StemsteerError(f"{path} does not keep its spec: it has {inputs} and {outputs}")
        tier = Tier(self.spec.window, self.spec.window, self.spec.hop)
        self._window = windows(tier)[0]

    def encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the timbre (size,) of audio (channels, samples) at the encoder's rate, float32.

        Raises
        ------
        TypeError if it is not of floats. ValueError if it is not of one or two channels, has
        samples that are no numbers, is silent, or is not `SHORTEST_S` to `LONGEST_S` long.
        StemsteerError if the encoder fails.
        """
        self._check_sounds(audio)
        return self._encode(self._spectra(audio))

    def encode_separated(
        self, target: NDArray[np.float32], residual: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Give the timbre (size,) of what a separator has taken, beside all else it left.

        What the target is not sounds in it, too, but little where the target is the louder: those
        frames are encoded, and no others; `dominated` says which.

        Raises
        ------
        TypeError, ValueError as `encode`, and if one is longer than the other.
        """
        if target.shape[-1:] != residual.shape[-1:]:
            raise ValueError(
                f"the target has the shape {target.shape} and the residual {residual.shape}: "
                "expected as many samples of both"
            )
        self._check_sounds(target)
        spectra, others = self._spectra(target), self._spectra(residual)
        kept = dominated(*(np.square(np.abs(part)).sum((1, 2)) for part in (spectra, others)))
        return self._encode(spectra[kept])

    def _spectra(self, audio: NDArray[np.float32]) -> NDArray[np.complex64]:
        self._check(audio)
        both = np.ascontiguousarray(np.broadcast_to(audio, (2, audio.shape[1])), np.float32)
        return analyse(both, self._window, self.spec.hop)[:, :, : self.spec.bins]

    def _encode(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        parts = np.ascontiguousarray(spectra).view(np.float32)
        parts = parts.reshape(*spectra.shape, 2)
        try:
            timbre: NDArray[np.float32] = self._session.run(["timbre"], {"spectrum": parts})[0]
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise StemsteerError(f"{self.path} cannot run: {error}") from error
        if timbre.shape != (self.spec.size,) or abs(float(np.linalg.norm(timbre)) - 1) > 0.01:
            raise StemsteerError(
                f"{self.path} gives no unit vector of {self.spec.size} numbers, as its spec says"
            )
        return timbre

    def _check_sounds(self, audio: NDArray[np.float32]) -> None:
        self._check(audio)
        if np.sqrt(np.mean(np.square(audio))) < SILENT:
            raise ValueError("the clip is silent: choose a stretch in which the sound is heard")

    def _check(self, audio: NDArray[np.float32]) -> None:
        if not np.issubdtype(audio.dtype, np.floating):
            raise TypeError(f"audio is {audio.dtype}, expected float32 with full scale at 1")
        if audio.ndim != 2 or audio.shape[0] not in (1, 2):
            raise ValueError(f"audio of shape {audio.shape}: expected one or two channels")
        seconds = audio.shape[1] / self.spec.sample_rate
        if not SHORTEST_S <= seconds <= LONGEST_S:
            raise ValueError(f"{seconds:.2f} s: expected {SHORTEST_S:g} to {LONGEST_S:g} s")
        if not np.isfinite(audio).all():
            raise ValueError("the clip has samples that are no numbers")


def dominated(target: NDArray[np.float32], residual: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which frames a target of power (frames,) sounds and is louder than the residual.

    At least a quarter of the frames, those in which it dominates most.
    """
    sounds = target > SOUNDING * target.mean()
    ratio = np.where(sounds, target / (residual + 1e-12), 0)
    kept: NDArray[np.bool_] = ratio > 1
    kept[np.argsort(-ratio, kind="stable")[: math.ceil(LEAST_FRAMES * ratio.size)]] = True
    return kept


def encoder_of(identity: str, beside: Path | None = None) -> OnnxEncoder:
    """Load the encoder that a model says it was trained with.

    Parameters
    ----------
    beside : see `load_encoder`.

    Raises
    ------
    StemsteerError if it is not here, cannot be used, or a file of that name holds another one.
    """
    encoder = load_encoder(identity, beside)
    if encoder.spec.encoder != identity:
        raise StemsteerError(
            f"{encoder.path} is called as the encoder {identity!r} and holds "
            f"{encoder.spec.encoder!r}, whose timbres mean something else: rename it"
        )
    return encoder


def file_of(identity: str) -> str:
    """Return what the file of an encoder of an identity is called, whatever is in that."""
    return re.sub(r"[^\w.-]", "_", identity) + ".onnx"


def has_encoder(identity: str, beside: Path | None = None) -> bool:
    """Return whether `encoder_of` finds an encoder that can be used."""
    try:
        encoder_of(identity, beside)
    except StemsteerError:
        return False
    return True


def load_encoder(name: str = DEFAULT, beside: Path | None = None) -> OnnxEncoder:
    """Load an encoder by its path, or from the folders `encoders` beside the models.

    Parameters
    ----------
    name : what its file is called, or the identity that a model or a timbre says.
    beside : a folder of models whose encoders come first, as that of a model given by its path.

    Raises
    ------
    StemsteerError if there is none, or it cannot be used.
    """
    if name.endswith(".onnx") or os.sep in name:
        return OnnxEncoder(name)
    folders = [*([beside] if beside else []), *weights_folders()]
    files = [p for f in folders for p in sorted((f / FOLDER).glob("*.onnx"))]
    for path in files:
        if path.stem == name:
            return OnnxEncoder(path)
    there = []
    for path in files:
        try:
            encoder = OnnxEncoder(path)
        except StemsteerError:  # a broken file keeps none of the others away
            continue
        if encoder.spec.encoder == name:
            return encoder
        there.append(encoder.spec.encoder)
    raise StemsteerError(f"no encoder {name!r}; there are: {', '.join(sorted(there)) or 'none'}")
