"""The evaluation of voices: the original's procedure, and the table."""

import numpy as np

from models_onnx.evaluation.timbre_scenes import TimbreScene
from models_onnx.evaluation.voice import as_published, judged
from plugin_bridge.conversion.spleeter import BINS, OFFLINE_TIERS
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import noise, tone

SPEC = fake_spec(tiers=OFFLINE_TIERS, conditions={}, targets=("vocals",), mask_axes="channels",
                 bins=BINS)  # fmt: skip


def test_the_original_gives_back_what_its_masks_let_through_and_nothing_above_11_khz():
    identity = FakeModel(lambda *_: np.ones((1, 1, 1, 1)), SPEC)
    samples = 600 * 1024 + 77  # two pieces, the second not whole
    low, high = (np.stack([tone(hz, samples)] * 2) for hz in (997, 15_000))
    out = as_published(identity, low + high)
    assert out.shape == low.shape
    np.testing.assert_allclose(out[:, 4096:-4096], low[:, 4096:-4096], atol=1e-4)
    assert identity.runs == 2


def test_the_table_has_a_row_for_every_estimate_and_a_column_for_every_song():
    images = np.stack([noise(2, 9_000), noise(2, 9_000, seed=1)])
    song = TimbreScene("One", images.sum(0), ("drums", "vocals"), images, lambda *_: None)
    estimates = {"mix": lambda song, _: song.mixture,
                 "voice": lambda song, k: song.images[k][:, :-5]}  # fmt: skip
    lines = judged(estimates, [song]).splitlines()
    assert lines[0] == "| SI-SDR, dB | One | mean |"
    assert lines[2].startswith("| mix | ")
    values = [float(line.split("|")[2].replace("−", "-")) for line in lines[2:]]
    assert abs(values[0]) < 1, "two sources of one level"
    assert values[1] > 25
