import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.blocks import Fifo, FrameDelay, adapter_delay, read_ring, sane, write_ring


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3_000)), max_size=40))
def test_a_fifo_gives_what_it_was_given_in_order(turns):
    fifo, given_in, taken = Fifo((2,), zeros=5), 0, 0
    for push, size in turns:
        if push:
            counted = np.arange(given_in, given_in + size, dtype=np.float32)
            fifo.push(np.stack([counted, -counted]))
            given_in += size
        else:
            size = min(size, len(fifo))
            expected = np.arange(taken - 5, taken - 5 + size, dtype=np.float32).clip(0)
            expected[: max(0, 5 - taken)] = 0
            assert np.array_equal(fifo.pop(size)[0], expected)
            taken += size
    assert len(fifo) == 5 + given_in - taken


def test_a_fifo_does_not_grow_with_the_length_of_the_stream():
    fifo = Fifo((1,))
    for _ in range(2_000):
        fifo.push(np.zeros((1, 1_000), np.float32))
        fifo.pop(1_000)
    assert fifo._data.size <= 4_096


@pytest.mark.parametrize("hop", [1, 128, 192, 256, 1024])
@pytest.mark.parametrize("block", [1, 64, 100, 256, 441, 480, 512, 4096])
def test_the_delay_of_the_adapter_is_the_least_that_never_starves(hop, block):
    def starves(delay):
        waiting, ready = 0, delay
        for _ in range(2 * hop):
            waiting += block
            ready += waiting // hop * hop - block
            waiting %= hop
            if ready < 0:
                return True
        return False

    delay = adapter_delay(hop, block)
    assert not starves(delay)
    assert delay == 0 or starves(delay - 1)


def test_blocks_of_any_size_need_a_hop_less_one():
    assert adapter_delay(256, None) == 255


@pytest.mark.parametrize("delay", [0, 1, 5, 40])
def test_frames_come_back_as_many_frames_later_whatever_the_calls(delay):
    spectra = (np.arange(100 * 6).reshape(100, 2, 3) + 1).astype(np.complex64)
    held, outs, at = FrameDelay(delay, (2, 3)), [], 0
    for size in (1, 2, 7, 0, 32, 33, 25):
        outs.append(held.exchange(spectra[at : at + size]).copy())
        at += size
    expected = np.concatenate([np.zeros((delay, 2, 3)), spectra])[:100]
    np.testing.assert_array_equal(np.concatenate(outs), expected)


def test_of_more_than_a_ring_holds_the_last_is_kept():
    ring = np.zeros(10)
    write_ring(ring, 3, np.arange(25.0))
    np.testing.assert_array_equal(read_ring(ring, 28, 10), np.arange(15.0, 25.0))


def test_a_block_without_damage_is_not_copied():
    block = np.array([[0, -(2.0**20)], [1, 2.0**20]], np.float32)
    assert sane(block)[0] is block
    cleaned, damaged = sane(np.array([[np.nan, 1, 2.0**21, -np.inf]], np.float32))
    assert (cleaned.tolist(), damaged) == ([[0, 1, 0, 0]], 3)
