"""The activity of targets over a file: at its place in time, and in stretches."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from plugin_bridge.offline.activity import ActivityLog
from realtime import Separator
from realtime.model import WEIGHTS, load_model
from realtime.spec import Tier
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import panned, tone

RATE_HZ = 44_100
GUITAR = Path(__file__).parents[2] / "build" / "demo" / "guitar.flac"


def test_activity_makes_stretches_of_each_stem():
    tier = Tier(window=2048, synthesis=512, hop=256)
    separator = SimpleNamespace(sample_rate=RATE_HZ, tier=tier, on_activity=None)
    log = ActivityLog(separator, ["drums", "bass", "all", "all"])
    assert log.of("drums", 3.0) is None
    times_s = np.arange(600) * tier.hop / RATE_HZ
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


@pytest.mark.parametrize("lookahead", [0, 40])
def test_activity_lies_where_the_masks_take_the_sound(lookahead):
    model = FakeModel(
        lambda frames, spectrum, conditions: heard(frames)[:, None, None, None],
        fake_spec(tiers={"offline": Tier(2048, 512, 256, lookahead)}),
    )

    def heard(frames):
        """Say of each frame whether that of `lookahead` before is at 1 to 2 s of the input."""
        return (abs((frames - lookahead) * 256 / RATE_HZ - 1.5) < 0.5).astype(np.float32)

    model.activity = lambda frames: np.where(frames < lookahead, 1, heard(frames))
    separator = Separator(model, RATE_HZ, tier="offline")
    log = ActivityLog(separator, ["target"])
    mixture = panned(tone(440, 3 * RATE_HZ), 0)
    stems = np.concatenate([separator.process(mixture), separator.flush()], axis=2)
    level = np.abs(stems[0, 0, separator.latency :]).reshape(30, -1).max(1)
    found = log.of("target", 3.0)
    np.testing.assert_array_equal(np.array(found.values) > 0.5, level > 0.15)
    assert found.stretches_s == ((1.0, 2.0),)
    assert found.values[0] == 0, "what is told of before the start is left out"


@pytest.mark.parametrize(
    ("file", "tier"),
    [
        ("steer-studio", "offline"),
        ("steer", "offline"),
        ("activity-unet", "live"),
        ("activity-unet-offline", "offline"),
    ],
)
def test_the_models_tell_when_a_guitar_plays(file, tier):
    model = load_model(WEIGHTS / f"{file}.onnx")
    guitar = soundfile.read(GUITAR, dtype="float32", frames=RATE_HZ)[0]
    mixture = np.zeros((2, 3 * RATE_HZ), np.float32)
    mixture[:, RATE_HZ : 2 * RATE_HZ] = panned(guitar, -30)
    separator = Separator(model, RATE_HZ, tier=tier)
    if "timbre" in model.spec.conditions and "direction" not in model.spec.conditions:
        separator.set(timbre=np.array(model.spec.classes["guitar"], np.float32))
    else:
        separator.set(azimuth_deg=-30, width_deg=25)
    told = []
    separator.on_activity = lambda first, activity: told.extend(
        (separator.position_of(first + k) / RATE_HZ, value)
        for k, value in enumerate(activity[:, 0])
    )
    separator.process(mixture)
    separator.flush()
    plays = [time_s for time_s, value in told if value > 0.5]
    assert plays[0] == pytest.approx(1, abs=0.03)
    assert plays[-1] == pytest.approx(2, abs=0.07)
