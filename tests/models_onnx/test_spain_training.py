"""The losses of X-UMX by hand, the scenes of SpaIn-Net, and a training that learns."""

import math

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.data.sources import Source
from models_onnx.data.stems import Label
from models_onnx.networks import registry
from models_onnx.networks.spain.config import TASKS, spec
from models_onnx.networks.spain.network import SpainXumx
from models_onnx.training.run import Plan, Run
from models_onnx.training.spain_batches import (
    CLASSES,
    Stems,
    as_batch,
    evaluation_scenes,
    training_batches,
)
from models_onnx.training.spain_losses import (
    combination_matrix,
    combined,
    multi_domain,
    multi_domain_of_masks,
    weighted_sdr,
)
from models_onnx.training.train_spain import SpainTask, main
from realtime.errors import StemsteerError
from tests.support.spain import TINY
from tests.support.tones import RATE_HZ, tones


class Songs:
    """One song a stem of each class, of tones."""

    origin = "tones"

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return len(self.classes)

    def sources(self, index: int) -> list[Source]:
        sound = tones(np.random.default_rng(index), 2 * RATE_HZ).astype(np.float32)
        wide = 0.3 * np.random.default_rng(index).standard_normal((2, sound.size))

        def read(start: int, count: int) -> np.ndarray:
            stem = np.concatenate([sound[None], wide.astype(np.float32)])
            return stem[:, start : start + count]

        return [Source(Label(self.classes[index], ""), sound.size, read)]


@pytest.fixture
def stems(monkeypatch, tmp_path):
    songs = Songs(("guitar", "cello", "bass", "piano", "guitar", "drums", "keys"))
    monkeypatch.setattr(
        "models_onnx.training.spain_batches.open_collection", lambda folder, part: songs
    )
    return lambda task: Stems([tmp_path], TASKS[task])


def test_weighted_sdr_is_its_formula():
    """s = (3, 4), ŝ = (4, 3), mixture (3, 5): n = (0, 1), n̂ = (−1, 2), a = 25 / 26."""
    found = weighted_sdr(
        torch.tensor([4.0, 3.0]), torch.tensor([3.0, 4.0]), torch.tensor([3.0, 5.0])
    )
    expected = -25 / 26 * (24 / 25) - 1 / 26 * (2 / math.sqrt(5))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_a_perfect_estimate_has_no_loss_and_a_silent_target_counts_what_is_left():
    s, x = torch.randn(2, 1, 50)
    magnitudes = (s[None].abs(), s[None].abs())
    error, waveform = multi_domain(magnitudes, (s[None], s[None]), x[None])
    assert error.item() == 0
    assert waveform.item() == pytest.approx(0, abs=1e-5)
    silent = weighted_sdr(torch.zeros(50), torch.zeros(50), x[0])
    assert silent.item() == pytest.approx(-1, abs=1e-5)


def test_there_are_fourteen_combinations_of_four_sources():
    matrix = combination_matrix(4)
    assert matrix.shape == (14, 4)
    assert len({tuple(row) for row in matrix.tolist()}) == 14
    assert set(matrix.sum(1).tolist()) == {1.0, 2.0, 3.0}
    sources = torch.randn(2, 4, 3, 5)
    found = combined(sources, matrix)
    pairs = [k for k, row in enumerate(matrix.tolist()) if row == [1, 0, 1, 0]]
    torch.testing.assert_close(found[:, pairs[0]], sources[:, 0] + sources[:, 2])


