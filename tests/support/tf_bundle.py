"""Checkpoints of TensorFlow as its BundleWriter lays them out, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOOTER, MAGIC = 40, bytes.fromhex("57fb808b247547db")


def write_bundle(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write ``model.index`` and its numbers; return the index."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    data = bytearray()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], "<f4")
        dims = b"".join(_bytes(2, _number(1, size)) for size in array.shape)
        entry = _number(1, 1) + _bytes(2, dims) + _number(4, len(data)) + _number(5, array.nbytes)
        entries.append((name.encode(), entry + b"\x35\0\0\0\0"))
        data += array.tobytes()
    (folder / "model.data-00000-of-00001").write_bytes(data)
    table = handles = b""
    for part in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):  # two blocks
        block = _block(part)
        handles_value = varint(len(table)) + varint(len(block))
        handles += _entry(b"", part[-1][0], handles_value)
        table += block + bytes(5)
    index, meta = handles + _restarts(), _restarts()
    footer = varint(len(table)) + varint(len(meta))
    table += meta + bytes(5)
    footer += varint(len(table)) + varint(len(index))
    table += index + bytes(5) + footer.ljust(FOOTER, b"\0") + MAGIC
    (folder / "model.index").write_bytes(table)
    return folder / "model.index"


def varint(number: int) -> bytes:
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, before = b"", b""
    for key, value in entries:
        out += _entry(before, key, value)
        before = key
    return out + _restarts()


def _entry(before: bytes, key: bytes, value: bytes) -> bytes:
    shared = 0
    while shared < min(len(before), len(key)) and before[shared] == key[shared]:
        shared += 1
    return varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value


def _restarts() -> bytes:
    return bytes(4) + (1).to_bytes(4, "little")


def tensorflow_names(networks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Give the weights of networks the names and layouts that Spleeter's checkpoints have."""
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
             "running_var": "moving_variance"}  # fmt: skip
    found: dict[str, np.ndarray] = {"global_step": np.zeros(())}
    for place, weights in enumerate(networks):
        for name, array in weights.items():
            layer, part = name.rsplit(".", 1)
            level = int(layer[2] if layer.startswith("up") else layer[4]) - 1
            if layer == "up7.0" or "_conv" in layer:
                kind, number = "conv2d", 7 * place + level
            elif layer.endswith(".0") and layer.startswith("up"):
                kind, number = "conv2d_transpose", 6 * place + level
            else:
                kind = "batch_normalization"
                number = 12 * place + level + 6 * layer.startswith("up")
            key = f"{kind}_{number}" if number else kind
            kernels = {"weight": "kernel", "bias": "bias"}
            names = parts if kind == "batch_normalization" else kernels
            found[f"{key}/{names[part]}"] = (
                array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
            )
    return found
