"""Dask without its log: what it says of lost workers and connections is said by us, or mended."""

from __future__ import annotations

import logging


def silence() -> None:
    """Let Dask log nothing in this process."""
    for name in ("distributed", "distributed.client"):  # the latter has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
