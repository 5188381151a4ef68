"""TensorFlow's checkpoints are read to the bit, and broken ones are refused."""

import numpy as np
import pytest

from plugin_bridge.conversion import budget
from plugin_bridge.conversion.bundle import read_bundle
from realtime import StemsteerError
from tests.support.tf_bundle import write_bundle


def test_a_checkpoint_of_tensorflow_is_read_to_the_bit(tmp_path):
    arrays = {f"layer_{k}/kernel": np.random.default_rng(k).standard_normal((k, 2, 3))
              for k in range(1, 40)}  # fmt: skip
    found = read_bundle(write_bundle(tmp_path, arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array.astype(np.float32))


@pytest.mark.parametrize("change", ["cut", "bits", "no data", "short data", "nonsense", "long"])
def test_a_broken_checkpoint_of_tensorflow_is_refused_by_name(tmp_path, change):
    index = write_bundle(tmp_path, {"a/kernel": np.ones((3, 4)), "b/bias": np.ones(5)})
    data, whole = tmp_path / "model.data-00000-of-00001", index.read_bytes()
    if change == "no data":
        data.unlink()
    elif change == "short data":
        data.write_bytes(data.read_bytes()[:-4])
    else:
        found = {"cut": whole[:-60] + whole[-48:], "nonsense": b"nonsense" * 20,
                 "long": whole.replace(b"\x12\x02\x08\x03", b"\x12\x02\x08\x7f"),
                 "bits": bytes(255 - byte for byte in whole[:-48]) + whole[-48:]}  # fmt: skip
        index.write_bytes(found[change])
    with pytest.raises(StemsteerError, match=r"model\.index"):
        read_bundle(index)


def test_the_arrays_of_tensorflow_have_a_bound_together(tmp_path, monkeypatch):
    index = write_bundle(tmp_path, {"a": np.ones(1000), "b": np.ones(1000)})
    monkeypatch.setattr(budget, "MAX_BYTES", 9000)
    assert len(read_bundle(index)) == 2
    monkeypatch.setattr(budget, "MAX_BYTES", 7000)
    with pytest.raises(StemsteerError, match="more than"):
        read_bundle(index)


def test_every_single_byte_of_an_index_may_be_wrong(tmp_path):
    arrays = {"a/kernel": np.ones((3, 4)), "b/bias": np.ones(5)}
    index = write_bundle(tmp_path, arrays)
    whole, n_refused = index.read_bytes(), 0
    for place in range(len(whole)):
        for value in (0, 127, 128, 255):
            index.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                found = read_bundle(index)
            except StemsteerError:
                n_refused += 1
                continue
            assert [array.shape for array in found.values()] == [(3, 4), (5,)]
            assert found.keys() & arrays.keys(), "a byte belongs to one name at most"
    assert n_refused > len(whole)  # a fourth: most bytes are of names, numbers that fit, or unused
