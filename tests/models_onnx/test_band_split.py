"""The band-split network: its streams, what it is told, and its filters."""

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models_onnx.networks import registry
from models_onnx.networks.band_split import BINS, GIVEN, HEARD, BandSplit, filtered, looked, turned
from models_onnx.networks.stft import steered
from models_onnx.networks.timbre_bands import TimbreBands
from tests.support.bands import ANYWHERE_DEG, EVERY, SIZE, TINY, spectra, timbre, tiny_bands, told


@pytest.fixture(scope="module")
def whole() -> TimbreBands:
    return tiny_bands()


@pytest.fixture(scope="module")
def network(whole: TimbreBands) -> BandSplit:
    return whole.bands


def steady(frames: int) -> Tensor:
    """Spectra of noise, whose power is the same in every frame."""
    found = spectra(frames)
    return found / found.square().mean((2, 3, 4), keepdim=True).sqrt()


def given_out(network: BandSplit, spectrum: Tensor, conditions: dict[str, Tensor]) -> Tensor:
    """What comes out of a stream: real and imaginary parts (frames, 2, bins, 2)."""
    masks = network(spectrum, conditions).masks[:, :, 0]
    return steered(masks, spectrum, conditions["direction"][:, :, 0, 0])[0]


@settings(max_examples=25, derandomize=True)
@given(cuts=st.lists(st.integers(1, 2 * EVERY + 1), min_size=1, max_size=5))
def test_a_stream_is_the_same_however_its_frames_are_cut(
    network: BandSplit, cuts: list[int]
) -> None:
    frames = sum(cuts)
    spectrum, conditions = spectra(frames), told(frames)
    width_deg = torch.linspace(120, 5, frames).clamp(max=ANYWHERE_DEG)
    conditions["direction"] = torch.stack([torch.linspace(-40, 40, frames), width_deg], -1)
    conditions["direction"] = conditions["direction"][None, :, None]
    conditions["timbre"] = torch.randn(1, frames, 1, SIZE, generator=torch.Generator())
    at_once = network(spectrum, conditions)
    masks, logits, states = [], [], tuple(torch.zeros(1, *s) for s in network.states().values())
    for end, count in zip(accumulate(cuts), cuts, strict=True):
        part = slice(end - count, end)
        here = {name: value[:, part] for name, value in conditions.items()}
        answer = network(spectrum[:, part], here, states)
        states = answer.states
        masks.append(answer.masks)
        logits.append(answer.activity_logit)
    assert torch.allclose(torch.cat(masks, 1), at_once.masks, atol=1e-5)
    assert torch.allclose(torch.cat(logits, 1), at_once.activity_logit, atol=1e-4)
    for name, mine, wanted in zip(network.states(), states, at_once.states, strict=True):
        assert mine.shape == (1, *network.states()[name])
        assert torch.allclose(mine, wanted, atol=1e-5), name


def test_states_carry_what_was_heard_before(network: BandSplit) -> None:
    spectrum, conditions = spectra(2 * EVERY), told(2 * EVERY)
    masks = network(spectrum, conditions).masks[:, EVERY:]
    later = {name: value[:, EVERY:] for name, value in conditions.items()}
    anew = network(spectrum[:, EVERY:], later).masks
    assert not torch.allclose(masks, anew, atol=1e-3)


