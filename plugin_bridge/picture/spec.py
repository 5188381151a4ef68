"""What the file of a network of pictures says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realtime.errors import StemsteerError
from realtime.folders import user_models_folder
from realtime.onnx_file import metadata_text
from realtime.spec_fields import fields_of, spec_text

SCHEMA = 1
PICTURE_KEY = "stemsteer-picture"
MODEL, FOLDER = "efficientnet-lite0", "pictures"


@dataclass(frozen=True)
class PictureSpec:
    """A network that gives the probabilities of ImageNet's 1000 classes, in their usual order.

    Tensors: ``image`` (1, 3, size, size) float32, (x − 127) / 128 of red, green and blue from 0 to
    255, gives ``probabilities`` (1, 1000).
    """

    name: str
    size: int = 224
    description: str = ""
    licence: str = ""
    credit: str = ""

    def to_json(self) -> str:
        """Return what an ONNX file carries under `PICTURE_KEY`."""
        return spec_text(self, SCHEMA)

    @classmethod
    def from_json(cls, text: str) -> PictureSpec:
        """Read a spec. Raises ValueError if it is none."""
        try:
            spec = cls(**fields_of(text, SCHEMA))
        except TypeError as error:
            raise ValueError(f"the spec lacks a field or has one too many: {error}") from error
        if not isinstance(spec.size, int) or not 32 <= spec.size <= 1024:
            raise ValueError(f"size of the spec is {spec.size!r}, expected 32 to 1024 pixels")
        return spec


def picture_model() -> Path:
    """Return where the network of pictures is, once it was added."""
    return user_models_folder() / FOLDER / f"{MODEL}.onnx"


def read_picture_spec(path: Path) -> PictureSpec:
    """Return what a network of pictures says of itself. Raises StemsteerError if it is none."""
    try:
        text = metadata_text(path, PICTURE_KEY)
        if text is not None:
            return PictureSpec.from_json(text)
    except ValueError as error:
        raise StemsteerError(f"{path}: {error}") from error
    raise StemsteerError(f"{path} is no network of pictures: `stemsteer models add` makes one")
