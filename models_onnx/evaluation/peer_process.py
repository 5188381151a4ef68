"""The process of `peers`: separates noise with one system, and prints what that took as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from realtime.model import load_model
from realtime.separator import Separator

RATE_HZ = 44_100
SOURCES = ("drums", "bass", "other", "vocals")
HTDEMUCS_SEGMENT_S = 7.8
_BLOCK = 32 * 1024

Run = Callable[[np.ndarray], object]


def htdemucs() -> tuple[Run, float]:
    """Build HTDemucs as released, 41.5 M parameters."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    network = HTDemucs(
        sources=list(SOURCES), audio_channels=2, samplerate=RATE_HZ, segment=HTDEMUCS_SEGMENT_S,
        bottom_channels=512, t_layers=5,
    ).eval()  # fmt: skip

    @torch.inference_mode()
    def run(mixture: np.ndarray) -> None:
        apply_model(network, torch.from_numpy(mixture)[None], shifts=0)

    return run, HTDEMUCS_SEGMENT_S


def open_unmix(seconds: float) -> tuple[Run, float]:
    """Build the four networks of Open-Unmix and its Wiener filter; it needs the whole file."""
    import torch
    from openunmix.model import OpenUnmix, Separator

    networks = {
        name: OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487)
        for name in SOURCES
    }
    separator = Separator(networks, niter=1, sample_rate=RATE_HZ, nb_channels=2).eval()

    @torch.inference_mode()
    def run(mixture: np.ndarray) -> None:
        separator(torch.from_numpy(mixture)[None])

    return run, seconds


def ours(name: str) -> tuple[Run, float]:
    """Take a model of this project as `render` does, one target, at its slowest tier."""
    model = load_model(name)
    tier = "offline" if "offline" in model.spec.tiers else next(iter(model.spec.tiers))
    separator = Separator(model, RATE_HZ, tier=tier, select=bool(model.spec.targets))
    if model.spec.targets:  # the first source, from anywhere
        first = np.eye(len(model.spec.targets), dtype=np.float32)[0]
        separator.set(0, width_deg=90.0, sources=first)

    def run(mixture: np.ndarray) -> None:
        for first in range(0, mixture.shape[1], _BLOCK):
            separator.process(mixture[:, first : first + _BLOCK])

    return run, separator.latency / RATE_HZ


def peak_mb() -> float:
    """Return the greatest resident memory of this program.

    What `getrusage` says holds that of the process that started it, too.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(system: str, seconds: float) -> None:
    """Measure one system."""
    # both packages import torchaudio for files and resampling, which are not needed here
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    generator = np.random.default_rng(0)
    noise = (0.1 * generator.standard_normal((2, int(seconds * RATE_HZ)))).astype(np.float32)
    if system == "htdemucs":
        run, latency_s = htdemucs()
    elif system == "open-unmix":
        run, latency_s = open_unmix(seconds)
    else:
        run, latency_s = ours(system)
    run(noise[:, :RATE_HZ])  # what is made at the first call only
    begun_s = time.process_time()
    run(noise)
    told = {
        "seconds": seconds,
        "processor_s": time.process_time() - begun_s,
        "memory_mb": peak_mb(),
        "latency_s": latency_s,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
