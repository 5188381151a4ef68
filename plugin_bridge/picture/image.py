"""Read a picture: formats, sizes and what may go wrong; the one place that imports Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.errors import StemsteerError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
MAX_BYTES = 50_000_000
MAX_PIXELS = 64_000_000
LEAST_SIDE = 32
BORDER = 32 / 224
"""What is cut off around the middle, as in the evaluation of EfficientNet: 32 of 256 pixels."""


def read_picture(path: Path, size: int) -> NDArray[np.float32]:
    """Return the middle of a picture, (1, 3, size, size) float32, (x − 127) / 128.

    Its header is read first, so a small file that would unfold to a huge picture is not unfolded.

    Raises
    ------
    StemsteerError if it is no picture, of a format that is not read, too large, or too small.
    """
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise StemsteerError(
            "pictures need the package pillow: pip install 'stemsteer[pictures]'"
        ) from None
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # our own bound is lower
            picture = Image.open(path, formats=FORMATS)
        with picture:
            _check_size(path, *picture.size)
            picture.draft("RGB", (2 * size, 2 * size))  # JPEG unfolds no larger than is needed
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            white = Image.new("RGBA", upright.size, "white")
            flat = Image.alpha_composite(white, upright).convert("RGB")
    except StemsteerError:
        raise
    except Image.DecompressionBombError as error:
        raise StemsteerError(
            f"{path} has too many pixels, expected at most {MAX_PIXELS / 1e6:.0f} million: "
            "save it smaller"
        ) from error
    except Exception as error:  # Pillow raises whatever the bytes of a damaged file lead to
        raise StemsteerError(
            f"{path} is no picture that can be read ({error}); expected one of {', '.join(FORMATS)}"
        ) from error
    around = round(size * (1 + BORDER))
    fitted = ImageOps.fit(flat, (around, around), Image.Resampling.BICUBIC)
    edge = (around - size) // 2
    return normalised(np.asarray(fitted.crop((edge, edge, edge + size, edge + size))))


def normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels (size, size, 3) as networks take them: (1, 3, size, size), (x − 127) / 128."""
    return np.ascontiguousarray(((pixels.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None])


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise StemsteerError(f"no picture at {path}: give a file")
    if (found := path.stat().st_size) > MAX_BYTES:
        raise StemsteerError(
            f"{path} has {found / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f}: "
            "save it smaller"
        )


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise StemsteerError(
            f"{path} has {width} × {height} pixels, expected at most {MAX_PIXELS / 1e6:.0f} "
            "million: save it smaller"
        )
    if min(width, height) < LEAST_SIDE:
        raise StemsteerError(
            f"{path} has {width} × {height} pixels, expected at least {LEAST_SIDE} each way"
        )
