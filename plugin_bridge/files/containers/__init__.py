"""What is inside an audio file: tags, joined files, and headers that do not tell the length.

Programs that write into a pipe cannot go back and fill in the length, so they leave a number that
stands for *unknown*; recorders that lose power leave 0; streams are recorded from somewhere to
somewhere; and files are joined by ``cat``. `find_segments` finds the sound in all of them, and
gives every stretch of it a header that tells the truth, which is then what a decoder is shown.
"""

from __future__ import annotations

from typing import BinaryIO

from plugin_bridge.files.containers import aiff, au, caf, flac, mpeg, ogg, riff
from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.tags import without_tags

_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"fLaC", b"OggS", b".snd", b"dns.", b"riff")

__all__ = ["ByteView", "Segment", "find_segments"]


def find_segments(file: BinaryIO, size: int) -> list[Segment]:
    """Return the segments of a file of `size` bytes; what is in no known format is one of them."""
    whole = ByteView(file, [(0, size)])
    view = without_tags(whole)
    for segments_of in (
        riff.segments,
        aiff.segments,
        au.segments,
        caf.segments,
        flac.segments,
        ogg.segments,
        mpeg.segments,
    ):
        if found := segments_of(view):
            return found
    return [Segment(whole, is_foreign=not view.at(0, 4).startswith(_MAGIC))]
