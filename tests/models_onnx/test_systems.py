"""Systems that are judged: the engine, the peer and the oracle, and the activity they tell."""

from pathlib import Path

import numpy as np
import pytest

from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.evaluation.evaluate import PEER_WIDTHS_DEG, best_width_deg, evaluate
from models_onnx.evaluation.metrics import activity_f1, si_sdr_db
from models_onnx.evaluation.systems import oracle, separate, separate_with_activity, sounding
from models_onnx.training.task import ACTIVE_DB
from realtime import Tier, load_model
from realtime.stft import MAX_FRAMES
from tests.support.fakes import fake_spec, identity
from tests.support.tones import draw_scene, opened, write_songs


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def test_separation_through_the_engine_is_aligned_with_its_input() -> None:
    mixture = np.random.default_rng(0).standard_normal((2, 9001)).astype(np.float32)
    model = load_model("panorama")
    for tier in ("live", "studio"):
        found = separate(model, tier, mixture, [0.0, 10.0], 90.0)
        assert found.shape == (2, 2, 9001)
        errors = [np.abs(np.roll(found[0], k, 1) - mixture).mean() for k in (-1, 0, 1)]
        assert np.argmin(errors) == 1


def test_a_source_sounds_where_its_power_is_above_the_level() -> None:
    tier = Tier(1024, 512, 256, lookahead=2)
    images = np.random.default_rng(0).standard_normal((2, 2, 20 * 256)).astype(np.float32)
    images[1, :, : 10 * 256] = 0
    scene = EvaluationScene(images.sum(0), images, np.array([-20.0, 20.0]), ("a", "b"))
    found = sounding(scene, tier, -30.0)
    assert found.shape == (2, 20)
    assert found[0].all()
    assert found[1].tolist() == [False] * 10 + [True] * 10


def test_activity_is_that_of_the_frames_and_judged_only_where_it_is_told(songs: Path) -> None:
    scene = next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True))
    tier = Tier(2048, 512, 256, lookahead=3)
    model = identity(fake_spec(tiers={"studio": tier}))
    model.activity = lambda frames: frames % 2
    _, told = separate_with_activity(model, "studio", scene.mixture, [0.0, 10.0], 20.0)
    hops = scene.mixture.shape[1] // 256
    expected = np.arange(3, hops) % 2
    np.testing.assert_array_equal(told, [expected, expected])
    rows = evaluate([("told", model, "studio")], [scene], 20.0, 0)[0]
    true = sounding(scene, tier, ACTIVE_DB)[:, : hops - 3]
    judged = [row for row in rows if row.system == "told"]
    assert [row.activity_f1 for row in judged] == [
        activity_f1(expected > 0.5, true[row.target]) for row in judged
    ]
    assert all(np.isnan(row.activity_f1) for row in rows if row.system != "told")


def test_a_rest_shorter_than_a_hop_tells_no_activity() -> None:
    model = identity(fake_spec(tiers={"live": Tier(1024, 512, 256)}))
    model.activity = lambda frames: frames % 2
    mixture = np.zeros((2, MAX_FRAMES * 256 + 100), np.float32)
    _, told = separate_with_activity(model, "live", mixture, [0.0], 20.0)
    np.testing.assert_array_equal(told, [np.arange(MAX_FRAMES) % 2])


def test_the_oracle_is_aligned_and_far_above_the_mixture() -> None:
    scene = draw_scene(np.random.default_rng(2), samples=22_050, sources=2)
    found = oracle(scene, Tier(2048, 512, 256))
    error = np.square(found - scene.images).sum((1, 2)) / np.square(scene.images).sum((1, 2))
    assert error.max() < 0.1


def test_the_peer_is_judged_at_the_width_that_suits_it_best(songs: Path) -> None:
    judged = list(evaluation_scenes(opened(songs), 1, 0.3, keep_width=True))
    peer = load_model("panorama")

    def mean(width_deg: float) -> float:
        found = [separate(peer, "live", s.mixture, list(s.azimuth_deg), width_deg) for s in judged]
        pairs = [
            (e[k], s.images[k]) for e, s in zip(found, judged, strict=True) for k in s.targets()
        ]
        return float(np.mean([si_sdr_db(estimate, image) for estimate, image in pairs]))

    assert best_width_deg(peer, "live", judged) == max(PEER_WIDTHS_DEG, key=mean)


def test_a_tier_that_the_peer_does_not_have_is_judged_beside_another_of_it(songs: Path) -> None:
    scene = next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True))
    model = identity(fake_spec(tiers={"lookahead": Tier(2048, 512, 256, lookahead=3)}))
    rows = evaluate([("ahead", model, "lookahead")], [scene], 20.0, 0)[0]
    assert {row.system for row in rows} == {"mix", "mix/N", "panorama", "ahead", "oracle"}
