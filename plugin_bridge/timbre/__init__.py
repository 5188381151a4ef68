"""Timbres: what a sound is, as named unit vectors, and the user's library of them.

In reading order: `vector` (a timbre and its arithmetic), `timbre_library` (timbres by name, on
disk), `encoders` (what makes them), `query` (of examples), `learned` (of what is listened to),
`heard` (which instruments are in a mix), `service` (timbres on request, while sound runs).
"""

from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre, mean

__all__ = ["Timbre", "TimbreLibrary", "mean"]
