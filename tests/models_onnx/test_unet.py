"""The U-Nets of systems 2 to 5: shapes as published, streams, gates, batches, a short training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx.data.classes import CLASSES, ORCHESTRA_13, UNSEEN
from models_onnx.export.command import main as export_main
from models_onnx.networks import registry
from models_onnx.networks.unet.config import UNetConfig
from models_onnx.networks.unet.published import (
    PUBLISHED,
    Pictures,
    PublishedIass,
    PublishedUNet,
    VisualMotion,
)
from models_onnx.networks.unet.stream import Hold, Median, Stream
from models_onnx.training import train_unet, unet_batches
from models_onnx.training.batches import Aims
from models_onnx.training.losses import snr_db
from models_onnx.training.mask_terms import masked_terms
from models_onnx.training.run import Plan, Run
from models_onnx.training.timbre_questions import TimbreBatch
from models_onnx.training.train import train
from models_onnx.training.unet_batches import ASKING, ShowingAsker, kept, remembered
from models_onnx.training.unet_task import UNetTask, dominance
from realtime import Separator, load_model
from realtime.encoder import load_encoder
from realtime.errors import StemsteerError
from tests.support.commands import onnx_command
from tests.support.contract import verify_streaming
from tests.support.timbres import pool
from tests.support.unets import tiny_system, unet_file

KINDS = ("query", "fewshot", "activity", "label-encoder", "label-multiply", "label-none")


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def test_the_unet_of_system_4_has_its_published_shape_and_size() -> None:
    network = PublishedUNet(PUBLISHED["label-none"]).eval()
    assert 5.145e6 < count(network) < 5.165e6
    assert network(torch.rand(1, 1, 512, 256)).shape == (1, 13, 512, 256)
    deepest = []
    network.norms[-1].register_forward_hook(lambda *given: deepest.append(given[2].shape))
    network(torch.rand(1, 1, 512, 256))
    assert deepest == [(1, 512, 8, 4)]
    heads = PublishedUNet(PUBLISHED["label-heads"])
    assert len(heads.decoders) == 13
    assert heads.eval()(torch.rand(1, 1, 64, 64)).shape == (1, 13, 64, 64)


@torch.no_grad()
@pytest.mark.parametrize("name", [n for n, c in PUBLISHED.items() if c.condition])
def test_a_published_unet_heeds_its_condition(name: str) -> None:
    torch.manual_seed(0)
    config = replace(PUBLISHED[name], channels=(4, 8, 8, 8, 8, 8))
    network, sound = PublishedUNet(config).eval(), torch.rand(1, 1, 128, 128)
    masks = [network(sound, torch.rand(1, config.condition)) for _ in range(2)]
    assert masks[0].shape == (1, config.masks, 128, 128)
    assert (masks[0] - masks[1]).abs().max() > 1e-6


@torch.no_grad()
def test_labels_that_are_absent_silence_their_masks() -> None:
    network = PublishedUNet(replace(PUBLISHED["label-multiply"], channels=(4,) * 6)).eval()
    masks = network(torch.rand(1, 1, 64, 64), torch.eye(13)[2:3])
    assert masks[:, 2].min() > 0
    assert masks[:, [0, 1, *range(3, 13)]].abs().max() == 0


@torch.no_grad()
def test_system_5_shrinks_frequency_alone_as_published() -> None:
    network, shapes = PublishedIass().eval(), []
    for down in network.down:
        down.register_forward_hook(lambda *given: shapes.append(given[2].shape))
    masks, logit = network(torch.rand(1, 2, 1487, 7))
    assert shapes == [(1, 16, 495, 7), (1, 32, 165, 7), (1, 48, 55, 7)]
    assert masks.shape == (1, 2, 2049, 7)
    assert logit.shape == (1, 7)
    assert masks.min() == 0


def test_pictures_become_one_condition() -> None:
    players = torch.rand(2, 3, 2048)
    assert torch.equal(Pictures()(players), Pictures()(players.flip(1)))
    assert Pictures()(players).shape == VisualMotion()(torch.rand(2, 5, 2048)).shape == (2, 1024)


@pytest.mark.parametrize("name", ["query", "fewshot", "activity", "label-encoder"])
def test_a_small_network_is_small(name: str) -> None:
    system, _, _ = registry.build("unet", name)
    halves = sum(p.numel() * (2 if p.numel() >= 1024 else 4) for p in system.parameters())
    assert halves < 8e6


def told(config: UNetConfig, frames: int, batch: int = 1) -> torch.Tensor | None:
    size = config.condition * (1 + config.against)
    return torch.rand(batch, frames, size) if size else None


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_a_stream_is_cut_anywhere(name: str) -> None:
    network = tiny_system(name).unet.interleaved()
    spectrum, condition = torch.randn(1, 23, 2, 1024, 2), told(network.config, 23)
    states = [torch.zeros(1, *shape) for shape in network.states().values()]
    whole = network(spectrum, condition, states)
    parts, first = [], 0
    for frames in (1, 1, 7, 3, 11):
        part = slice(first, first + frames)
        now = None if condition is None else condition[:, part]
        answer = network(spectrum[:, part], now, states)
        states, first = list(answer.states), first + frames
        parts.append(answer.masks)
    assert torch.allclose(torch.cat(parts, 1), whole.masks, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(states, whole.states, strict=True))


@torch.no_grad()
def test_every_fourth_frame_of_a_stream_is_what_was_trained() -> None:
    network = tiny_system("query").unet
    spectrum, some = torch.randn(1, 24, 2, 1024, 2), slice(3, None, 4)
    condition = told(network.config, 1).expand(-1, 24, -1)
    stream = network.interleaved()
    found = stream(spectrum, condition).masks[:, some]
    seen = spectrum[:, some], condition[:, some]
    assert torch.allclose(found, network(*seen).masks, atol=2e-2)  # the level is of more frames
    assert not torch.allclose(found, stream(*seen).masks, atol=2e-2)


@torch.no_grad()
def test_masks_do_not_depend_on_the_level() -> None:
    network = tiny_system("activity").unet
    spectrum, condition = torch.randn(1, 9, 2, 1024, 2), told(network.config, 9)
    quiet = network(1e-3 * spectrum, condition).masks
    assert torch.allclose(quiet, network(spectrum, condition).masks, atol=1e-4)


@torch.no_grad()
def test_a_timbre_that_is_free_leaves_the_mixture() -> None:
    stream = Stream(tiny_system("fewshot"))
    nothing = torch.zeros(1, 4, 1, 64)
    free = stream(torch.randn(1, 4, 2, 1024, 2), {"timbre": nothing, "against": nothing})
    assert torch.equal(free.masks, torch.ones(1, 4, 1, 1, 1024))


@torch.no_grad()
def test_what_plays_besides_is_told_and_not_taken() -> None:
    system = tiny_system("label-multiply")
    spectrum, labels = torch.randn(1, 3, 2, 1024, 2), torch.eye(13)
    alone = {"timbre": labels[4].expand(1, 3, 1, 13), "against": torch.zeros(1, 3, 1, 13)}
    beside = {**alone, "against": labels[7].expand(1, 3, 1, 13)}
    found = [Stream(system)(spectrum, c).masks for c in (alone, beside)]
    assert torch.allclose(*found, atol=1e-6)  # multiplying knows of no other mask
    system = tiny_system("label-encoder")
    found = [Stream(system)(spectrum, c).masks for c in (alone, beside)]
    assert not torch.allclose(*found, atol=1e-4)


def run_in_parts(gate: Hold | Median, activity: list[float], sizes: list[int]) -> list[float]:
    """Return the weights that a gate gives, in calls of some sizes."""
    states = [torch.zeros(1, *shape) for shape in gate.states().values()]
    out, first = [], 0
    for size in sizes:
        now = torch.tensor([activity[first : first + size]])
        masks, more = gate(torch.ones(1, size, 2), now, states)
        states, first = list(more), first + size
        out += masks[0, :, 0].tolist()
    return out


def test_a_gate_holds_and_has_hysteresis() -> None:
    activity = [0.1, 0.6, 0.4, 0.4, 0.2, 0.4, 0.4, 0.4, 0.9, 0.1]
    expected = [0, 1, 1, 1, 1, 1, 0, 0, 1, 1]  # open until 0.2, then held for two more frames
    for sizes in ([10], [1] * 10, [4, 1, 5]):
        assert run_in_parts(Hold(3), activity, sizes) == expected


def test_a_median_drops_what_is_short_and_comes_later() -> None:
    activity = [0.9] * 5 + [0.1] + [0.9] * 4 + [0.1] * 5 + [0.9] + [0.1] * 4
    for sizes in ([20], [1] * 20, [3, 9, 8]):
        found = run_in_parts(Median(2, 2), activity, sizes)
        # two frames late: the hole is filled, the blip is gone
        assert found[2:] == [1.0] * 10 + [0.0] * 8


@pytest.mark.parametrize(
    ("name", "gate"),
    [("query", "none"), ("fewshot", "none"), ("label-encoder", "none"), ("label-none", "none"),
     ("label-binary", "none"),
     ("activity", "hold"), ("activity", "median")],
)  # fmt: skip
def test_an_exported_network_keeps_the_contract_of_streams(
    name: str, gate: str, tmp_path: Path
) -> None:
    path = unet_file(tmp_path, name, gate)
    model = load_model(path)
    tier = next(iter(model.spec.tiers))
    vector = np.array(next(iter(model.spec.classes.values())), np.float32)

    def make() -> Separator:
        separator = Separator(model, 44_100, tier=tier)
        separator.set(timbre=vector)
        return separator

    stems = verify_streaming(make, tolerance=2e-4)
    assert 1e-4 < np.abs(stems[0]).max() < np.abs(stems.sum(0)).max() * 1.5
    if model.spec.encoder:
        encoder = load_encoder(str(tmp_path / "encoders" / f"{model.spec.name}.onnx"))
        assert encoder.spec.encoder == model.spec.encoder
        heard = encoder.encode(
            0.1 * np.random.default_rng(0).standard_normal((2, 44_100)).astype("f4")
        )
        assert heard.shape == vector.shape
        assert np.linalg.norm(heard) == pytest.approx(1, abs=1e-3)


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


@pytest.mark.parametrize(
    ("kind", "players", "told"),
    [
        ("tiny-label-multiply", (), "the songs have none of the instruments that are asked for, "
         "expected at least 2 of bassoon, cello,"),
        ("tiny-label-multiply", ("violin",), "the songs have violin of the instruments"),
        ("tiny-activity", ("harp",), "expected at least 1 of drums, percussion,"),
    ],
)  # fmt: skip
def test_songs_without_the_instruments_asked_for_are_refused_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, players: tuple[str, ...], told: str
) -> None:
    others = dict.fromkeys(players or ("vocals", "drums"), "vocals")
    songs = pool(1, 1.0, others=others)
    monkeypatch.setattr(train_unet, "open_pool", lambda folders: (songs, ["songs"]))
    words = [kind, "--data", "songs", "--steps", "1", "--out", str(tmp_path / "run")]
    result = onnx_command(train_unet.main, *words)
    assert result.exit_code == 1
    assert told in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_curriculum_needs_ensembles_and_as_many_batches() -> None:
    words = ["--data", ".", "--out", "none", "--curriculum", "50"]
    for kind, more, reason in (
        ("query", [], "for networks of labels"),
        ("label-none", ["--batches", "kept", "--distinct", "40"], "longer than the 40 batches"),
        ("flute", [], "no U-Net 'flute'"),
    ):
        result = onnx_command(train_unet.main, kind, *words, *more)
        assert result.exit_code == 1
        assert reason in " ".join(result.output.split())


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


def test_kept_batches_are_of_one_seed_and_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_unet, "open_pool", lambda folders: (pool(1, 1.0), list(folders)))
    monkeypatch.setattr(train_unet, "train", lambda *_: None)
    words = ["tiny-query", "--data", "songs", "--batches", str(tmp_path / "kept"), "--steps", "1"]

    def told(*more: str) -> str:
        words_of_run = [*words, "--out", str(tmp_path / "run"), *more]
        return onnx_command(train_unet.main, *words_of_run).output

    for _ in range(2):
        assert told() == ""
    for more in (("--seed", "1"), ("--data", "more"), ("--scenes", "3"), ("--targets", "1"),
                 ("--seconds", "2")):  # fmt: skip
        assert "kept keeps batches of" in told(*more)
    assert told() == told("--distinct", "7", "--rate", "0.1") == ""
    with monkeypatch.context() as of_other_songs:
        others = pool(1, 1.0, {"flute": "vocals", "guitar": "guitar"})
        of_other_songs.setattr(train_unet, "open_pool", lambda folders: (others, list(folders)))
        assert "kept keeps batches of" in told(), "other songs are called the same"
    (tmp_path / "kept" / unet_batches.ABOUT).unlink()
    (tmp_path / "kept" / "00000.pt").touch()
    assert "of unknown origin" in told()


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


def test_export_says_what_it_does_not_know(tmp_path: Path) -> None:
    arguments = ["unet", "--checkpoint", str(tmp_path), "--gate", "open"]
    result = onnx_command(export_main, *arguments)
    assert result.exit_code == 1
    assert "no checkpoint at" in result.output or "--gate open" in result.output
