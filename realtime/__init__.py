"""The streaming engine: separate targets from a stream of blocks. Needs numpy and onnxruntime only.

In reading order: `separator` (the main path), `stft`, `masks`, `conditions`, `blocks`, `model`,
`spec`, and `threaded` (the same on a thread of its own).
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
