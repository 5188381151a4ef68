"""Commands that judge a model say at once what it cannot be judged by."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models_onnx.__main__ import VERBS
from models_onnx.__main__ import main as all_verbs
from models_onnx.evaluation import by_timbre, evaluate, quality_table, seams, systems, width_table
from realtime.model import load_model
from tests.support.commands import onnx_command
from tests.support.timbre_songs import write_named, write_shards
from tests.support.tones import RATE_HZ

SPAIN = "told where each of its own sources is (guitar, strings, bass, piano)"


@pytest.fixture(scope="module")
def place(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs in `named`, songs of the renderer in `shards`, and mix.flac."""
    folder = tmp_path_factory.mktemp("place")
    write_named(folder / "named", songs)
    (folder / "shards").mkdir()
    write_shards(folder / "shards")
    soundfile.write(folder / "mix.flac", np.zeros((RATE_HZ, 2)), RATE_HZ)
    return folder


@pytest.mark.parametrize(
    ("main", "words", "told"),
    [
        (evaluate.main, "--model query-unet", "takes no direction and has no sources of its own"),
        (evaluate.main, "--tier nosuch", "--tier nosuch: give a --model"),
        (width_table.main, "--model query-unet", "query-unet takes no direction: give"),
        (width_table.main, "--model spain-xumx", SPAIN),
        (width_table.main, "--model timbre-unet", "no tier 'live'; it has studio, lookahead"),
        (width_table.main, "--tier nosuch", "no tier 'nosuch'; it has direct, live, studio"),
        (quality_table.main, "--model query-unet", "query-unet takes no direction: give"),
        (quality_table.main, "--model spain-xumx", SPAIN),
        (quality_table.main, "--by name --model panorama", "panorama takes no timbre"),
        (by_timbre.main, "--model panorama", "panorama takes no timbre: give a model that does"),
        (by_timbre.main, "--model timbre-unet", "no tier 'live'; it has studio, lookahead"),
        (by_timbre.main, "--model steer --tier nosuch", "no tier 'nosuch'; it has direct, live"),
        (seams.main, "mix.flac --model timbre-unet", "timbre-unet has no sources of its own"),
        (seams.main, "mix.flac --model spain-xumx", SPAIN),
    ],
)  # fmt: skip
def test_what_a_model_cannot_be_judged_by_is_said_before_any_table(
    place: Path, monkeypatch: pytest.MonkeyPatch, main: Callable[..., None], words: str, told: str
) -> None:
    monkeypatch.chdir(place)
    of_renderer = main is by_timbre.main or "--by name" in words
    rest = ("--data", "shards" if of_renderer else "named", "--scenes", "1", "--seconds", "1")
    found = onnx_command(main, *words.split(), *(() if main is seams.main else rest))
    assert found.exit_code == 1
    assert told in " ".join(found.output.split())
    assert "song" not in found.stdout


@pytest.mark.parametrize(
    ("main", "words"), [(by_timbre.main, "--model steer"), (quality_table.main, "--by name")]
)
def test_recorded_songs_are_no_songs_of_the_renderer(
    place: Path, main: Callable[..., None], words: str
) -> None:
    found = onnx_command(main, *words.split(), "--data", place / "named")
    assert found.exit_code == 1
    assert "holds no songs of the renderer (no " in found.output
    assert "--out" not in found.output


def test_help_of_all_verbs_is_printed_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        all_verbs(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    places = {line.index(VERBS[line.split()[0]][2]) for line in shown.out.splitlines()[1:]}
    assert len(places) == 1
    with pytest.raises(SystemExit) as ended:
        all_verbs(["nothing"])
    assert ended.value.code == 2
    assert "VERB is one of" in capsys.readouterr().err


def test_the_peer_stands_beside_tiers_that_it_does_not_have() -> None:
    peer = load_model(systems.PEER)
    assert systems.peer_tier(peer, "live") == "live"
    assert systems.peer_tier(peer, "lookahead") == "studio"
