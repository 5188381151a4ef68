"""Checkpoints are read as arrays, and nothing that is in them is run."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from plugin_bridge.conversion import budget
from plugin_bridge.conversion.archive import read_arrays
from realtime import StemsteerError


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.BatchNorm1d(5), torch.nn.LSTM(5, 3))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_state_dict_of_torch_is_read_to_the_bit(tmp_path, zipped):
    state = network().state_dict()
    state["turned"] = torch.arange(12.0).reshape(3, 4).T  # not contiguous
    state["half"] = torch.ones(3).half()
    state["brief"] = torch.linspace(-3, 3, 12).bfloat16().reshape(3, 4).T
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_arrays(tmp_path / "w.pth")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy(), err_msg=name)


def test_parameters_and_nested_dictionaries_are_read(tmp_path):
    made = {"models": {"bass": OrderedDict(w=torch.nn.Parameter(torch.ones(2)))}, "epoch": 7}
    torch.save(made, tmp_path / "w.pth")
    assert list(read_arrays(tmp_path / "w.pth")) == ["models.bass.w"]


def numpy_checkpoint(content):
    """A zip as torch writes it, with a pickle of numpy's arrays in protocol 2."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("checkpoint/data.pkl", pickle.dumps(content, protocol=2))
    return io.BytesIO(file.getvalue())


