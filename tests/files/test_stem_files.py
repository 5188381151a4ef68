"""Stems appear together or not at all, whatever happens to their folder meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import SampleFormat
from plugin_bridge.files.stem_files import StemFiles
from realtime.errors import StemsteerError
from tests.support.audio_files import RATE_HZ, sound
from tests.support.rendering import left_over

NAMES = ("target", "residual")


@pytest.fixture
def source(tmp_path):
    soundfile.write(tmp_path / "in.wav", sound(), RATE_HZ, subtype="PCM_16")
    with AudioReader(tmp_path / "in.wav") as reader:
        yield reader


def opened(source, folder, *, force=False):
    paths = {name: folder / f"{name}.wav" for name in NAMES}
    return StemFiles(paths, source, SampleFormat("wav", "PCM_16"), force=force)


def write(source, folder, *, force=False, meanwhile=lambda: None):
    """Write both stems; `meanwhile` happens before they get their names."""
    with opened(source, folder, force=force) as files:
        for block in source.blocks(5000):
            files.write(block, block[None])
        meanwhile()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize("stems", [2, 3, 8])
def test_integer_files_sum_to_the_mix_to_the_last_bit_however_many(tmp_path, subtype, stems):
    rng = np.random.default_rng(stems)
    mix = np.clip(0.4 * rng.standard_normal((4000, 2)), -1, 0.99)
    soundfile.write(tmp_path / "in.wav", mix, RATE_HZ, subtype=subtype)
    paths = {f"s{k}": tmp_path / "out" / f"s{k}.wav" for k in range(stems)}
    with AudioReader(tmp_path / "in.wav") as reader:
        wide = "float64" if subtype == "PCM_32" else "float32"
        with StemFiles(paths, reader, SampleFormat("wav", subtype)) as files:
            for block in reader.blocks(1500, wide):
                shape = (stems - 1, *block.shape)
                files.write(block, (0.2 * rng.standard_normal(shape)).astype(np.float32))
            assert sum(writer.clipped for writer in files.writers.values()) < 2000
    found = [soundfile.read(path, dtype="int32")[0].astype(np.int64) for path in paths.values()]
    mixture = soundfile.read(tmp_path / "in.wav", dtype="int32")[0]
    whole = np.abs(found[-1]) < 2**31 - 2**16  # where the rest is not beyond full scale
    assert whole.mean() > 0.8
    assert np.array_equal(sum(found)[whole], mixture[whole])


def test_of_two_renders_into_one_folder_the_second_is_refused_at_the_end(source, tmp_path):
    first = tmp_path / "out" / "target.wav"
    with pytest.raises(StemsteerError, match=r"target.wav cannot be written \(file exists\)"):
        write(source, first.parent, meanwhile=lambda: first.write_text("of the first"))
    assert first.read_text() == "of the first"
    assert left_over(first.parent) == ["target.wav"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_under_the_name_of_a_stem_leaves_nothing_half(source, tmp_path, force):
    out = tmp_path / "out"
    with pytest.raises(StemsteerError, match=r"residual.wav cannot be written"):
        write(source, out, force=force, meanwhile=(out / "residual.wav").mkdir)
    assert left_over(out) == ["residual.wav"]


def test_older_stems_are_back_if_not_all_can_be_replaced(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "target.wav").write_text("old")
    with pytest.raises(StemsteerError, match=r"residual.wav cannot be written"):
        write(source, out, force=True, meanwhile=(out / "residual.wav").mkdir)
    assert (out / "target.wav").read_text() == "old"
    assert left_over(out) == ["residual.wav", "target.wav"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interruption_while_files_get_their_names_leaves_all_as_they_were(
    source, tmp_path, monkeypatch, links, force, when
):
    out, steps = tmp_path / "out", {"link": os.link, "replace": os.replace}
    out.mkdir()
    if force:
        (out / "target.wav").write_text("old")  # and no residual.wav
    before, count, at = left_over(out), 0, 0

    def stepping(name):
        def step(*paths):
            nonlocal count
            if name == "link" and not links:
                raise PermissionError
            count += 1
            if count == at and when == "before":
                raise KeyboardInterrupt
            steps[name](*paths)
            if count == at:
                raise KeyboardInterrupt

        return step

    for name in steps:
        monkeypatch.setattr(os, name, stepping(name))
    is_interrupted = True
    while is_interrupted:
        count, at, is_interrupted = 0, at + 1, False
        try:
            write(source, out, force=force)
        except KeyboardInterrupt:
            is_interrupted = True
            assert left_over(out) == before
            assert not force or (out / "target.wav").read_text() == "old"
    assert at > 2
    assert left_over(out) == ["residual.wav", "target.wav"]


def test_a_file_has_its_name_at_any_time_while_it_is_replaced(source, tmp_path, monkeypatch):
    write(source, tmp_path / "out")
    replace, seen = os.replace, []

    def looking(hidden, path):
        seen.append(path.exists())
        replace(hidden, path)

    monkeypatch.setattr(os, "replace", looking)
    write(source, tmp_path / "out", force=True)
    assert seen == [True, True]


def test_force_replaces_and_leaves_nothing_beside(source, tmp_path):
    for force in (False, True):
        write(source, tmp_path / "out", force=force)
    assert left_over(tmp_path / "out") == ["residual.wav", "target.wav"]


def test_a_folder_that_is_gone_is_said(source, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(StemsteerError, match=str(out)):
        write(source, out, meanwhile=lambda: shutil.rmtree(out))
    assert not out.exists()


def test_what_killed_renders_left_is_removed_by_the_next_one(source, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "out"
    out.mkdir()
    (out / f".target.wav.{ended.pid}.part").write_text("left")
    (out / f".target.wav.{os.getppid()}.part").write_text("of one that runs")
    write(source, out)
    assert left_over(out) == [f".target.wav.{os.getppid()}.part", "residual.wav", "target.wav"]


@pytest.mark.parametrize("is_half", [True, False])
def test_older_files_that_a_killed_render_kept_are_back_where_it_has_not_replaced_all(
    source, tmp_path, is_half
):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "out"
    out.mkdir()
    (out / f".target.wav.{ended.pid}.old").write_text("old")
    (out / "target.wav").write_text("new")
    if is_half:
        (out / f".residual.wav.{ended.pid}.part").write_text("left")
    with pytest.raises(StemsteerError, match=r"target.wav is there already"):
        write(source, out)
    assert (out / "target.wav").read_text() == ("old" if is_half else "new")
    assert left_over(out) == ["target.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("limit", [100_000, 123_457, 150_003])
def test_after_a_full_disk_input_and_stems_of_a_recording_have_one_length(tmp_path, limit):
    program = (
        "import resource, sys, numpy as np\nfrom pathlib import Path\n"
        "from plugin_bridge.files.recorder import StemRecorder\n"
        "from realtime.errors import StemsteerError\n"
        f"folder = Path({str(tmp_path / 'take')!r})\n"
        "recorder = StemRecorder(folder, ['a', 'residual'], 44100, 2, False)\n"
        "recorder.start(300)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "hop = np.random.default_rng(0).uniform(-1, 1, (2, 256)).astype(np.float32)\n"
        "for _ in range(200): recorder.put(hop, np.stack([hop, hop]))\n"
        "try: recorder.close()\n"
        "except StemsteerError as error: print(error, recorder.dropped_hops)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "the disk may be full" in done.stdout, done.stderr
    names = ("input", "a", "residual")
    lengths = {soundfile.info(tmp_path / "take" / f"{name}.wav").frames for name in names}
    assert len(lengths) == 1
    assert 0 < lengths.pop() < limit / 8
    assert not list((tmp_path / "take").glob("*.part"))


@pytest.mark.parametrize("force", [False, True])
def test_files_are_told_before_one_has_its_name_with_the_size_and_time_that_they_keep(
    source, tmp_path, force
):
    told = {}

    def naming(hidden):
        assert not any(path.exists() for path in hidden)
        told.update({path: file.stat() for path, file in hidden.items()})

    paths = {name: tmp_path / "out" / f"{name}.wav" for name in NAMES}
    sample_format = SampleFormat("wav", "PCM_16")
    with StemFiles(paths, source, sample_format, force=force, naming=naming) as files:
        for block in source.blocks(5000):
            files.write(block, block[None])
    assert list(told) == list(paths.values())
    for path, stat in told.items():
        now = path.stat()
        assert (now.st_size, now.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
