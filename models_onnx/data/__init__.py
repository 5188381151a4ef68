"""Training data: a renderer of multitrack songs, loaders of public data sets, and the mixer.

songs : a seed becomes a song of notes
sounds : what plays notes: soundfonts, recordings, effects
rendering : a song becomes stems on disk
sets : stems on disk, rendered or of a data set
sources, mixer, scenes : stems of any origin become stereo scenes
"""

from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sources import Collection, Pool, Source

__all__ = ["Collection", "Mixing", "Pool", "Scene", "Source", "draw"]
