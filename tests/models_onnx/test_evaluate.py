"""The evaluation judges by the engine, in the right places, and says what it saw."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.data.sources import Collection
from models_onnx.data.stems import image, principal_deg
from models_onnx.evaluation import metrics
from models_onnx.evaluation.evaluate import (
    ERRORS_DEG,
    PEER_WIDTHS_DEG,
    best_width_deg,
    evaluate,
    main,
    wrong_directions,
)
from models_onnx.evaluation.metrics import activity_f1, si_sdr_db
from models_onnx.evaluation.report import above, distance, lost, tables
from models_onnx.evaluation.rows import measure
from models_onnx.evaluation.systems import (
    System,
    oracle,
    separate,
    separate_with_activity,
    sounding,
)
from models_onnx.training.task import ACTIVE_DB
from realtime import StemsteerError, Tier, load_model
from realtime.model import WEIGHTS
from realtime.stft import MAX_FRAMES
from tests.support.commands import onnx_command
from tests.support.engine_sandbox import absent
from tests.support.fakes import FakeModel, fake_spec, identity
from tests.support.tones import draw_scene, tones

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs: one of three stems, mono and stereo, beside their mix, one of two stems."""
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for song, count in (("first", 3), ("second", 2)):
        (folder / song).mkdir()
        for k in range(count):
            stem = tones(rng, RATE_HZ)
            audio = stem if k == 0 else np.stack([stem, 0.8 * stem], 1)
            soundfile.write(folder / song / f"stem_{k}.wav", audio, RATE_HZ)
        soundfile.write(folder / song / "mix.wav", np.ones((RATE_HZ, 2)), RATE_HZ)
        (folder / song / "notes.txt").write_text("not audio")
    return folder


def opened(folder: Path) -> Collection:
    return open_collection(folder, part="test", as_recorded=True)


def test_scenes_are_sums_of_their_images_in_their_directions(songs: Path) -> None:
    for scene in evaluation_scenes(opened(songs), 3, 0.5, keep_width=False):
        np.testing.assert_allclose(scene.images.sum(0), scene.mixture, atol=1e-6)
        theta = np.deg2rad(scene.azimuth_deg + 45)
        for placed, angle in zip(scene.images, theta, strict=True):
            across = placed[1] * np.cos(angle) - placed[0] * np.sin(angle)
            assert np.abs(across).max() < 1e-6
        assert not any("mix" in name for name in scene.names)
    names = {n for s in evaluation_scenes(opened(songs), 4, 0.5, keep_width=True) for n in s.names}
    assert names == {
        "first/stem_0",
        "first/stem_1",
        "first/stem_2",
        "second/stem_0",
        "second/stem_1",
    }


def test_the_same_seed_gives_the_same_scenes(songs: Path) -> None:
    one, other = (next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True)) for _ in range(2))
    assert np.array_equal(one.mixture, other.mixture)
    third = next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True, seed=1))
    assert not np.array_equal(one.mixture, third.mixture)


def test_stems_of_another_rate_are_resampled_and_keep_their_levels(tmp_path: Path) -> None:
    with pytest.raises(StemsteerError, match="holds no songs"):
        opened(tmp_path)
    time_s = np.arange(48_000) / 48_000
    for name, level in (("a", 0.01), ("b", 0.5)):
        sound = np.stack([level * np.sin(2 * np.pi * 440 * time_s), 0 * time_s], 1)
        soundfile.write(tmp_path / f"{name}.wav", sound, 48_000, subtype="FLOAT")
    sources = open_collection(tmp_path, as_recorded=True, centred=False).sources(0)
    assert [source.samples for source in sources] == [RATE_HZ, RATE_HZ]
    assert [source.label.title for source in sources] == [
        f"{tmp_path.name}/a",
        f"{tmp_path.name}/b",
    ]
    placeable = opened(tmp_path).sources(0)
    for source, central, level in zip(sources, placeable, (0.01, 0.5), strict=True):
        left, right = image(source.read(1000, 20_000), 0.0)
        expected = level * np.sin(2 * np.pi * 440 * (1000 + np.arange(20_000)) / RATE_HZ)
        np.testing.assert_allclose(left, expected, atol=2e-3 * level)
        assert np.abs(right).max() < 1e-6  # neither turned to the centre nor made louder
        sides = image(central.read(1000, 20_000), 0.0)
        np.testing.assert_allclose(sides, [expected / np.sqrt(2)] * 2, atol=3e-3 * level)


