"""Directions: histograms show where sources are, and the place in the opening is learned."""

import numpy as np
import pytest
import torch

from models_onnx.networks.steer import direction as directions
from models_onnx.networks.steer import network as steer
from models_onnx.networks.steer.cells import covariances, pool
from models_onnx.networks.steer.direction import CENTRE, GRID, PLACES, STEP_DEG
from models_onnx.training.batches import Aims, draw_batch
from models_onnx.training.loop import train, validate
from models_onnx.training.refiner_task import RefinerTask
from models_onnx.training.run import Plan, Run
from tests.support.tones import draw_scene

EXACT = Aims(exact=True, change=0)


def grid(*peaks_deg: float) -> torch.Tensor:
    """A histogram (1, 1, GRID) that has these directions alone."""
    histogram = torch.zeros(1, 1, GRID)
    for peak_deg in peaks_deg:
        histogram[..., round((peak_deg + 45) / STEP_DEG)] = 1
    return histogram


def direction(azimuth_deg: float, width_deg: float) -> torch.Tensor:
    return torch.tensor([[[azimuth_deg, width_deg]]])


@pytest.mark.parametrize("azimuth_deg", [-45.0, -12.3, 0.0, 31.7, 45.0])
def test_a_source_shows_in_the_histogram_where_it_stands(azimuth_deg: float) -> None:
    theta = np.deg2rad(azimuth_deg + 45)
    source = torch.randn(1, 20, 1, 1024, 2)
    gains = torch.tensor([np.cos(theta), np.sin(theta)], dtype=torch.float32)[:, None, None]
    instant = pool(covariances(gains * source + 0.003 * torch.randn(1, 20, 2, 1024, 2)))
    for histogram in directions.directions(instant, instant)[0, -1]:
        places = torch.arange(GRID) * STEP_DEG - 45
        found_deg = (histogram * places).sum() / histogram.sum()
        assert found_deg.item() == pytest.approx(azimuth_deg, abs=0.3)
        near = histogram[(places - azimuth_deg).abs() < 1].sum()
        assert near > 0.95 * histogram.sum()


def test_what_is_out_of_phase_stands_nowhere() -> None:
    source = torch.randn(1, 5, 1, 1024, 2)
    instant = pool(covariances(torch.cat([source, -source], 2)))
    assert directions.directions(instant, instant).max() == 0


@pytest.mark.parametrize(("azimuth_deg", "width_deg"), [(10.0, 20.0), (4.5, 12.0), (16.0, 30.0)])
def test_a_source_is_seen_at_its_place_of_the_opening(azimuth_deg: float, width_deg: float) -> None:
    off_deg = 12.0 - azimuth_deg
    place = int(directions.place_of(torch.tensor(off_deg), torch.tensor(width_deg)))
    if abs(off_deg) <= width_deg / 2:
        seen = directions.around(grid(12.0), direction(azimuth_deg, width_deg))
        assert seen.argmax().item() == place
        assert (place - CENTRE) / (PLACES - 1) * width_deg == pytest.approx(off_deg, abs=0.4)
    else:
        assert place == PLACES - 1


def test_beyond_the_sides_is_nothing() -> None:
    seen = directions.around(grid(-45.0, 45.0), direction(45.0, 20.0))[0, 0, 0]
    assert seen[CENTRE] > 0
    assert not seen[CENTRE + 1 :].any()


def test_every_cell_counts_in_its_two_nearest_directions_of_its_own_histogram() -> None:
    """The histograms are those of a loop over cells, by level and purity as the module says."""
    rng = np.random.default_rng(4)
    spectra = torch.from_numpy(rng.standard_normal((2, 3, 2, 1024, 2)).astype(np.float32))
    kinds = pool(covariances(spectra)), pool(covariances(spectra.roll(1, 1) + spectra))
    found = directions.directions(*kinds).numpy()
    expected = np.zeros_like(found, dtype=np.float64)
    for place in np.ndindex(2, 3, 2):
        batch, frame, kind = place
        for ll, rr, lr in kinds[kind][batch, frame].double().numpy().T:
            if lr <= -directions.OUT_OF_PHASE * (ll + rr):
                continue
            axis = np.hypot((ll - rr) / 2, lr)
            at = np.rad2deg(np.arccos((ll - rr) / 2 / axis)) / 2 / STEP_DEG
            lower = min(int(at), GRID - 2)
            for number, exponent in enumerate(directions.PURITIES):
                weight = (ll + rr) ** 0.25 * (2 * axis / (ll + rr)) ** exponent
                histogram = expected[batch, frame, 2 * kind + number]
                histogram[lower] += weight * (1 - (at - lower))
                histogram[lower + 1] += weight * (at - lower)
    # near ±45° the arc cosine of single precision is coarse
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-3 * expected.max())


