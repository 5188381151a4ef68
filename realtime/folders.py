"""Where the user's own models and timbres are."""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "STEMSTEER_DATA"


def data_folder() -> Path:
    """Return the user's folder of timbres and models: STEMSTEER_DATA, or XDG's; not made."""
    given = os.environ.get(DATA_VARIABLE)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(given) if given else data / "stemsteer"


def user_models_folder() -> Path:
    """Return the folder of the models that the user has added; not made."""
    return data_folder() / "models"
