"""The ring: both sides see the same bytes, and damaged ones are refused before they are used."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
import time

import numpy as np
import pytest

from plugin_bridge.control.controls import CONTROLS
from plugin_bridge.control.generate import header
from plugin_bridge.engine.shared import ring as layout
from plugin_bridge.engine.shared.ring import HEADER, RECORD, SharedRing, make_ring, ring_bytes
from realtime.errors import StemsteerError
from tests.support.engine_sandbox import CPP, ROOT, need, noise


@pytest.fixture
def fd():
    made = make_ring(44_100)
    yield made
    os.close(made)


@pytest.mark.host
def test_plugin_and_engine_see_the_same_layout(tmp_path):
    need("g++")
    program = tmp_path / "layout"
    source = ROOT / "tests" / "plugin" / "cpp" / "ring_layout.cpp"
    subprocess.run(["g++", "-std=c++17", f"-I{CPP}", "-o", program, source], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    seen = {name: (int(a), int(b)) for name, a, b in map(str.split, printed.splitlines())}
    fields = dict(HEADER.fields or {})
    assert {n for n in seen if n in fields} == set(fields)
    for name, (kind, offset, *_) in fields.items():
        assert seen[name] == (offset, kind.itemsize), name
    for name in ("VERSION", "HEADER_BYTES", "CAPACITY", "RECORDS", "VALUES", "INPUTS", "ORIGIN"):
        assert seen[name][0] == getattr(layout, name), name
    for name in RECORD.names or ():
        kind, offset = (RECORD.fields or {})[name][:2]
        assert seen[f"record.{name}"] == (offset, kind.itemsize)
    assert seen["record"][0] == RECORD.itemsize
    assert (seen["bytes2"][0], seen["bytes4"][0]) == (ring_bytes(2), ring_bytes(4))


def test_the_plugin_is_built_from_the_table_of_controls():
    assert (CPP / "controls.h").read_text() == header()
    assert [control.id for control in CONTROLS] == list(range(len(CONTROLS)))
    assert len(CONTROLS) <= layout.VALUES


def test_audio_written_across_the_end_of_a_ring_is_read_back(fd):
    ring = SharedRing(fd)
    sound = noise(5000)
    position = 3 * layout.CAPACITY - 1234
    ring.write(ring.input, position, sound)
    np.testing.assert_array_equal(ring.read(ring.input, position, 5000), sound)
    np.testing.assert_array_equal(SharedRing(fd).read(ring.input, position + 7, 11), sound[:, 7:18])


def test_a_bell_wakes_a_sleeper_at_once_and_is_never_lost(fd):
    ring, other = SharedRing(fd), SharedRing(fd)
    woken_s = []

    def sleep():
        seen = ring["input_bell"]
        ring.wait_futex("input_bell", "engine_sleeps", seen, 30.0)
        woken_s.append(time.perf_counter())

    thread = threading.Thread(target=sleep)
    thread.start()
    while not other["engine_sleeps"]:
        time.sleep(0.001)
    time.sleep(0.02)
    rung_s = time.perf_counter()
    other.notify("input_bell", "engine_sleeps")
    thread.join(60)
    assert woken_s[0] - rung_s < 10  # however busy the machine
    seen = ring["input_bell"]
    other.notify("input_bell", "engine_sleeps")  # before anyone sleeps
    begun_s = time.perf_counter()
    ring.wait_futex("input_bell", "engine_sleeps", seen, 30.0)
    assert time.perf_counter() - begun_s < 10


def test_a_process_that_has_lost_the_ring_does_not_say_that_nobody_sleeps(fd):
    ring = SharedRing(fd)
    for pid, sleeps in ((0, 0), (7, 0), (8, 1)):
        ring["engine_pid"] = 7
        ring.wait_futex("input_bell", "engine_sleeps", ring["input_bell"], 0.01, engine_pid=pid)
        assert ring["engine_sleeps"] == sleeps


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("magic", b"RIFFWAVE", "not made by Stemsteer"),
        ("version", 1, "older than this engine; run `stemsteer plugin install`"),
        ("version", 3, "newer than this engine, .*; restart the engine"),
        ("capacity", 1 << 30, "capacity is 1073741824"),
        ("record_bytes", 8, "record_bytes is 8"),
        ("outputs", 200, "200 outputs"),
        ("rate_hz", float("nan"), "sample rate"),
    ],
)
def test_a_ring_with_a_wrong_header_is_refused(fd, field, value, words):
    head = np.frombuffer(os.pread(fd, layout.HEADER_BYTES, 0), HEADER).copy()
    head[field] = value
    os.pwrite(fd, head.tobytes(), 0)
    with pytest.raises(StemsteerError, match=words):
        SharedRing(fd)


def test_a_ring_cannot_be_truncated_and_one_that_could_is_refused(fd, tmp_path):
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 4096)
    content = os.pread(fd, ring_bytes(2), 0)
    plain = os.memfd_create("plain", os.MFD_ALLOW_SEALING)
    os.fchmod(plain, 0o600)
    os.write(plain, content)
    with pytest.raises(StemsteerError, match="not sealed"):
        SharedRing(plain)
    fcntl.fcntl(plain, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    SharedRing(plain)
    os.fchmod(plain, 0o644)
    with pytest.raises(StemsteerError, match="not a private file"):
        SharedRing(plain)
    os.close(plain)
    short = os.memfd_create("short", os.MFD_ALLOW_SEALING)
    os.fchmod(short, 0o600)
    os.write(short, content[:-4])
    with pytest.raises(StemsteerError, match="bytes, which no ring has"):
        SharedRing(short)
    os.close(short)
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, content)
    with pytest.raises(StemsteerError, match="not sealed"):
        SharedRing(file)
    os.close(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_ring_of_another_user_is_refused(fd):
    os.fchown(fd, 65534, 65534)
    with pytest.raises(StemsteerError, match="not a private file of this user"):
        SharedRing(fd)