def test_what_all_targets_of_a_mixture_share_is_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = steer.Steer(steer.CONFIGS["tiny"]).eval()
    spectrum = torch.randn(1, 5, 2, 1024, 2)
    told = {
        "direction": torch.tensor([[-30.0, 20.0], [0.0, 20.0], [25.0, 10.0]]).expand(1, 5, 3, 2)
    }
    states = [torch.zeros(3, *shape) for shape in network.states().values()]
    counted, count = [], directions.directions

    def spy(averaged: torch.Tensor, instant: torch.Tensor) -> torch.Tensor:
        counted.append(len(instant))
        return count(averaged, instant)

    monkeypatch.setattr(steer.aim, "directions", spy)
    with torch.no_grad():
        together = network(spectrum, told, states)
        assert counted == [1]
        for k in range(3):
            alone = {"direction": told["direction"][:, :, k : k + 1]}
            own = network(spectrum, alone, [state[k : k + 1] for state in states])
            torch.testing.assert_close(own.masks[:, :, 0], together.masks[:, :, k])
            for one, all_of_them in zip(own.states, together.states, strict=True):
                torch.testing.assert_close(one[0], all_of_them[k])


def logits(*places: int) -> torch.Tensor:
    chosen = torch.zeros(1, 1, PLACES)
    for place in places:
        chosen[..., place] = 12.0
    return chosen


def test_a_place_is_a_correction_in_degrees() -> None:
    width_deg = torch.tensor([[20.0]])
    for place in (0, 9, 33, PLACES - 1):
        found_deg = directions.offset_deg(logits(place), width_deg).item()
        assert found_deg == pytest.approx((place - CENTRE) * 0.5, abs=0.26)


def test_the_direction_given_stands_when_it_is_next_to_right_or_as_likely() -> None:
    width_deg = torch.tensor([[20.0]])
    for places in ((CENTRE,), (CENTRE + 1,), (CENTRE, 3)):
        assert directions.offset_deg(logits(*places), width_deg).item() == 0
    assert directions.offset_deg(logits(3), torch.tensor([[directions.WIDEST_DEG]])).item() == 0
    untaught = directions.DirectionRefiner()(
        torch.rand(1, 4, 2, directions.KINDS, GRID), torch.tensor([5.0, 20.0]).expand(1, 4, 1, 2)
    )
    assert not directions.offset_deg(untaught, torch.full((1, 4, 1, 1), 20.0)).any()


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, torch.Tensor], float]:
    """A run of a few steps of the aim, the weights before it, and the first losses."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = steer.Steer(steer.CONFIGS["tiny"])
    before = {k: v.clone() for k, v in network.state_dict().items()}
    plan = Plan(
        steps=40, seconds=0.5, scenes=4, targets=3, learning_rate=5e-3, average=0.9, aims=EXACT
    )
    run = Run(RefinerTask(network, steer.spec(network.config), "live"), plan, {"network": "steer"})

    def draw(step: int):
        rng = np.random.default_rng([1, step])
        return draw_batch(rng, lambda r: draw_scene(r, 22_050), 4, 3, EXACT)

    folder = tmp_path_factory.mktemp("aim")
    train(run, draw, [draw(10_000)], folder)
    return run, before, (folder / "log.jsonl").read_text()


def test_a_few_steps_teach_the_aim_and_nothing_else(taught) -> None:
    run, before, log = taught
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in log.splitlines()]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    after = run.task.network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"aim"}


def test_a_taught_aim_finds_a_source_that_is_four_degrees_aside(taught) -> None:
    network = taught[0].average
    scene = draw_scene(np.random.default_rng(77), 44_100, sources=1)
    spectra = torch.view_as_real(
        torch.stft(
            torch.from_numpy(scene.mixture),
            2048,
            256,
            window=torch.hann_window(2048),
            return_complex=True,
        )
    )[:, :1024].permute(2, 0, 1, 3)[None]
    told = torch.tensor([float(scene.azimuth_deg[0]) - 4, 20.0]).expand(1, spectra.shape[1], 1, 2)
    with torch.no_grad():
        histograms = network.observe(pool(covariances(spectra)))[1]
        aside_deg = directions.offset_deg(network.aim(histograms, told), told[..., 1:])
    assert aside_deg[0, 40:].median().item() == pytest.approx(4, abs=0.75)


def test_validation_is_of_directions_that_are_wrong(taught) -> None:
    run = taught[0]
    batch = draw_batch(np.random.default_rng(5), lambda r: draw_scene(r, 22_050), 2, 2, EXACT)
    _, gain = validate(run, [batch])
    _, exact = super(RefinerTask, run.task).gain_db(run.average, batch)
    assert gain != exact
