"""A band-split separator that is told timbres of the encoder that `steer` has, and directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from models_onnx.networks.band_split import BINS, BandSplit, BandSplitConfig
from models_onnx.networks.encoders.listen import ListenConfig
from models_onnx.networks.timbre import TimbreSpace
from realtime.spec import ModelSpec


@dataclass(frozen=True)
class TimbreBandsConfig:
    """The separator and the encoder."""

    bands: BandSplitConfig = field(default_factory=BandSplitConfig)
    listen: ListenConfig = field(default_factory=ListenConfig)

    def __post_init__(self) -> None:
        if isinstance(self.bands, Mapping):  # from a checkpoint
            object.__setattr__(self, "bands", BandSplitConfig(**self.bands))
        if isinstance(self.listen, Mapping):
            object.__setattr__(self, "listen", ListenConfig(**self.listen))


CONFIGS = {
    "bands": TimbreBandsConfig(),
    "bands-tiny": TimbreBandsConfig(
        BandSplitConfig(timbre=8, channels=8, hidden=8, layers=2, code=8),
        ListenConfig(bands=24, width=16, size=8),
    ),
}


def spec(config: TimbreBandsConfig) -> ModelSpec:
    """Return the spec of the separator."""
    size = config.listen.size
    return ModelSpec(
        name="timbre-bands",
        tiers=dict.fromkeys(("live", "studio", "offline"), config.bands.tier),
        conditions={"direction": 2, "timbre": size, "against": size},
        mask_axes="steered",
        bins=BINS,
        description="a band-split network told a timbre, and where it stands",
        licence="GPL-3.0-or-later",
    )


class TimbreBands(TimbreSpace):
    """The separator, and the space of its timbres."""

    def __init__(self, config: TimbreBandsConfig) -> None:
        super().__init__()
        self.config = config
        self.bands = BandSplit(config.bands)
        self.add_space(config.listen)

    def told(self, seen: Tensor, direction: Tensor, timbre: Tensor, against: Tensor) -> Tensor:
        """Give filters (n, F, 3, bins) of T and N (n, F, 2, bins, 2), frames as in training.

        direction (n, 2); timbre and against (n, size).
        """
        code = self.bands.code(timbre, against, direction[:, 1])[:, None]
        return self.bands.filters(seen, code)[0]