def test_streams_of_a_batch_are_as_if_each_were_alone(network: BandSplit) -> None:
    spectrum = torch.cat([spectra(7, seed) for seed in (2, 8, 9)])
    all_told = [
        told(7, (10.0, ANYWHERE_DEG)),
        told(7, (-20.0, 30.0), timbre(5), timbre(6)),
        told(7, (40.0, ANYWHERE_DEG), timbre(7, 0.4)),
    ]
    conditions = {name: torch.cat([one[name] for one in all_told]) for name in all_told[0]}
    answer = network(spectrum, conditions)
    code = network.code(
        *torch.stack([timbre(k) for k in range(6)]).split(3), torch.tensor([20.0, 90.0, 40.0])
    )[:, None]
    apart, states = network.filters(spectrum, code)
    for k, own in enumerate(all_told):
        alone = network(spectrum[k : k + 1], own)
        assert torch.allclose(answer.masks[k], alone.masks[0], atol=1e-5)
        assert torch.allclose(answer.activity_logit[k], alone.activity_logit[0], atol=1e-4)
        for mine, wanted in zip(answer.states, alone.states, strict=True):
            assert torch.allclose(mine[k], wanted[0], atol=1e-5)
        found, (level, *_) = network.filters(spectrum[k : k + 1], code[k : k + 1])
        assert torch.allclose(apart[k], found[0], atol=1e-5)
        assert torch.allclose(states[0][k], level[0], atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_every_fourth_frame_of_a_stream_is_a_frame_of_training(
    network: BandSplit, training: bool
) -> None:
    """The level is an average over other frames, so every frame here has the same power."""
    seen = steady(5 * EVERY + 2)
    code = network.code(timbre(3)[None], timbre(4)[None], torch.tensor([20.0]))[:, None]
    zeros = [torch.zeros(1, *shape) for shape in network.states().values()]
    stream, _ = network.filters(seen, code.expand(-1, seen.shape[1], -1), zeros)
    network.train(training)
    try:
        for first in range(EVERY):
            apart, _ = network.filters(seen[:, first::EVERY], code)
            assert torch.allclose(stream[:, first::EVERY], apart, atol=1e-5), first
    finally:
        network.eval()


@pytest.mark.parametrize("direction", [(25.0, 30.0), (25.0, ANYWHERE_DEG)])
def test_a_stream_does_to_its_mixture_what_training_did(
    whole: TimbreBands, direction: tuple[float, float]
) -> None:
    spectrum = steady(3 * EVERY)
    conditions = told(3 * EVERY, direction, against=timbre(4))
    found = given_out(whole.bands, spectrum, conditions)[::EVERY]
    azimuth_deg, width_deg = (torch.tensor([[value]]) for value in direction)
    at_deg = looked(azimuth_deg, width_deg)
    seen = turned(spectrum[:, ::EVERY], at_deg)
    filters = whole.told(seen, torch.tensor([direction]), timbre(3)[None], timbre(4)[None])
    wanted = turned(filtered(filters, seen), -90 - at_deg)[0]  # 0° is turned by 45°
    assert torch.allclose(found, wanted, atol=1e-4)


def test_the_level_of_training_is_averaged_over_as_long_as_that_of_a_stream(
    network: BandSplit,
) -> None:
    """Four frames alike weigh as much as one that is four times as long."""
    frames = 10 * EVERY
    loudness = torch.linspace(0.2, 4.0, 10).repeat_interleave(EVERY)
    seen = steady(frames) * loudness[:, None, None, None]
    code = network.code(timbre(3)[None], timbre(4)[None], torch.tensor([20.0]))[:, None]
    code = code.expand(-1, frames, -1)
    zeros = [torch.zeros(1, *shape) for shape in network.states().values()]
    stream, (level, *_) = network.filters(seen, code, zeros)
    last = slice(EVERY - 1, None, EVERY)
    apart, (level_apart, *_) = network.filters(seen[:, last], code[:, last])
    assert torch.allclose(stream[:, last], apart, atol=1e-5)
    assert torch.allclose(level, level_apart, rtol=1e-4)
    assert not torch.allclose(
        stream[:, last], network.filters(seen[:, last], code[:, last], zeros)[0], atol=1e-3
    )


def test_a_direction_of_the_whole_width_changes_nothing(network: BandSplit) -> None:
    spectrum = spectra(6)
    for against in (None, timbre(4)):
        wanted = given_out(network, spectrum, told(6, (0.0, ANYWHERE_DEG), against=against))
        for azimuth_deg in (-45.0, -17.0, 8.0, 30.0, 45.0):
            direction = (azimuth_deg, ANYWHERE_DEG)
            found = given_out(network, spectrum, told(6, direction, against=against))
            assert torch.allclose(found, wanted, atol=1e-5), azimuth_deg


def test_a_narrower_direction_changes_the_answer(network: BandSplit) -> None:
    spectrum = spectra(6)
    directions = [(10.0, ANYWHERE_DEG), (10.0, 20.0), (10.0, 60.0), (-30.0, 20.0)]
    found = [given_out(network, spectrum, told(6, direction)) for direction in directions]
    for k, one in enumerate(found):
        for other in found[:k]:
            assert (one - other).abs().mean() > 1e-4  # by the width alone it is little


def test_a_timbre_and_a_counter_example_change_the_answer(network: BandSplit) -> None:
    spectrum = spectra(6)
    for direction in ((10.0, ANYWHERE_DEG), (10.0, 20.0)):
        found = [
            given_out(network, spectrum, told(6, direction, timbre(one), against))
            for one, against in ((3, None), (5, None), (3, timbre(4)), (3, timbre(5)))
        ]
        for k, one in enumerate(found):
            for other in found[:k]:
                assert (one - other).abs().mean() > 1e-3


@pytest.mark.parametrize("azimuth_deg", [0.0, 31.0])
def test_less_of_a_timbre_from_anywhere_is_that_much_beside_the_mixture(
    network: BandSplit, azimuth_deg: float
) -> None:
    spectrum, direction = spectra(6), (azimuth_deg, ANYWHERE_DEG)
    full = given_out(network, spectrum, told(6, direction))
    assert not torch.allclose(full, spectrum[0], atol=0.1)
    half = given_out(network, spectrum, told(6, direction, timbre(3, 0.5)))
    assert torch.allclose(half, 0.5 * full + 0.5 * spectrum[0], atol=1e-5)
    none = given_out(network, spectrum, told(6, direction, torch.zeros(SIZE)))
    assert torch.allclose(none, spectrum[0], atol=1e-5)


@pytest.mark.parametrize("direction", [(10.0, ANYWHERE_DEG), (10.0, 20.0)])
@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_the_level_of_the_mixture_changes_nothing(
    network: BandSplit, direction: tuple[float, float], scale: float
) -> None:
    spectrum, conditions = spectra(6), told(6, direction)
    wanted, found = (network(x, conditions) for x in (spectrum, scale * spectrum))
    assert torch.allclose(found.masks, wanted.masks, atol=1e-4)
    assert torch.allclose(found.activity_logit, wanted.activity_logit, atol=1e-3)


def test_silence_is_answered_in_finite_numbers(network: BandSplit) -> None:
    answer = network(torch.zeros(1, 5, 2, BINS, 2), told(5))
    values = (answer.masks, answer.activity_logit, *answer.states)
    assert all(value.isfinite().all() for value in values)


def test_the_activity_says_how_much_power_is_left(network: BandSplit) -> None:
    spectrum, conditions = spectra(6), told(6, (10.0, 20.0))
    power = given_out(network, spectrum, conditions).square().sum((1, 2, 3))
    left = power / spectrum[0].square().sum((1, 2, 3))
    logit = network(spectrum, conditions).activity_logit
    assert torch.allclose(torch.sigmoid(logit[0, :, 0]), left / (left + HEARD), atol=1e-4)


def turn_of(azimuth_deg: float) -> Tensor:
    """The matrix that turns [T N] on by an angle."""
    angle = torch.deg2rad(torch.tensor(azimuth_deg))
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([cos, sin]), torch.stack([-sin, cos])])


