"""A mixture through the streaming engine, as in use, and what leaves it aligned with the input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import Conditions
from realtime.model import Model
from realtime.separator import Separator
from realtime.stft import MAX_FRAMES

Floats = NDArray[np.float32]
RATE_HZ = 44_100


def streamed(
    model: Model, tier: str, mixture: Floats, values: Mapping[str, Floats]
) -> tuple[Floats, Floats | None]:
    """Stream a mixture (2, n) through a model whose conditions stay as they are.

    Parameters
    ----------
    values : (targets, size) by condition; one that is left out is zeros, one that the model does
        not take is ignored. A model that takes none has the targets that it names.

    Returns
    -------
    The estimates (targets, 2, n), and the activity (targets, hops) if the model tells it: activity
    k is of the frame that ends with hop k of the mixture, so the last `Tier.lookahead` are missing.
    """
    targets = len(model.spec.targets) or len(next(iter(values.values())))
    told = {
        name: values.get(name, np.zeros((targets, size), np.float32))
        for name, size in model.spec.conditions.items()
    }

    def conditions(first_frame: int, frames: int) -> Conditions:
        return {n: np.broadcast_to(told[n], (frames, *told[n].shape)) for n in told}

    separator = Separator(model, RATE_HZ, targets=targets, tier=tier, conditions=conditions)
    activity: list[Floats] = []
    separator.on_activity = lambda first_frame, found: activity.append(found.copy())
    piece = MAX_FRAMES * separator.tier.hop
    stems = [
        separator.process(mixture[:, start : start + piece])
        for start in range(0, mixture.shape[1], piece)
    ]
    separator.on_activity = None  # of the frames that silence completes none is wanted
    latency, lookahead = separator.latency, separator.tier.lookahead
    stems.append(separator.flush())
    estimates = np.concatenate(stems, axis=2)[:-1, :, latency:]
    return estimates, np.concatenate(activity)[lookahead:].T if activity else None
