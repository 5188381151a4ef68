"""The activity of targets over a file: at its place in time, and in stretches."""

from types import SimpleNamespace

import numpy as np
import pytest

from plugin_bridge.offline.activity import ActivityLog
from realtime.spec import Tier

RATE_HZ = 44_100


@pytest.mark.parametrize("lookahead", [0, 40])
def test_activity_lies_where_the_sound_is_and_makes_stretches(lookahead):
    tier = Tier(window=2048, synthesis=512, hop=256, lookahead=lookahead)
    separator = SimpleNamespace(sample_rate=RATE_HZ, tier=tier, on_activity=None)
    log = ActivityLog(separator, ["drums", "bass", "all", "all"])
    assert log.of("drums", 3.0) is None
    times_s = np.arange(600) * tier.hop / RATE_HZ  # of the newest sound of each frame
    drums = ((times_s >= 1) & (times_s < 2)) | (abs(times_s - 0.35) < 0.06)
    activity = np.stack([drums, np.ones(600), drums, 0.9 * (times_s > 2)], axis=1).astype(
        np.float32
    )
    for first in range(0, 600, 24):
        separator.on_activity(first, activity[first : first + 24])
    found = log.of("drums", 3.0)
    assert found.stretches_s == ((1.0, 2.0),), "a blink is none"
    assert len(found.values) == 30
    assert found.values[15] == 1
    assert found.values[25] == 0
    assert log.of("bass", 3.0).stretches_s == ((0.0, 3.0),)
    assert log.of("all", 3.0).stretches_s == ((1.0, 3.0),), "of several the surest"
    assert log.of("residual", 3.0) is None
