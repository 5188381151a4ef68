"""Training data: a renderer of multitrack songs, loaders of public data sets, and the mixer.

compose, parts, harmony : a seed becomes a song
soundfonts, studio, effects : a song becomes stems
render, shards : stems on disk
sources, mixer : stems of any origin become stereo scenes
"""

from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sets.shards import Shards
from models_onnx.data.sources import Collection, Pool, Source

__all__ = ["Collection", "Mixing", "Pool", "Scene", "Shards", "Source", "draw"]
