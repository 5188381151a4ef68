"""Which class an instrument belongs to, told from the words that people and data sets use."""

from __future__ import annotations

import re

from models_onnx.data.classes import DRUM_KIT, FAMILY_OF, INSTRUMENTS
from models_onnx.data.stems import Label

WORDS: tuple[tuple[str, str], ...] = (
    ("vocals", r"vocal|voice|sing(er|ing)|vox|rap(per)?\b|speaker|vocalist"),
    ("choir", r"choir|chorus"),
    ("double_bass", r"double[ _]?bass|contrabass|upright[ _]bass|string[ _]bass"),
    ("bassoon", r"bassoon"),
    ("clarinet", r"clarinet"),
    ("drums", r"drum|kick|snare|hi-?hat|cymbal|\btoms?\b|overhead"),
    ("percussion", r"perc|conga|bongo|tabla|shaker|tambourine|clap|cajon|timpani|cowbell|claves"),
    ("keys", r"electric[ _]piano|rhodes|wurli|clav|harpsichord|keys|keyboard"),
    ("bass", r"bass"),
    ("guitar", r"guitar|banjo|mandolin|ukulele|sitar|\blute|\boud\b|koto|zheng|zither"),
    ("piano", r"piano"),
    ("organ", r"organ|harmonium"),
    ("accordion", r"accordion|melodica|bandoneon"),
    ("strings", r"strings|(string|violin|viola|cello)[ _](section|ensemble)"),
    ("violin", r"violin|fiddle"),
    ("viola", r"viola"),
    ("cello", r"cello"),
    ("harp", r"\bharp\b"),
    ("trumpet", r"trumpet|cornet|flugelhorn"),
    ("trombone", r"trombone"),
    ("tuba", r"tuba|euphonium"),
    ("brass", r"brass|horn[ _]section"),
    ("oboe", r"oboe|english[ _]horn|cor anglais"),
    ("horn", r"horn"),
    ("flute", r"flute|piccolo|recorder"),
    ("saxophone", r"sax"),
    ("reed", r"harmonica|whistle|ocarina|reed"),
    ("mallets", r"vibraphone|marimba|xylophone|glockenspiel|celesta|bells|chimes|kalimba"),
    ("synth", r"synth|\bpad\b|\blead\b|sampler"),
    ("fx", r"\bfx\b|effects?|scratch"),
)
"""Class and the words for it; the first that fits counts."""
OTHER_PROGRAMS = {
    15: "mallets",
    47: "percussion",
    112: "percussion",
    115: "percussion",
} | dict.fromkeys((55, *range(96, 104), *range(119, 128)), "fx")
"""General-MIDI programs that the composer does not use."""


def label_of(words: str) -> Label:
    """Return the label of an instrument that is described in words; "other" where none fits."""
    text = words.lower()
    name = next((name for name, pattern in WORDS if re.search(pattern, text)), "other")
    return Label(name, FAMILY_OF[name], "", words)


def label_of_program(program: int, *, is_drum: bool = False) -> Label:
    """Return the label of a General-MIDI program, counted from 0, or of the drum channel."""
    wanted = DRUM_KIT if is_drum else program
    names = [i.name for i in INSTRUMENTS if wanted in i.programs]
    name = "drums" if is_drum else (names or [OTHER_PROGRAMS.get(program, "other")])[0]
    return Label(name, FAMILY_OF[name], "", f"program {program}")
