"""What all tests of the training and export of models share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.timbre_songs import export_tiny, write_songs


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute on one thread: other tests run beside."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs for tests by timbre."""
    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small model that takes timbres."""
    return export_tiny(tmp_path_factory.mktemp("run"))
