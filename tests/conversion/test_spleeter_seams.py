"""Where pieces of a file meet, masks go on: of a steady tone, and of a song."""

from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.sources import spleeter_spec
from plugin_bridge.files.audio_reader import AudioReader
from realtime import load_model
from realtime.sliding import SlidingMasks
from tests.support.fakes import FakeModel
from tests.support.signals import tone
from tests.support.unet import random_weights

TIER = spleeter.OFFLINE_TIERS["offline"]
assert TIER.runs is not None
PIECES = 4
FRAMES = PIECES * TIER.runs.every + TIER.lookahead
SONG = Path(__file__).parents[2] / "build" / "demo" / "mix.flac"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("seams") / "one.onnx"
    network = spleeter.UNet(random_weights())
    spleeter.convert({"vocals": network}, path, spleeter_spec("offline"))
    return load_model(path)


def steps_db(model, signal):
    """Changes of the level that masks let through, frame by frame, dB, and where pieces meet.

    The power of each bin is that of the whole signal, so only the masks can change the level.
    """
    masks = SlidingMasks(model, TIER).step(signal)[TIER.lookahead :, 0]  # (frames, 2, bins)
    spectrum = np.abs(np.fft.rfft(signal[0, :4096] * np.hanning(4096)))[:1024] ** 2
    levels_db = 10 * np.log10((masks**2 * spectrum).mean((1, 2)))
    first = TIER.runs.every + TIER.runs.age + TIER.lookahead - 1  # that the first run serves
    meets = np.arange(first + TIER.runs.every, len(levels_db), TIER.runs.every)
    changes_db = np.abs(np.diff(levels_db))
    at = (meets[:, None] + np.arange(-1, TIER.runs.fade)).ravel()
    return changes_db[first + 1 :], changes_db[at[at < len(changes_db)]]


def steady(samples):
    return np.repeat(tone(440, samples)[None], 2, axis=0)


def song(samples):
    with AudioReader(SONG) as source:
        mix = np.concatenate(list(source.blocks(65_536)), axis=1)
    return np.tile(mix, (1, -(-samples // mix.shape[1])))[:, :samples]


@pytest.mark.parametrize("sound", [steady, song])
def test_masks_change_no_more_where_pieces_meet_than_elsewhere(model, sound):
    signal = np.ascontiguousarray(sound(FRAMES * TIER.hop), np.float32)
    everywhere, seams = steps_db(model, signal)
    print(f"{sound.__name__}: {seams.mean():.2f} dB at seams, {everywhere.mean():.2f} everywhere")
    assert seams.mean() < 1.15 * everywhere.mean()


def test_no_frame_has_masks_of_a_pieces_beginning_and_one_goes_over_into_the_next():
    def rule(frames, spectrum, conditions):
        """A mask for each piece, by turns 0.5 and 0.6; nothing where it begins."""
        masks = np.full((len(frames), 1, 1, 1), 0.6 if piece.runs % 2 else 0.5, np.float32)
        masks[: spleeter.BEFORE] = 0
        return masks

    piece = FakeModel(rule, spleeter_spec("offline"))
    masks = SlidingMasks(piece, TIER).step(np.zeros((2, FRAMES * TIER.hop), np.float32))
    served = masks[TIER.lookahead + TIER.runs.every :, 0, 0, 0]
    assert (served.min(), served.max()) == pytest.approx((0.5, 0.6), abs=1e-6)
    assert np.abs(np.diff(served)).max() <= 0.1 / TIER.runs.fade + 1e-6
