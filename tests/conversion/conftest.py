"""What the tests of models that a user adds share."""

import pytest


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A data folder of one's own; gives the folder of models."""
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "models"
