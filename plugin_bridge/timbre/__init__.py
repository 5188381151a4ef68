"""Timbres: what a sound is, as named unit vectors, and the user's library of them.

In reading order: `vector` (a timbre and its arithmetic), `library` (timbres by name, on disk).
"""

from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre, mean, morph

__all__ = ["Timbre", "TimbreLibrary", "mean", "morph"]
