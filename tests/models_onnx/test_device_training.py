"""What is learned from scenes that are mixed on a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models_onnx.data.stems import RATE_HZ
from models_onnx.networks import registry
from models_onnx.networks.band_split import filtered
from models_onnx.networks.timbre_bands import TimbreBands
from models_onnx.training.device_sounds import Sounds
from models_onnx.training.losses import ENOUGH_DB
from models_onnx.training.mask_terms import SILENT_DB
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_bands_task import TimbreBandsTask, filtered_terms
from models_onnx.training.timbre_check import check
from tests.support.noises import casting, scenes_of, source, stem, three_songs

STEPS = 16


@pytest.fixture(scope="module")
def band() -> Sounds:
    return three_songs()


def test_terms_say_how_near_estimates_are_and_how_loud_what_is_absent_comes_out() -> None:
    random = torch.Generator().manual_seed(0)
    mixture = torch.randn(2, 3, 2, 64, 2, generator=random)
    wanted = torch.stack([0.7 * mixture[0], torch.zeros_like(mixture[0])])
    perfect = filtered_terms(wanted, wanted, mixture)
    assert float(perfect["magnitude"]) < 1e-6
    assert float(perfect["snr_db"]) == pytest.approx(ENOUGH_DB, abs=0.1)
    assert float(perfect["absent_db"]) == pytest.approx(SILENT_DB / 2, abs=0.1)  # of half of them
    half = filtered_terms(0.5 * wanted + 0.5 * mixture * (wanted == 0), wanted, mixture)
    assert float(half["snr_db"]) == pytest.approx(6.0, abs=0.2)
    assert float(half["absent_db"]) == pytest.approx(-6.0 / 2, abs=0.1)


def task(seed: int = 0) -> tuple[TimbreBandsTask, dict[str, object]]:
    torch.manual_seed(seed)
    network, spec, about = registry.build("timbre-bands", "bands-tiny")
    assert isinstance(network, TimbreBands)
    network.keep()
    return TimbreBandsTask(network, spec, "live"), about


def test_filters_that_let_everything_through_give_the_mixture(
    band: Sounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = task()
    batch = scenes_of(band).batch(casting(band, both=0.5).draw(0, 0))
    mixture = made.spectra(batch.mixture)
    seen = made.seen(mixture[:, None], batch)
    assert seen.shape == (12, mixture.shape[1], 2, made.spec.bins, 2)
    everything = torch.tensor([1.0, 0.0, 1.0])[:, None].expand(*seen.shape[:2], 3, seen.shape[3])
    assert torch.equal(filtered(everything, seen), seen)
    monkeypatch.setattr(made, "filters", lambda *_: everything)
    found = made.estimates(made.network, mixture, batch)
    assert torch.allclose(found, mixture[:, None].expand_as(found), atol=1e-4)


def test_a_few_steps_of_training_lower_the_loss() -> None:
    """A tone and noise, which nothing but their timbre tells apart."""
    rng = np.random.default_rng(0)
    samples = 3 * RATE_HZ
    tone = np.zeros((3, samples), np.float32)
    tone[0] = 0.1 * np.sin(2 * np.pi * 500 * np.arange(samples) / RATE_HZ)
    noise = stem(rng, 3.0, 0.05)
    noise[1:] = 0.0
    sounds = Sounds(2 * samples, "cpu")
    sounds.add([source(tone, "flute"), source(noise, "drums")])
    drawn = casting(sounds, scenes=2, remix=0.0, produced=0.0, query=0.3)
    drawn.clips = 2
    batch = scenes_of(sounds).batch(drawn.draw(0, 0))
    made, about = task()
    run = Run(made, Plan(steps=STEPS, learning_rate=2e-2, warmup=0.1), about)
    network = made.network
    assert isinstance(network, TimbreBands)
    encoder = {k: v.clone() for k, v in network.listen.state_dict().items()}
    before = check(made, network, [batch])
    terms = [run.advance(batch) for _ in range(STEPS)]
    assert check(made, network, [batch])["valid_name"] > before["valid_name"] + 1
    assert terms[-1]["loss"] < terms[0]["loss"] - 0.1
    assert terms[-1]["snr_db"] > terms[0]["snr_db"] + 3
    assert set(terms[0]) >= {"loss", "magnitude", "snr_db", "absent_db"}
    for name, weight in network.listen.state_dict().items():
        assert torch.equal(weight, encoder[name]), "the encoder is kept"
