"""U-Nets are trained: questions, losses, labels, and batches that are kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models_onnx.data.classes import CLASSES, ORCHESTRA_13, UNSEEN
from models_onnx.networks import registry
from models_onnx.networks.unet.stream import Stream
from models_onnx.training import unet_batches
from models_onnx.training.batches import Aims
from models_onnx.training.loop import train
from models_onnx.training.losses import snr_db
from models_onnx.training.mask_terms import masked_terms
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_questions import TimbreBatch
from models_onnx.training.unet_batches import ASKING, ShowingAsker, kept, remembered
from models_onnx.training.unet_task import UNetTask, dominance
from realtime.errors import StemsteerError
from tests.support.timbres import pool
from tests.support.unets import tiny_system


@pytest.mark.parametrize("kind", ["fewshot", "activity"])
def test_a_short_training_learns_to_separate(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, spec, about = registry.build("unet", f"tiny-{kind}")
    plan = Plan(steps=60, scenes=2, targets=2, seconds=0.5, learning_rate=1e-2, average=0.8)
    run = Run(UNetTask(network, spec, "live"), plan, about)
    asking = replace(ASKING, produced=0.0, toned=0.0, clip_s=0.5)
    asker = ShowingAsker(pool(), asking, Aims(change=0.0), 2, 2, 0.5)
    other = ShowingAsker(pool(4), asking, Aims(change=0.0), 4, 2, 0.5)
    checked = other.batch(99, 0)
    with torch.no_grad():
        before = run.task.gain_db(run.average, checked)[1]
    train(run, lambda step: asker.batch(0, step % 10), [], tmp_path)
    with torch.no_grad():
        after = run.task.gain_db(run.average, checked)[1]
    assert after > before + 1
    restored, _, _ = registry.restore(tmp_path)
    assert torch.equal(restored.means, run.average.means)
    if kind == "fewshot":
        assert set(restored.names()) == {"bass", "vocals", "guitar", "drums"}


def test_the_latent_of_a_query_is_held_near_a_gaussian_and_is_regressed() -> None:
    torch.manual_seed(0)
    network, spec, about = registry.build("unet", "tiny-query")
    run = Run(UNetTask(network, spec, "live"), Plan(steps=9), about)
    asking = replace(ASKING, produced=0.0, toned=0.0, clip_s=0.5)
    batch = ShowingAsker(pool(), asking, Aims(change=0.0), 2, 1, 0.5).batch(0, 0)
    first, second = run.advance(batch), run.advance(batch)
    assert first["kl"] > 0
    assert first["latent"] > 0
    assert "latent" not in second  # every eighth step
    assert set(network.names()) <= set(CLASSES)
    assert network.names()


def asked_of(batch: TimbreBatch, some: slice) -> TimbreBatch:
    """Return a batch of some of its questions."""
    names = ("targets", "positive", "negative", "kinds", "asked")
    return replace(batch, **{name: getattr(batch, name)[:, some] for name in names})


@torch.no_grad()
def test_a_target_that_sounds_alone_is_not_validated() -> None:
    network, spec, _ = registry.build("unet", "tiny-one-hot")
    task = UNetTask(network.eval(), spec, "live")
    asking = replace(ASKING, produced=0.0, toned=0.0, absent=0.0, clip_s=0.5)
    batch = ShowingAsker(pool(), asking, Aims(change=0.0), 3, 2, 0.5).batch(0, 0)
    targets = batch.targets.clone()
    targets[:, 0] = 0.3 * batch.mixture + 0.1 * torch.randn(batch.mixture.shape)
    targets[:, 1] = batch.mixture
    batch = replace(batch, targets=targets)
    both, first = (task.gain_db(network, asked_of(batch, slice(n))) for n in (2, 1))
    assert both == pytest.approx(first)
    assert both[0] != pytest.approx(both[1])
    assert task.gain_db(network, asked_of(batch, slice(1, 2))) is None


def test_the_error_of_a_mask_is_that_of_its_spectra() -> None:
    torch.manual_seed(0)
    mixture = torch.randn(2, 1, 5, 2, 9, dtype=torch.complex64)
    targets = torch.randn(2, 3, 5, 2, 9, dtype=torch.complex64)
    targets[0, 1] = 0  # silent: it has no SNR
    masks = torch.rand(2, 3, 5, 9)
    found = masked_terms(masks[:, :, :, None], mixture, targets, is_l1=True)["snr_db"]
    estimates = torch.view_as_real(masks[:, :, :, None] * mixture).flatten(2)[:, :, None]
    expected = snr_db(estimates, torch.view_as_real(targets).flatten(2)[:, :, None])
    assert found == pytest.approx(expected.flatten()[[0, 2, 3, 4, 5]].mean().item(), abs=1e-4)


def test_binary_masks_learn_where_a_target_is_the_louder_part() -> None:
    torch.manual_seed(0)
    targets = torch.zeros(1, 2, 4, 2, 8, dtype=torch.complex64)
    targets[:, 0, :, :, :3], targets[:, 1, :, :, 3:] = 1.0, 1.0
    mixture = targets.sum(1, keepdim=True)
    right = (targets.abs().sum(3) > 0).float()
    values = [dominance(masks, mixture, targets) for masks in (right, 0.5 + 0 * right, 1 - right)]
    assert 0 <= values[0] < 1e-4 < values[1] < values[2]
    system = tiny_system("label-binary")
    told = {"timbre": torch.eye(13)[4].expand(1, 3, 1, 13), "against": torch.zeros(1, 3, 1, 13)}
    masks = Stream(system)(torch.randn(1, 3, 2, 1024, 2), told).masks
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_ensembles_grow_over_a_curriculum() -> None:
    asking = replace(unet_batches.ENSEMBLE, remix=1.0, produced=0.0)
    players = ("flute", "cello", "violin", "oboe", "tuba", "horn", "trumpet")
    songs = pool(1, others=dict.fromkeys(players, "vocals"))
    asker = unet_batches.EnsembleAsker(songs, asking, Aims(change=0.0), 6, 1, 0.2)
    asker.curriculum = 10
    most = [int(asker.ensembles(0, step).labels.sum(1).max()) for step in (0, 5, 10)]
    assert most[0] == 2 < most[1] <= 4 < most[2] <= 7


def test_norms_stand_still_in_the_last_part_of_a_run() -> None:
    torch.manual_seed(0)
    network, spec, about = registry.build("unet", "tiny-activity")
    run = Run(UNetTask(network, spec, "live"), Plan(steps=4, freeze_norms=0.5), about)
    asking = replace(ASKING, produced=0.0, toned=0.0, clip_s=0.5)
    batch = ShowingAsker(pool(), asking, Aims(change=0.0), 2, 2, 0.5).batch(0, 0)
    norm, moved, learned = network.unet.down[0].norm, [], []
    for _ in range(4):
        mean, weight = norm.running_mean.clone(), norm.weight.detach().clone()
        run.advance(batch)
        moved.append(not torch.equal(norm.running_mean, mean))
        learned.append(not torch.equal(norm.weight, weight))
    assert moved == [True, True, False, False]
    assert all(learned)


def test_labels_are_learned_for_all_masks_in_one_pass(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, spec, about = registry.build("unet", "tiny-label-encoder")
    run = Run(UNetTask(network, spec, "live"), Plan(steps=3, learning_rate=1e-2), about)
    mixture = torch.randn(2, 2, 22_050)
    targets = torch.zeros(2, 13, 2, 22_050)
    targets[:, 3], targets[:, 8] = 0.7 * mixture, 0.3 * mixture
    labels = (targets.abs().amax((2, 3)) > 0).float()
    batch = unet_batches.EnsembleBatch(mixture, targets, {}, torch.ones(2), labels)
    losses = [run.advance(batch)["loss"] for _ in range(12)]
    assert losses[-1] < losses[0]
    given = run.task.labels(batch, 3)
    assert torch.equal(given * labels, given)  # never told what does not play
    assert given.sum(1).min() >= 1


def test_no_source_of_an_unseen_class_is_met() -> None:
    names = {name for k in range(3) for name in _names(kept(pool(), lambda n: n != "drums"), k)}
    assert names == {"bass", "vocals", "guitar"}
    assert set(UNSEEN) < set(CLASSES)
    assert not set(UNSEEN) & set(ORCHESTRA_13)
    named, _, _ = registry.build("unet", "tiny-activity")
    assert set(named.names()) == set(CLASSES) - set(UNSEEN)


def _names(of: object, song: int) -> list[str]:
    return [s.label.name for s in of.collections[0].sources(song)]  # type: ignore[attr-defined]


def test_batches_are_drawn_once_and_come_back_the_same(tmp_path: Path) -> None:
    asking = replace(ASKING, produced=0.0, clip_s=0.4)
    draw = ShowingAsker(pool(), asking, Aims(change=0.0), 2, 2, 0.3)
    steps: list[int] = []

    def drawn(step: int) -> unet_batches.Batch:
        steps.append(step)
        return draw.batch(5, step)

    kept_batches = remembered(drawn, tmp_path / "kept", 2, {"seed": 5})
    first, again = kept_batches(0), kept_batches(2)
    assert steps == [0]
    assert torch.equal(first.mixture, again.mixture)
    assert torch.allclose(first.targets, draw.batch(5, 0).targets, atol=1e-3)
    assert torch.equal(first.positive, draw.batch(5, 0).positive)
    (tmp_path / "kept" / "00001.pt").write_bytes(b"cut short")
    with pytest.raises(StemsteerError, match=r"00001\.pt is not a batch that can be read"):
        kept_batches(1)


def test_labels_that_are_told_differ_with_the_seed_of_the_run() -> None:
    built, spec, _ = registry.build("unet", "tiny-label-multiply")
    batch = unet_batches.EnsembleBatch(
        torch.zeros(64, 2, 8), torch.zeros(64, 13, 2, 8), {}, torch.ones(64), torch.ones(64, 13)
    )
    one, same, other = (
        UNetTask(built, spec, spec.trained_tier, seed=seed).labels(batch, 3) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