def write_panned(folder: Path) -> Path:
    """Write a song of two dry stems that stand to one side in their files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, azimuth_deg in (("bass", -30.0), ("piano", 25.0)):
        stem = np.zeros((3, 2 * RATE_HZ), np.float32)
        stem[0] = 0.1 * tones(rng, 2 * RATE_HZ)
        soundfile.write(folder / f"{name}.wav", image(stem, azimuth_deg).T, RATE_HZ)
    return folder


def test_stems_that_are_panned_in_their_files_stand_where_a_scene_says(tmp_path: Path) -> None:
    songs = opened(write_panned(tmp_path / "song"))
    for scene in evaluation_scenes(songs, 3, 1.0, keep_width=True):
        found = [principal_deg(placed) for placed in scene.images]
        np.testing.assert_allclose(found, scene.azimuth_deg, atol=1.0)


def test_of_a_data_set_in_two_parts_the_test_part_is_judged(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("bass", "piano"):
            (tmp_path / part / part).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / part / part / f"{name}.wav", np.ones(9000), RATE_HZ)
    titles = {source.label.title for source in opened(tmp_path).sources(0)}
    assert titles == {"test/bass", "test/piano"}


def test_only_audible_sources_are_judged_and_the_nearest_is_found() -> None:
    images = np.ones((3, 2, 100), np.float32)
    images[1] *= 0.01
    scene = EvaluationScene(images.sum(0), images, np.array([-40.0, -30.0, 20.0]), ("a", "b", "c"))
    assert scene.targets() == [0, 2]
    assert [scene.nearest_deg(k) for k in range(3)] == [10, 10, 50]


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


def test_bss_eval_is_in_the_rows_and_the_table_where_asked_for() -> None:
    images = np.random.default_rng(4).standard_normal((2, 2, 9000)).astype(np.float32)
    scene = EvaluationScene(images.sum(0), images, np.array([-20.0, 20.0]), ("a", "b"))
    half = images + np.float32(0.1) * scene.mixture
    rows = list(measure("half", 0, scene, half, bss=True))
    assert all(5 < row.sir_db < 40 for row in rows)
    assert np.isnan(next(measure("half", 0, scene, half)).sir_db)
    titles = [column.header for column in tables(rows, "half", 20.0)[1].columns]
    assert titles[-4:] == ["SDR", "ISR", "SIR", "SAR"]


def test_the_image_of_the_stems_is_in_the_rows_and_a_table(songs: Path) -> None:
    scene = next(evaluation_scenes(opened(songs), 1, 1.0, keep_width=True))
    rows = list(measure("same", 0, scene, scene.images)) + list(
        measure("mix", 0, scene, scene.images[::-1])
    )
    same = [row for row in rows if row.system == "same"]
    assert all(row.ssr_db > 100 and row.srr_db > 100 for row in same)
    assert all(row.level_difference_error_db == row.coherence_error == 0 for row in same)
    table = next(t for t in tables(rows, "same", 20.0) if "spatial image" in str(t.title))
    assert [column.header for column in table.columns][1:] == [
        "|ΔILD|, dB",
        "error of coherence",
        "SSR, dB",
        "SRR, dB",
    ]
    assert next(table.columns[1].cells) == "0.00 [0.00, 0.00]"


def test_a_model_with_sources_of_its_own_is_judged_on_the_only_one_of_a_class() -> None:
    images = np.random.default_rng(0).standard_normal((4, 2, 22_050)).astype(np.float32)
    names = ("a/piano", "a/lead", "a/left", "a/right")
    classes = ("piano", "vocals", "guitar", "guitar")
    azimuth_deg = np.array([-30.0, 0.0, 10.0, 30.0], np.float32)
    scene = EvaluationScene(images.sum(0), images, azimuth_deg, names, classes)
    spec = fake_spec(targets=("drums", "guitar", "vocals"), conditions={})
    half = FakeModel(lambda *_: np.float32([1.0, 0.3, 0.5])[:, None, None], spec)
    rows, _ = evaluate([("own", half, "live")], [scene], 20.0, 1)
    own = [row for row in rows if row.system == "own"]
    assert [row.instrument for row in own] == ["a/lead"]  # two guitars are nobody's
    mix = next(row for row in rows if row.system == "mix" and row.instrument == "a/lead")
    assert own[0].si_sdr_db == pytest.approx(mix.si_sdr_db, abs=0.05)
    assert own[0].error_deg == 0
    summary = tables(rows, "panorama", 20.0)[0]
    counts = dict(zip(summary.columns[0].cells, summary.columns[1].cells, strict=True))
    assert (counts["own"], counts["mix"]) == ("1", "4")


def test_the_evaluation_ranks_oracle_peer_and_mixture(songs: Path) -> None:
    judged = list(evaluation_scenes(opened(songs), 2, 1.0, keep_width=False))
    rows, width_deg = evaluate([("again", load_model("panorama"), "live")], judged, 20.0, 1)
    means = {
        system: np.mean([r.si_sdr_db for r in rows if r.system == system and r.error_deg == 0])
        for system in ("mix", "panorama", "oracle")
    }
    assert means["mix"] < means["panorama"] < means["oracle"]
    wrong = {r.error_deg for r in rows if r.system == "again" and r.scene == 0}
    assert wrong == set(ERRORS_DEG)
    same = [r for r in rows if r.system == "mix"]
    assert all(abs(r.gain_db) < 1e-6 for r in same)
    best, _ = evaluate([("again", load_model("panorama"), "live")], judged, width_deg, 0)
    again = [row for row in above(best, "panorama") if row.system == "again"]
    assert {row.si_sdr_db for row in again} == {0.0}


def test_intervals_of_tables_are_over_songs(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FEWEST_GROUPS", 2)
    judged = list(evaluation_scenes(opened(songs), 4, 0.5, keep_width=False))
    assert [scene.song for scene in judged] == [0, 1, 0, 1]
    rows, _ = evaluate([], judged, 20.0, 0)
    means = [
        np.mean([r.si_sdr_db for r in rows if r.system == "oracle" and r.song == song])
        for song in (0, 1)
    ]
    summary = tables(rows, "panorama", 20.0)[0]
    shown = dict(zip(summary.columns[0].cells, summary.columns[2].cells, strict=True))["oracle"]
    assert shown.endswith(f"[{min(means):.2f}, {max(means):.2f}]")


def test_a_wrong_direction_is_wrong_by_the_whole_angle_and_in_the_picture() -> None:
    told: list[np.ndarray] = []
    system = System("fake", identity(fake_spec()), "live", 20.0)
    noise = np.random.default_rng(0).standard_normal((2, 5, 2, 3000)).astype(np.float32)
    azimuth_deg = np.float32([-45, -40, 0, 33, 45])
    scenes = [EvaluationScene(i.sum(0), i, azimuth_deg, ("a", "b", "c", "d", "e")) for i in noise]

    def estimates(self: System, scene: EvaluationScene) -> tuple[list, None]:
        told.append(scene.azimuth_deg)
        return list(scene.images), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(System, "estimates", estimates)
        assert list(wrong_directions(system, scenes))
    for found, off_deg in zip(told, ERRORS_DEG[1:] * 2, strict=True):
        np.testing.assert_allclose(np.abs(found - azimuth_deg), off_deg, atol=1e-4)
        assert np.abs(found).max() <= 45


def test_what_a_wrong_direction_costs_is_counted_target_by_target(songs: Path) -> None:
    judged = list(evaluation_scenes(opened(songs), 3, 1.0, keep_width=False))
    rows, _ = evaluate([], judged, 20.0, 3)
    own = [row for row in rows if row.system == "panorama"]
    exact = {(r.scene, r.target): r.si_sdr_db for r in own if r.error_deg == 0}
    found = list(lost(own))
    assert len(found) == len(exact) * (len(ERRORS_DEG) - 1)
    for row, wrong in zip(found, [r for r in own if r.error_deg > 0], strict=True):
        assert row.si_sdr_db == exact[row.scene, row.target] - wrong.si_sdr_db
    for row in found:
        assert not row.misled or row.nearest_deg < 2 * row.error_deg
        assert row.misled or row.nearest_deg > 0
    assert any(row.misled for row in found)
    titles = [str(table.title) for table in tables(rows, "panorama", 20.0)]
    assert "SI-SDR lost, dB, median [95 %], by direction wrong by" in titles
    assert "no other source is nearer" in titles[-1]


@pytest.mark.parametrize(
    ("nearest_deg", "column"),
    [(0, "0–5°"), (4.9, "0–5°"), (5, "5–10°"), (19, "10–20°"), (20, "> 20°"), (90, "> 20°")],
)
def test_distances_fall_into_their_columns(songs: Path, nearest_deg: float, column: str) -> None:
    judged = list(evaluation_scenes(opened(songs), 1, 0.3, keep_width=False))
    row = evaluate([], judged, 20.0, 0)[0][0]
    assert distance(replace(row, nearest_deg=nearest_deg)) == column


def test_the_command_prints_tables_and_writes_its_numbers(songs: Path, tmp_path: Path) -> None:
    options = ["--data", str(songs), "--model", "panorama", "--scenes", "2", "--seconds", "0.5"]
    options += ["--error-scenes", "1", "--out", str(tmp_path / "new" / "v0.5")]
    result = asked(*options)
    assert result.exit_code == 0
    for text in ("panorama live", "oracle", "mix/N", "nearest other source", "wrong by"):
        assert text in result.output
    found = json.loads((tmp_path / "new" / "v0.5.json").read_text())
    assert found["facts"]["scenes"] == 2
    assert {row["system"] for row in found["rows"]} >= {"mix", "mix/N", "panorama", "oracle"}
    assert (tmp_path / "new" / "v0.5.png").read_bytes()[:4] == b"\x89PNG"


def test_a_report_is_strict_json_whatever_songs_are_called(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "NaN").mkdir()
    for k, name in enumerate(("Infinity", "NaN")):
        sound = 0.1 * tones(np.random.default_rng(k), RATE_HZ)
        soundfile.write(tmp_path / "NaN" / f"{name}.wav", sound, RATE_HZ)
    monkeypatch.setattr(metrics, "si_sdr_db", lambda *_: float("-inf"))  # as of a silent estimate
    options = ["--data", str(tmp_path / "NaN"), "--scenes", "1", "--seconds", "0.5"]
    done = asked(*options, "--error-scenes", "0", "--out", str(tmp_path / "report"))
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert found["facts"]["data"] == "NaN"
    assert {row["instrument"] for row in found["rows"]} == {"NaN/Infinity", "NaN/NaN"}
    assert {row["si_sdr_db"] for row in found["rows"]} == {None}


asked = partial(onnx_command, main)


@pytest.mark.parametrize(
    ("data", "options", "told"),
    [
        ("missing", (), "missing is not a folder"),
        ("empty", (), "holds no songs"),
        ("text", (), "bass.wav"),
        ("nan", (), "no numbers (NaN)"),
        ("silent", (), "nothing to judge"),
        ("good", ("--model", "other"), "no model 'other'; there are:"),
        ("good", ("--model", "panorama", "--tier", "fast"), "it has direct, live, studio, offline"),
        ("good", ("--model", "spain-xumx"), "models_onnx spain-table"),
        ("good", ("--model", "plain.onnx"), "plain.onnx"),
        ("good", ("--out", "v1.2"), "v1.2.json is there already"),
    ],
)
def test_what_a_user_gets_wrong_is_said_without_a_traceback(
    tmp_path, monkeypatch, data, options, told
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for folder in ("text", "nan", "silent", "good"):
        Path(folder).mkdir()
        for k, name in enumerate(("piano", "bass")):
            sound = 0.1 * tones(np.random.default_rng(k), RATE_HZ) * (folder != "silent")
            sound[500:] *= np.nan if folder == "nan" else 1.0
            soundfile.write(f"{folder}/{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    Path("text/bass.wav").write_text("not audio")
    Path("v1.2.json").write_text("kept")
    plain = onnx.load(WEIGHTS / "panorama.onnx")
    del plain.metadata_props[:]
    onnx.save(plain, "plain.onnx")
    found = asked("--data", data, "--scenes", "1", "--seconds", "0.5", *options)
    assert found.exit_code == 1
    assert told in " ".join(found.output.split())
    assert Path("v1.2.json").read_text() == "kept"


def test_a_source_that_is_alone_is_not_judged() -> None:
    images = np.zeros((3, 2, 500), np.float32)
    images[0] = 0.5
    alone = EvaluationScene(images.sum(0), images, np.array([0.0, 10.0, 20.0]), ("a", "b", "c"))
    assert alone.targets() == []
    images[1] = 0.2
    assert EvaluationScene(images.sum(0), images, alone.azimuth_deg, alone.names).targets() == [
        0,
        1,
    ]


def test_the_word_synthetic_renders_held_out_songs(tmp_path, monkeypatch) -> None:
    soundfonts = pytest.importorskip("models_onnx.data.sounds.soundfonts", exc_type=ImportError)
    try:
        assert soundfonts.HELD_OUT[0].path
    except StemsteerError as error:
        absent(str(error))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models_onnx.evaluation.evaluate.SYNTHETIC_HOURS", 0.001)
    render = pytest.importorskip("models_onnx.data.rendering.render")
    one = partial(render.render, workers=1)  # for one song two would each load the soundfont
    monkeypatch.setattr(render, "render", one)
    options = ["--data", "synthetic", "--scenes", "1", "--seconds", "1", "--error-scenes", "0"]
    done = asked(*options, "--out", "judged")
    assert done.exit_code == 0, done.output
    assert {"judged.json", "judged.png"} == {path.name for path in tmp_path.iterdir()}
    assert len(json.loads(Path("judged.json").read_text())["rows"]) >= 8  # 4 systems, 2 targets
