"""A file that is written beside the stems, or instead of them: a report, a picture, a recording."""

from __future__ import annotations

from pathlib import Path


def check_output_file(path: Path, source: Path, force: bool, *, made: Path | None = None) -> None:
    """Raise StemsteerError if a file cannot be put at `path`, before what it tells is worked out.

    Parameters
    ----------
    source : the input, which is never written over.
    force : whether a file that is there may be replaced.
    made : a folder that will be there by then, with those above it.
    """
    from plugin_bridge.claim import Claim
    from plugin_bridge.files.stem_files import check_writable
    from realtime.errors import StemsteerError

    check_writable(path, source, force)
    coming = () if made is None else (made.resolve(), *made.resolve().parents)
    if path.parent.is_dir():
        Claim(path).release()  # which nobody gets in a folder of others
    elif path.parent.resolve() not in coming:
        raise StemsteerError(
            f"{path} cannot be written, since there is no folder {path.parent}; make it, or choose "
            "another place"
        )
