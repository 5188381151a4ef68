"""The timbres of an instance as a text, which its project keeps: vectors, their encoder, words.

The plugin does not read it. It comes from a stranger's project as well as from our own engine, so
it is bounded and checked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from plugin_bridge.control.timbre_requests import SLOTS, Slot
from plugin_bridge.engine.shared.messages import MAX_TIMBRES, shown_name
from realtime.arrays import Floats
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object
from realtime.spec import ModelSpec

KEEP, LISTEN = b"keep ", b"listen "
"""Begin messages: to the plugin, with the text that its project is to keep; to an audio process,
with the seconds that it is to listen."""
MAX_SIZE = 1024
"""Most numbers of a vector."""


@dataclass(frozen=True, eq=False)
class KeptTimbres:
    """Unit vectors (size,) of one encoder by slot, and what each was made of."""

    encoder: str = ""
    vectors: Mapping[Slot, Floats] = field(default_factory=dict)
    words: Mapping[Slot, str] = field(default_factory=dict)

    def changed(self, encoder: str, slot: Slot, vector: Floats | None, words: str) -> KeptTimbres:
        """Return them with another timbre in a slot; those of another encoder are left out."""
        old = self if self.encoder == encoder else KeptTimbres()
        vectors = {name: kept for name, kept in old.vectors.items() if name != slot}
        told = {name: kept for name, kept in old.words.items() if name != slot}
        if vector is not None:
            vectors[slot], told[slot] = vector, shown_name(words)
        return KeptTimbres(encoder, vectors, told)

    def to_text(self) -> str:
        """Return the text of at most `MAX_TIMBRES` bytes; empty if there are none."""
        if not self.vectors:
            return ""
        content: dict[str, object] = {"encoder": self.encoder}
        for slot, vector in self.vectors.items():
            data = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            content[slot] = {"vector": data, "words": self.words.get(slot, "")}
        return json.dumps(content)

    @classmethod
    def from_text(cls, text: str) -> KeptTimbres:
        """Read the text; an empty one stands for none. Raises StemsteerError if it is damaged."""
        if not text:
            return cls()
        try:
            content = read_json_object(text.encode(), max_bytes=MAX_TIMBRES, max_depth=3)
            slots: list[Slot] = [slot for slot in SLOTS if slot in content]
            vectors = {slot: _vector(content[slot]["vector"]) for slot in slots}
            words = {slot: shown_name(content[slot].get("words")) for slot in slots}
            return cls(shown_name(content["encoder"]), vectors, words)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise StemsteerError(
                f"the timbres that the project keeps are damaged ({str(error)[:80]}): they stay in "
                "it unused; learn or give them anew"
            ) from error

    def check(self, spec: ModelSpec) -> None:
        """Raise StemsteerError, which says what to do, if a model cannot take them."""
        if not self.vectors:
            return
        size = spec.conditions.get("timbre", 0)
        if not size:
            raise StemsteerError(
                f"{spec.name} takes no timbre: what the project keeps is unused until a model that "
                "does is chosen, as steer"
            )
        if self.encoder != spec.encoder:
            raise StemsteerError(
                f"the timbres that the project keeps were made by the encoder {self.encoder}, "
                f"{spec.name} needs {spec.encoder}: they stay in it unused; learn or give them anew"
            )
        if wrong := [v.size for v in self.vectors.values() if v.size != size]:
            raise StemsteerError(
                f"a timbre that the project keeps has {wrong[0]} numbers, {spec.name} takes {size}:"
                " it stays in it unused; learn or give it anew"
            )


def _vector(data: object) -> Floats:
    """Return the unit vector of a text in base64. Raises ValueError or TypeError if it is none."""
    if not isinstance(data, str):
        raise ValueError("a vector is no text")
    vector = np.frombuffer(base64.b64decode(data, validate=True), "<f4").astype(np.float32)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not 0 < vector.size <= MAX_SIZE or not abs(length - 1) < 1e-3:
        raise ValueError(f"a vector of {vector.size} numbers has the length {length:.3g}")
    return vector
