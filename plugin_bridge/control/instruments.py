"""The words by which people call instruments, and what they mean in the table of controls.

A producer writes *singer*, *sax* or *kick*; the table knows `vocals`, `saxophone` and `drums`.
`resolve` is the one place where a word becomes one of its names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from plugin_bridge.control.controls import INSTRUMENTS

ANY = INSTRUMENTS[0]
FAMILIES: dict[str, tuple[str, ...]] = {
    "voices": ("vocals", "choir"),
    "rhythm section": ("drums", "percussion", "bass", "double_bass"),
    "keyboards": ("piano", "keys", "organ", "accordion"),
    "bowed strings": ("violin", "viola", "cello", "double_bass", "strings"),
    "brass section": ("trumpet", "trombone", "horn", "tuba", "brass"),
    "woodwinds": ("flute", "oboe", "clarinet", "bassoon", "saxophone", "reed"),
}
"""Words that mean several instruments at once."""
SYNONYMS: dict[str, tuple[str, ...]] = {
    "drums": ("drum", "drum kit", "drumkit", "drumset", "kit", "beat"),
    "percussion": ("percussions", "congas", "bongos", "shaker", "tambourine", "timpani", "cajon"),
    "mallets": ("vibraphone", "vibes", "marimba", "xylophone", "glockenspiel", "celesta", "bells"),
    "piano": ("pianos", "grand piano", "upright piano", "pianoforte"),
    "keys": ("keyboard", "electric piano", "e-piano", "rhodes", "wurlitzer", "clavinet",
             "harpsichord"),
    "organ": ("organs", "hammond", "pipe organ", "church organ"),
    "accordion": ("bandoneon", "concertina", "melodica"),
    "guitar": ("guitars", "electric guitar", "acoustic guitar", "lead guitar", "rhythm guitar",
               "e-guitar", "gtr", "ukulele", "banjo", "mandolin"),
    "bass": ("bass guitar", "electric bass", "e-bass", "fretless bass", "synth bass"),
    "double_bass": ("upright bass", "acoustic bass", "string bass", "contrabass", "standup bass"),
    "violin": ("violins", "fiddle"),
    "viola": ("violas",),
    "cello": ("cellos", "celli", "violoncello"),
    "strings": ("string section", "string ensemble", "orchestral strings"),
    "trumpet": ("trumpets", "cornet", "flugelhorn"),
    "trombone": ("trombones", "bone"),
    "horn": ("horns", "french horn"),
    "tuba": ("tubas", "sousaphone"),
    "brass": ("brass ensemble",),
    "flute": ("flutes", "piccolo", "recorder", "pan flute"),
    "oboe": ("oboes", "english horn", "cor anglais"),
    "clarinet": ("clarinets", "bass clarinet"),
    "bassoon": ("bassoons", "contrabassoon"),
    "saxophone": ("sax", "saxophones", "alto sax", "tenor sax", "soprano sax", "baritone sax"),
    "reed": ("harmonica", "shawm", "bagpipe"),
    "vocals": ("vocal", "voice", "singer", "singing", "lead vocal", "lead vocals", "lead voice",
               "vox", "rap", "rapper", "speech", "acapella", "a cappella"),
    "choir": ("choirs", "backing vocals", "backing voices", "background vocals"),
    "synth": ("synths", "synthesizer", "synthesiser", "pad", "synth lead"),
    "fx": ("effects", "sound effects", "sfx"),
}  # fmt: skip
PARTS: dict[str, tuple[str, ...]] = {
    "drums": ("kick", "bass drum", "snare", "hats", "hi-hat", "hihat", "cymbals", "toms"),
}
"""Parts of an instrument that no model tells apart: the whole instrument is taken, and said."""
WITHOUT: dict[str, tuple[str, ...]] = {
    "vocals": ("instrumental", "karaoke", "backing track", "accompaniment", "no vocals"),
}
"""Words for everything but an instrument."""


@dataclass(frozen=True)
class Meaning:
    """What a word stands for.

    Parameters
    ----------
    classes : names of `controls.INSTRUMENTS`; their sum is meant.
    removed : whether everything but them is meant.
    note : what a user should be told about it, empty if nothing.
    word : as it was said; empty for what is meant without a word, as by a picture.
    fault : why it is none of the table, whose classes are then the word itself; else empty.
    """

    classes: tuple[str, ...]
    removed: bool = False
    note: str = ""
    word: str = ""
    fault: str = ""


def _normal(word: str) -> str:
    return re.sub(r"[\s_-]+", " ", word.strip().casefold())


def _meanings() -> dict[str, Meaning]:
    found = {_normal(name): Meaning((name,)) for name in INSTRUMENTS}
    found |= {_normal(word): Meaning(names) for word, names in FAMILIES.items()}
    for name, words in SYNONYMS.items():
        found |= {_normal(word): Meaning((name,)) for word in words}
    for name, words in PARTS.items():
        for word in words:
            note = f"{word!r} is part of the {name}, which are taken as a whole"
            found[_normal(word)] = Meaning((name,), note=note)
    for name, words in WITHOUT.items():
        found |= {_normal(word): Meaning((name,), removed=True) for word in words}
    return found


MEANINGS = _meanings()


def resolve(word: str, known: Sequence[str] | None = None) -> Meaning:
    """Return what a word means.

    Parameters
    ----------
    known : the instruments that can be had here; None: all of the table.

    Raises
    ------
    ValueError if it is no instrument, or none that can be had; it names the nearest words.
    """
    allowed = set(INSTRUMENTS if known is None else known)
    meaning = MEANINGS.get(_normal(word))
    if meaning is None:
        words = [w for w, m in MEANINGS.items() if set(m.classes) & allowed]
        near = difflib.get_close_matches(_normal(word), words, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {_listed(allowed)}"
        raise ValueError(f"instrument is {word!r}, which is none that is known; {hint}")
    classes = tuple(name for name in meaning.classes if name in allowed)
    if not classes:
        raise ValueError(
            f"{' and '.join(meaning.classes)} cannot be had here; there are {_listed(allowed)}"
        )
    return Meaning(classes, meaning.removed, meaning.note)


def number_of(word: str) -> int:
    """Return the number in the table of the one instrument that a word means.

    Raises
    ------
    ValueError if it is no instrument, a family of several, or everything but an instrument.
    """
    meaning = resolve(word)
    if len(meaning.classes) > 1 or meaning.removed:
        what = "everything but" if meaning.removed else "several instruments:"
        raise ValueError(
            f"instrument is {word!r}, which means {what} {', '.join(meaning.classes)}; expected one"
        )
    return INSTRUMENTS.index(meaning.classes[0])


def _listed(names: set[str]) -> str:
    return ", ".join(name for name in INSTRUMENTS if name in names and name != ANY) or "none"