def test_the_loss_of_masks_is_that_of_the_masked_spectra():
    torch.manual_seed(0)
    masks = torch.rand(2, 4, 6, 2, 9)
    target = torch.randn(2, 4, 6, 2, 9, dtype=torch.complex64)
    mixture = target.sum(1) + torch.randn(2, 6, 2, 9, dtype=torch.complex64)
    estimate = masks * mixture[:, None]

    def real(spectra: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(spectra).flatten(2)

    expected = multi_domain(
        (estimate.abs(), target.abs()), (real(estimate), real(target)), real(mixture[:, None])
    )
    found = multi_domain_of_masks(masks, mixture, target)
    torch.testing.assert_close(found, expected)


def test_a_scene_is_four_points_of_the_right_instruments(stems):
    scene = stems("band").draw(np.random.default_rng(1), 0.5)
    assert scene.names == TASKS["band"]
    assert scene.images.shape == (4, 2, RATE_HZ // 2)
    np.testing.assert_allclose(scene.mixture, scene.images.sum(0), atol=1e-6)
    for image, azimuth in zip(scene.images, scene.azimuth_deg, strict=True):
        theta = np.deg2rad(azimuth + 45)
        across = image[1] * np.cos(theta) - image[0] * np.sin(theta)
        assert np.abs(across).max() < 1e-6  # what is wide is left out


class Steady(Songs):
    """Stem k is a tone at 500 (k + 1) Hz, and what is wide of it one at 9 kHz."""

    def sources(self, index: int) -> list[Source]:
        time_s = np.arange(2 * RATE_HZ) / RATE_HZ
        frequencies_hz = np.array([500.0 * (index + 1), 9000.0, 9000.0])
        stem = np.sin(2 * np.pi * frequencies_hz[:, None] * time_s).astype(np.float32)
        label = Label(self.classes[index], "")
        return [Source(label, stem.shape[1], lambda start, count: stem[:, start : start + count])]


def test_two_guitars_are_distinct_and_in_order(monkeypatch, tmp_path):
    songs = Steady(("guitar", "bass", "piano", "guitar"))
    monkeypatch.setattr(
        "models_onnx.training.spain_batches.open_collection", lambda folder, part: songs
    )
    drawn = Stems([tmp_path], TASKS["guitars"])
    for seed in range(20):
        scene = drawn.draw(np.random.default_rng(seed), 0.3)
        assert scene.azimuth_deg[0] <= scene.azimuth_deg[1]
        spectra = np.abs(np.fft.rfft(scene.images)).sum(1)  # of both channels
        tones_hz = spectra.argmax(1) / 0.3
        assert sorted(np.round(tones_hz / 500)[:2]) == [1, 4]
        assert spectra[:, 2650:].max() < 0.01 * spectra.max()  # 9 kHz: what is wide is left out


def test_guitars_of_which_there_is_one_are_refused(monkeypatch, tmp_path):
    songs = Songs(("guitar", "bass", "piano"))
    monkeypatch.setattr(
        "models_onnx.training.spain_batches.open_collection", lambda folder, part: songs
    )
    with pytest.raises(StemsteerError, match="1 stems of guitar, expected at least 2"):
        Stems([tmp_path], TASKS["guitars"])


def test_noise_changes_what_is_told_by_at_most_eight_degrees_and_not_the_sound(stems):
    exact, noisy = (
        training_batches(stems("band"), 0, 8, 0.2, noise=noise)(3) for noise in (False, True)
    )
    assert torch.equal(exact.mixture, noisy.mixture)
    wrong = (noisy.conditions["direction"] - exact.conditions["direction"])[..., 0]
    assert 4 < wrong.abs().max() <= 8


def test_classes_are_those_of_the_renderer():
    from models_onnx.data.classes import CLASSES as KNOWN

    assert set().union(*CLASSES.values()) <= set(KNOWN)


@pytest.mark.parametrize("combinations", [False, True])
def test_a_short_training_learns(stems, combinations):
    torch.manual_seed(0)
    network = SpainXumx(TINY)
    task = SpainTask(network, spec(TINY), combinations=combinations)
    run = Run(task, Plan(steps=30, learning_rate=5e-3, average=0.9), {})
    draw = training_batches(stems("band"), 0, 4, 0.3, noise=False)
    losses = [run.advance(draw(step))["loss"] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_the_gain_is_none_for_masks_of_one(stems):
    network, _, _ = registry.build("spain-xumx", "band-none")
    task = SpainTask(network, spec(network.config), combinations=False)
    monkey = torch.ones(())
    task.masks = lambda n, b, s: monkey.expand(len(s), 4, s.shape[1], 2, 744)  # type: ignore[method-assign]
    batch = as_batch(list(evaluation_scenes(stems("band"), 2, 0.5)))
    after, gain = task.gain_db(network, batch)
    assert gain == pytest.approx(0, abs=0.01)
    assert after < 0


def test_folders_of_stems_are_told_by_their_names(tmp_path):
    for name in ("guitar", "viola", "bass", "piano"):
        sound = tones(np.random.default_rng(0), RATE_HZ)
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE_HZ)
    scene = Stems([tmp_path], TASKS["band"]).draw(np.random.default_rng(1), 0.5)
    assert np.abs(scene.images).max(axis=(1, 2)).min() > 1e-3


def test_an_unknown_configuration_is_said_without_a_traceback(tmp_path):
    words = ("band-none", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "1")
    for wrong, told in ((("other", *words[1:]), "it has: "), (words, "holds no songs")):
        found = CliRunner().invoke(commands.app(main), wrong, catch_exceptions=False)
        assert found.exit_code == 1
        assert told in found.output
