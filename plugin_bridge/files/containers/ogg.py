"""Ogg files (RFC 3533): links of a chain one behind the other, and FLAC in Ogg (RFC 9639, 10.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from plugin_bridge.files.containers import flac
from plugin_bridge.files.containers.byte_view import ByteView, Piece, Segment

_MAGIC = b"OggS"
_HEADER = 27
_FIRST, _LAST = 2, 4  # flags of the type of a page: begins, ends a logical stream
_FLAC_PREFIX = 9  # bytes before "fLaC" in the first packet of FLAC in Ogg


@dataclass(frozen=True)
class _Page:
    start: int
    body: int
    end: int
    flags: int
    granule: int
    serial: int


@dataclass
class _Link:
    """A link of a chain: its pages, and whether the last of them is cut."""

    pages: list[_Page] = field(default_factory=list)
    is_cut: bool = False


def segments(view: ByteView) -> list[Segment]:
    """Return the links of an Ogg file; none if it is not Ogg."""
    if view.at(0, 4) != _MAGIC:
        return []
    links = _links(view)
    return [_segment(view, link, is_last=link is links[-1]) for link in links]


def _links(view: ByteView) -> list[_Link]:
    """Return the links: one begins where a first page follows one that is not."""
    links: list[_Link] = [_Link()]
    for page in _pages(view):
        pages = links[-1].pages
        if page.flags & _FIRST and pages and not pages[-1].flags & _FIRST:
            links.append(_Link())
        if page.end > view.size:
            links[-1].is_cut = True
        else:
            links[-1].pages.append(page)
    return [link for link in links if link.pages]


def _pages(view: ByteView) -> Iterator[_Page]:
    """Yield the pages; what is between them is passed over."""
    position = 0
    while position < view.size:
        head = view.at(position, _HEADER + 255)
        if head[:4] != _MAGIC:
            position = view.find(_MAGIC, position + 1)
            if position < 0:
                return
            continue
        body = position + _HEADER + (head[26] if len(head) >= _HEADER else 255)
        sizes = head[_HEADER : body - position]
        end = body + sum(sizes) if len(sizes) == body - position - _HEADER else view.size + 1
        granule = int.from_bytes(head[6:14], "little", signed=True)
        serial = int.from_bytes(head[14:18], "little")
        yield _Page(position, body, end, head[5] if len(head) > 5 else 0, granule, serial)
        position = end


def _segment(view: ByteView, link: _Link, *, is_last: bool) -> Segment:
    missing = ""
    if link.is_cut:
        missing = "its last page is cut"
    elif is_last and not link.pages[-1].flags & _LAST:
        missing = "its last page is missing"
    for page in link.pages:
        if not page.flags & _FIRST:
            break
        if view.at(page.body, 5) == b"\x7fFLAC":
            return _flac(view, link, page.serial, missing)
    whole: list[Piece] = view.part(link.pages[0].start, link.pages[-1].end)
    return Segment(view.view(whole), missing)


def _flac(view: ByteView, link: _Link, serial: int, missing: str) -> Segment:
    """Return a FLAC file of the packets in the pages of one stream."""
    pieces: list[Piece] = []
    total, skipped = 0, _FLAC_PREFIX
    for page in link.pages:
        if page.serial == serial:
            pieces += view.part(page.body + skipped, page.end)
            total, skipped = max(total, page.granule), 0
    found = flac.segment(view.view(pieces), total)
    return Segment(found.view, missing or found.missing, found.n_samples)
