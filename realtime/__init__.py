"""The streaming engine: separate targets from a stream of blocks. Needs numpy and onnxruntime only.

In reading order: `separator` (the main path) and what it calls, `arrays`, `blocks`, `stft`,
`conditions`, `masks`, and `estimates` with `joint` and `selection`; `model` and `spec`, what a
model is; `stepped` and `sliding`, how it runs frame by frame and over stretches, on `onnx_stream`,
`target_group`, `turns` and `two_answers`; `threaded`, the same on a thread of its own.
"""

from realtime.errors import StemsteerError
from realtime.model import OnnxModel, find_model, load_model
from realtime.separator import Separator
from realtime.spec import ModelSpec, Tier
from realtime.threaded import Counters, ThreadedProcessor

__all__ = [
    "Counters",
    "ModelSpec",
    "OnnxModel",
    "Separator",
    "StemsteerError",
    "ThreadedProcessor",
    "Tier",
    "find_model",
    "load_model",
]