def test_a_filter_is_a_symmetric_matrix() -> None:
    seen = spectra(4)
    filters = torch.rand(1, 4, GIVEN, BINS, generator=torch.Generator().manual_seed(6)) - 0.3
    tt, tn, nn = filters.unbind(2)
    matrices = torch.stack([torch.stack([tt, tn], -1), torch.stack([tn, nn], -1)], -2)
    wanted = (matrices @ seen.transpose(2, 3)).transpose(2, 3)
    assert torch.allclose(filtered(filters, seen), wanted, atol=1e-5)


@pytest.mark.parametrize("length", [1.0, 0.3])
def test_masks_from_anywhere_are_one_matrix_as_it_is_seen_from_each_direction(
    network: BandSplit, length: float
) -> None:
    def matrices(azimuth_deg: float) -> Tensor:
        conditions = told(4, (azimuth_deg, ANYWHERE_DEG), timbre(3, length))
        masks = network(spectra(4), conditions).masks[0, :, 0]
        return masks.transpose(1, 2).reshape(4, BINS, 2, 2)

    centre = matrices(0.0)
    assert torch.allclose(centre, centre.transpose(-1, -2), atol=1e-6)
    assert centre[..., 0, 1].abs().mean() > 1e-3
    for azimuth_deg in (-45.0, -20.0, 33.0):
        turn = turn_of(azimuth_deg)
        assert torch.allclose(matrices(azimuth_deg), turn @ centre @ turn.T, atol=1e-5)


@pytest.mark.parametrize("direction", [(10.0, ANYWHERE_DEG), (10.0, 20.0)])
def test_masks_are_the_filters_of_what_is_seen(
    network: BandSplit, direction: tuple[float, float]
) -> None:
    spectrum = spectra(5)
    azimuth_deg, width_deg = (torch.tensor([[value]]) for value in direction)
    seen = turned(spectrum, looked(azimuth_deg, width_deg))
    code = network.code(timbre(3)[None], torch.zeros(1, SIZE), width_deg[0])[:, None]
    zeros = [torch.zeros(1, *shape) for shape in network.states().values()]
    filters, _ = network.filters(seen, code.expand(-1, 5, -1), zeros)
    wanted = turned(filtered(filters, seen), -90 - looked(azimuth_deg, width_deg))[0]
    assert torch.allclose(given_out(network, spectrum, told(5, direction)), wanted, atol=1e-5)


def test_what_is_turned_is_a_rotation_to_the_direction() -> None:
    azimuth_deg = torch.tensor([[-45.0, 0.0, 20.0]])
    theta = torch.deg2rad(azimuth_deg + 45)[..., None, None]
    alone = torch.randn(1, 3, BINS, 2, generator=torch.Generator().manual_seed(7))
    placed = torch.stack([torch.cos(theta) * alone, torch.sin(theta) * alone], 2)
    along, across = turned(placed, azimuth_deg).unbind(2)
    assert torch.allclose(along, alone, atol=1e-5)
    assert across.abs().max() < 1e-5


def test_the_network_is_built_by_name() -> None:
    built, about, kept = registry.build("timbre-bands", "bands-tiny")
    assert isinstance(built, TimbreBands)
    assert about.mask_axes == "steered"
    assert about.conditions == {"direction": 2, "timbre": SIZE, "against": SIZE}
    assert type(built.config)(**kept["sizes"]) == TINY