def test_a_checkpoint_of_numpy_arrays_is_read():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([[1], [2]])}
    found = read_arrays(numpy_checkpoint(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_something_is_refused_and_does_not(tmp_path, zipped):
    made = tmp_path / "made"
    torch.save({"w": torch.ones(2), "x": Harmful(str(made))}, tmp_path / "w.pth",
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    with pytest.raises(StemsteerError, match=r"asks for \w+.mkdir, which is not an array"):
        read_arrays(tmp_path / "w.pth")
    assert not made.exists()


@pytest.mark.parametrize("what", ["builtins.eval", "numpy.load", "torch.hub.load", "os.system"])
def test_no_other_name_is_known(what):
    module, name = what.rsplit(".", 1)
    program = f"c{module}\n{name}\n.".encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("c/data.pkl", program)
    with pytest.raises(StemsteerError, match=what):
        read_arrays(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 torn", pickle.dumps(7)])
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(StemsteerError, match=r"w\.pth"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torn_checkpoint_is_refused(tmp_path, zipped):
    torch.save(network().state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "w.pth").read_bytes()
    for share in (0.2, 0.6, 0.95):
        (tmp_path / "torn.pth").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(StemsteerError, match=r"torn\.pth"):
            read_arrays(tmp_path / "torn.pth")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    torch.save({"w": torch.ones(100)}, tmp_path / "w.pth")
    out = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "w.pth") as source, zipfile.ZipFile(out, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            if member.endswith("data.pkl"):
                assert data.count(b"Kd\x85") == 1  # the size (100,)
                data = data.replace(b"Kd\x85", b"K\xff\x85")
            target.writestr(member, data)
    with pytest.raises(StemsteerError, match="reaches beyond"):
        read_arrays(io.BytesIO(out.getvalue()))


def test_a_file_without_arrays_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(StemsteerError, match="holds no arrays"):
        read_arrays(tmp_path / "w.pth")


class Call:
    """Has a pickle call a function, and set a state of what it gives."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return self.function, self.arguments, self.state


RECONSTRUCT = np.zeros(1).__reduce__()[0]
ADDRESS = bytes.fromhex("4141414141410000")
FLOATS = np.dtype("f4")


def array_of(dtype, raw, shape=(1,), start=(0,)):
    """An array whose numbers come as numpy writes them."""
    state = (1, shape, dtype, False, raw)
    return Call(RECONSTRUCT, np.ndarray, start, b"b", state=state)


@pytest.mark.parametrize(
    "made",
    [
        Call(OrderedDict, Call(np.ndarray, (1,), np.dtype("O"), ADDRESS)),
        Call(np.ndarray, (1,), FLOATS, bytes(4)),
        Call(np.dtype, "O"),
        Call(np.dtype, [("x", "O")]),
        Call(np.dtype, "f4", state=(3, "|", None, ("x",), {"x": (np.dtype("f4"), 0)}, 4, 1, 16)),
        array_of(np.dtype("O"), [7]),
        array_of(FLOATS, bytes(3)),
        array_of(FLOATS, bytes(4), shape=(-1,)),
        array_of(FLOATS, bytes(4), shape=(2**40, 0, 2**40)),
        array_of(FLOATS, bytes(4), start=(2**20,)),
        array_of("f4", bytes(4)),
        Call(OrderedDict, "ab"),
        Call(OrderedDict, Call(RECONSTRUCT, np.ndarray, (0,), b"b")),
    ],
)
def test_numpys_types_are_called_and_changed_as_numpy_does_it_or_not_at_all(made):
    content = b"\x80\x02}U\x01w" + pickle.dumps(made, protocol=2)[2:-1] + b"s."
    with pytest.raises(StemsteerError):
        read_arrays(zip_of(content))


@pytest.mark.parametrize(
    "name", ["numpy\nndarray", "numpy\ndtype", "torch._utils\n_rebuild_tensor_v2",
             "torch\nFloatStorage", "collections\nOrderedDict"],
)  # fmt: skip
@pytest.mark.parametrize("state", [b"}U\x01aK\x01s", b"N}U\x0c__defaults__)s\x86"])
def test_a_pickle_changes_nothing_of_what_it_is_given(name, state):
    with pytest.raises(StemsteerError, match=r"refused|can be read"):
        read_arrays(zip_of(b"\x80\x02}U\x01wc" + name.encode() + b"\n" + state + b"bs."))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i8", "u1", "u4", "b1"])
def test_arrays_of_every_kind_and_order_are_read(order, kind):
    made = np.arange(6).reshape(2, 3).astype(order + kind)
    for array in (made, np.asfortranarray(made), made[1, 1]):
        found = read_arrays(numpy_checkpoint({"w": np.asarray(array)}))
        np.testing.assert_array_equal(found["w"], np.ascontiguousarray(array, np.float32))


def zip_of(program, **storages):
    """A checkpoint with this pickle, and numbers of storages by key."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("c/data.pkl", program)
        for key, data in storages.items():
            archive.writestr(f"c/data/{key}", data)
    return io.BytesIO(file.getvalue())


@pytest.fixture
def little(monkeypatch):
    """A megabyte is all that a checkpoint may ask for."""
    monkeypatch.setattr(budget, "MAX_BYTES", 1 << 20)


def dictionary(*values):
    """A pickle of a dictionary with these values, each a program."""
    items = b"".join(b"U\x04%04d" % place + value for place, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def storage(size, key=b"0", kind=b"FloatStorage"):
    reference = b"(U\x07storagectorch\n%s\nU\x01%sU\x03cpuJ%stQ"
    return reference % (kind, key, size.to_bytes(4, "little"))


def tensor(storage, size, stride):
    """The program of a tensor of one axis."""
    size, stride = (b"\x8a\x08" + number.to_bytes(8, "little") for number in (size, stride))
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + size + b"\x85"
            + stride + b"\x85\x89}tR")  # fmt: skip


def test_a_tensor_has_no_more_numbers_than_its_storage():
    repeated = zip_of(dictionary(tensor(storage(1), 5, 0)), **{"0": bytes(4)})
    with pytest.raises(StemsteerError, match="reaches beyond its 1 numbers"):
        read_arrays(repeated)


@pytest.mark.usefixtures("little")
def test_numbers_that_are_named_many_times_count_each_time():
    size, data = 100_000, bytes(400_000)
    one = tensor(storage(size), size, 1)
    assert len(read_arrays(zip_of(dictionary(one, one), **{"0": data}))) == 2
    with pytest.raises(StemsteerError, match="more than"):
        read_arrays(zip_of(dictionary(one, one, one), **{"0": data}))


def test_a_storage_is_read_once(monkeypatch):
    reads, read = [], zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile, "read", lambda self, name: (reads.append(name), read(self, name))[1]
    )
    read_arrays(zip_of(dictionary(*[tensor(storage(1), 1, 1)] * 5), **{"0": bytes(4)}))
    assert sorted(reads) == ["c/data.pkl", "c/data/0"]


@pytest.mark.parametrize("other", [storage(2), storage(1, kind=b"IntStorage")])
def test_a_storage_is_not_two_different_ones(other):
    pair = dictionary(tensor(storage(1), 1, 1), tensor(other, 1, 1))
    with pytest.raises(StemsteerError, match="as two different ones"):
        read_arrays(zip_of(pair, **{"0": bytes(8)}))


LONG_TEXT = b"X\xa0\x86\x01\x00" + b"a" * 100_000  # of 100 kB
ENCODED = b"c_codecs\nencode\nh\x01U\x06latin1\x86R0"


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("program", "words"),
    [
        (LONG_TEXT + b"q\x010" + ENCODED * 20, "more than 0"),
        (b"r\xff\xff\xff\x7f", "more than 4194304 steps"),  # remembered as the 2^31st
        (b"B\xff\xff\xff\x7fab", "expected 2147483647 bytes"),
        (b"]q\x01(" + b"U\x00N\x86" * 1000 + b"e0"
         + b"ccollections\nOrderedDict\nh\x01\x85R0" * 20, "more than 0"),
    ],
    ids=["encoded", "remembered", "counted", "dictionaries"],
)  # fmt: skip
def test_a_small_pickle_does_not_ask_for_much(program, words):
    tracemalloc.start()
    try:
        with pytest.raises(StemsteerError, match=words):
            read_arrays(zip_of(b"\x80\x02}" + program + b"."))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("little")
def test_dictionaries_in_dictionaries_end():
    inner = b"}"
    for place in range(30):  # each has the one before twice
        inner = b"}(U\x01a" + inner + b"q%cU\x01bh%cu" % (place, place)
    with pytest.raises(StemsteerError, match="more than"):
        read_arrays(zip_of(b"\x80\x02" + inner + b"."))


@pytest.mark.usefixtures("little")
def test_a_checkpoint_before_torch_1_6_asks_for_what_it_has():
    room = tensor(storage(200_000), 200_000, 1) + tensor(storage(200_000, b"1"), 200_000, 1)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    content = magic + pickle.dumps(1001) + pickle.dumps({}) + b"\x80\x02" + room + b"\x86."
    with pytest.raises(StemsteerError, match="more than"):
        read_arrays(io.BytesIO(content + pickle.dumps([])))


def test_numbers_in_a_zip_are_compressed_as_torch_does_it():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("c/data.pkl", dictionary(tensor(storage(1), 1, 1)))
        archive.writestr("c/data/0", bytes(4))
    with pytest.raises(StemsteerError, match="compressed in a way"):
        read_arrays(io.BytesIO(file.getvalue()))
