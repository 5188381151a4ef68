"""The band-split network as a file: its targets, cuts and streams."""

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx.export.separators import OneStream, export
from models_onnx.networks.band_split import BINS, BandSplit
from models_onnx.networks.timbre_bands import TimbreBands, spec
from realtime import Separator, load_model
from tests.support.bands import ANYWHERE_DEG, TINY, spectra, timbre, tiny_bands, told
from tests.support.contract import verify_streaming


@pytest.fixture(scope="module")
def whole() -> TimbreBands:
    return tiny_bands()


@pytest.fixture(scope="module")
def network(whole: TimbreBands) -> BandSplit:
    return whole.bands


@pytest.fixture(scope="module")
def file(whole: TimbreBands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    about = spec(TINY)
    stream = OneStream(whole.bands, list(about.conditions))
    path = tmp_path_factory.mktemp("models") / "timbre-bands.onnx"
    return export(stream, about, path, states=whole.bands.states(), steps=12)


def streamed(path: Path, told_: dict[str, np.ndarray], cuts: list[int]) -> np.ndarray:
    """Return the masks (frames, targets, 4, bins) of frames that come in calls of so many."""
    targets = told_["timbre"].shape[1]
    stream, spectrum, out = load_model(path).stream(targets), spectra(sum(cuts))[0].numpy(), []
    for end, count in zip(accumulate(cuts), cuts, strict=True):
        part = {name: value[end - count : end] for name, value in told_.items()}
        out.append(stream.step(spectrum[end - count : end], part)["masks"].copy())
    return np.concatenate(out)


def three_targets(frames: int) -> dict[str, np.ndarray]:
    """A class from anywhere, half of one, and one in a direction with a counter-example."""
    targets = [
        told(frames, (10.0, ANYWHERE_DEG)),
        told(frames, (-20.0, ANYWHERE_DEG), timbre(5, 0.5)),
        told(frames, (-30.0, 15.0), timbre(6), timbre(7)),
    ]
    return {name: torch.cat([t[name][0] for t in targets], 1).numpy() for name in targets[0]}


def test_targets_of_a_file_are_those_of_streams_of_their_own(
    network: BandSplit, file: Path
) -> None:
    conditions = three_targets(13)
    together = streamed(file, conditions, [13])
    assert together.shape == (13, 3, 4, BINS)
    for k in range(3):
        own = {
            name: np.ascontiguousarray(value[:, k : k + 1]) for name, value in conditions.items()
        }
        assert np.allclose(together[:, k : k + 1], streamed(file, own, [13]), atol=1e-5), k
        in_torch = {name: torch.from_numpy(value)[None] for name, value in own.items()}
        masks = network(spectra(13), in_torch).masks[0].numpy()
        assert np.allclose(together[:, k : k + 1], masks, atol=2e-3), k  # in float16 in the file


@pytest.mark.parametrize("cuts", [[1] * 13, [4, 9], [5, 1, 7], [3, 3, 3, 4]])
def test_a_file_gives_the_same_however_its_frames_are_cut(file: Path, cuts: list[int]) -> None:
    conditions = three_targets(13)
    wanted = streamed(file, conditions, [13])
    assert np.allclose(streamed(file, conditions, cuts), wanted, atol=1e-5)


def test_a_file_keeps_the_streaming_contract(file: Path) -> None:
    model = load_model(file)
    assert model.spec == spec(TINY)
    assert set(model.spec.tiers) == {"live", "studio", "offline"}
    verify_streaming(lambda: Separator(model, 44_100, targets=2), samples=9000, tolerance=1e-5)
