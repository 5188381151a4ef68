"""What the commands that train and export U-Nets refuse, and say of it."""

from pathlib import Path

import pytest

from models_onnx.export.command import main as export_main
from models_onnx.networks import checkpoints, registry
from models_onnx.training import train_unet, unet_batches
from tests.support.commands import onnx_command
from tests.support.timbres import pool


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


def test_export_says_what_it_does_not_know(tmp_path: Path) -> None:
    arguments = ["unet", "--checkpoint", str(tmp_path), "--gate", "open"]
    result = onnx_command(export_main, *arguments)
    assert result.exit_code == 1
    assert "no checkpoint at" in result.output or "--gate open" in result.output


def test_a_network_without_activity_takes_no_gate_and_leaves_no_encoder(tmp_path: Path) -> None:
    network, _, about = registry.build("unet", "tiny-query")
    contents = {"step": 0, "elapsed_s": 0.0, "average": network.state_dict(), "about": about}
    checkpoints.save(tmp_path / "run", contents | {"data": [], "commit": ""})
    out = tmp_path / "new" / "query.onnx"
    words = ("unet", "--checkpoint", tmp_path / "run", "--out", out, "--gate", "hold")
    result = onnx_command(export_main, *words)
    assert result.exit_code == 1
    assert "--gate hold: query-unet tells no activity" in result.output
    assert not list(out.parent.rglob("*"))
