"""JSON that every reader accepts: RFC 8259 has no NaN and no infinity."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(value: Any) -> str:
    """Write a value as JSON; numbers that are not finite become null, strings are left alone."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
