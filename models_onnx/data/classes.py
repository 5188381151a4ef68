"""The names of instruments: classes, families, and the General-MIDI programs that play them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FAMILIES: dict[str, tuple[str, ...]] = {
    "drums": ("drums", "percussion"),
    "mallets": ("mallets",),
    "keyboard": ("piano", "keys", "organ", "accordion"),
    "plucked": ("guitar", "harp"),
    "bass": ("bass",),
    "bowed": ("violin", "viola", "cello", "double_bass", "strings"),
    "brass": ("trumpet", "trombone", "horn", "tuba", "brass"),
    "woodwind": ("flute", "oboe", "clarinet", "bassoon", "saxophone", "reed"),
    "voice": ("vocals", "choir"),
    "synth": ("synth", "fx"),
    "other": ("other",),
}
CLASSES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)
FAMILY_OF: dict[str, str] = {name: family for family, names in FAMILIES.items() for name in names}
ORCHESTRA_13: tuple[str, ...] = (
    "bassoon", "cello", "clarinet", "double_bass", "flute", "horn", "oboe",
    "saxophone", "trombone", "trumpet", "tuba", "viola", "violin",
)  # fmt: skip
"""The classes and their order of Slizovskaia, Haro & Gómez (TASLP 2021)."""
VOICE, ACCOMPANIMENT = "vocals", "accompaniment"
"""An accompaniment is what is left of a finished mix without its voice. It is no class: it may
hold any instrument, and nobody knows which."""
UNSEEN = ("harp", "accordion", "mallets")
"""Classes that no training of a U-Net meets, to be separated by examples alone."""

ROLES: tuple[str, ...] = (
    "bass", "chords", "lead", "arpeggio", "pad", "voice", "drums", "percussion",
)  # fmt: skip
DRUM_KIT = -1
"""Program of a part played on the General-MIDI drum map instead of a melodic program."""


def known_classes(names: Iterable[str]) -> set[str]:
    """Return what can be asked for of sources so called: beside an accompaniment, the voice."""
    found = set(names)
    return found & {VOICE} if ACCOMPANIMENT in found else found


@dataclass(frozen=True)
class Instrument:
    """What plays a part: its class, General-MIDI programs, range (MIDI notes) and roles."""

    name: str
    programs: tuple[int, ...]
    low: int
    high: int
    roles: tuple[str, ...]
    weight: float = 1.0

    @property
    def family(self) -> str:
        """Return the family of the instrument's class."""
        return FAMILY_OF[self.name]


MELODIC = ("lead", "arpeggio")
CHORDAL = ("chords", "arpeggio", "pad")
INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument("piano", (0, 1, 2, 3), 33, 96, ("chords", "arpeggio", "lead"), 3),
    Instrument("keys", (4, 5, 6, 7), 36, 91, ("chords", "arpeggio", "lead"), 2),
    Instrument("organ", (16, 17, 18, 19, 20), 40, 86, ("chords", "pad", "lead"), 1.5),
    Instrument("accordion", (21, 23), 48, 86, ("chords", "lead", "pad"), 1),
    Instrument("mallets", (8, 9, 10, 11, 12, 13, 14, 108, 114), 53, 96, MELODIC, 1.5),
    Instrument("guitar", (24, 25, 26, 27, 28, 29, 30), 40, 81, ("chords", "arpeggio", "lead"), 4),
    Instrument("guitar", (104, 105, 106, 107), 45, 79, MELODIC, 0.7),
    Instrument("harp", (46,), 40, 91, ("arpeggio", "chords"), 1),
    Instrument("bass", (33, 34, 35, 36, 37, 38, 39), 28, 55, ("bass",), 4),
    Instrument("double_bass", (32, 43), 28, 55, ("bass",), 2),
    Instrument("tuba", (58,), 29, 55, ("bass", "lead"), 0.7),
    Instrument("violin", (40, 110), 55, 93, ("lead", "pad"), 1.8),
    Instrument("viola", (41,), 48, 81, ("lead", "pad"), 1.2),
    Instrument("cello", (42,), 36, 69, ("lead", "pad", "bass"), 1.2),
    Instrument("strings", (44, 45, 48, 49), 40, 88, CHORDAL, 2),
    Instrument("trumpet", (56, 59), 54, 84, ("lead",), 1.2),
    Instrument("trombone", (57,), 41, 70, ("lead", "pad"), 1.2),
    Instrument("horn", (60,), 41, 74, ("lead", "pad"), 1.2),
    Instrument("brass", (61,), 43, 79, ("chords", "pad"), 0.7),
    Instrument("saxophone", (64, 65, 66, 67), 45, 79, ("lead",), 1.5),
    Instrument("oboe", (68,), 58, 88, ("lead",), 1.2),
    Instrument("bassoon", (70,), 35, 67, ("lead", "bass"), 1.2),
    Instrument("clarinet", (71,), 50, 88, ("lead", "arpeggio"), 1.2),
    Instrument("flute", (72, 73, 74, 75), 60, 93, MELODIC, 1.5),
    Instrument("reed", (22, 69, 78, 79), 55, 84, ("lead",), 0.7),
    Instrument("choir", (52, 53), 45, 79, ("pad", "voice"), 2),
    Instrument("vocals", (54, 85), 48, 79, ("voice", "lead"), 1),
    Instrument("synth", (80, 81, 82, 83, 84, 86, 87), 40, 91, MELODIC, 2),
    Instrument("synth", (50, 51, 62, 63, 88, 89, 90, 91, 92, 93, 94, 95), 40, 84, CHORDAL, 2),
    Instrument("percussion", (DRUM_KIT,), 0, 127, ("percussion",), 1),
    Instrument("drums", (DRUM_KIT,), 0, 127, ("drums",), 1),
)
