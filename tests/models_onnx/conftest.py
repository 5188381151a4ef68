"""What all tests of the training and export of models share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute on one thread: other tests run beside."""
    torch.set_num_threads(1)
