"""What can be asked of an instance beside the values of its controls; a table, as of the controls.

OSC, OSCQuery and the protocol page derive from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_EXAMPLES = 16
LEARN_S = 2.0
"""How long the plugin's switch listens."""


@dataclass(frozen=True)
class Action:
    """One row of what can be asked of an instance beside the values of its controls.

    Parameters
    ----------
    is_text : whether its arguments are texts; else it takes one number from `low` to `high`, or 0,
        by which it ends.
    """

    name: str
    is_text: bool
    help: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0

    def check(self, arguments: Sequence[object]) -> tuple[str, ...] | tuple[float, ...]:
        """Return the arguments as they are meant. Raises ValueError if they are none of it."""
        if self.is_text:
            texts = tuple(word for word in arguments if isinstance(word, str))
            if len(texts) == len(arguments) and 0 < len(texts) <= MAX_EXAMPLES:
                return texts
            raise ValueError(
                f"{self.name} has {list(arguments)!r}, expected 1 to {MAX_EXAMPLES} texts"
            )
        number = arguments[0] if len(arguments) == 1 else None
        if isinstance(number, (int, float)) and (self.low <= number <= self.high or number == 0):
            return (float(number),)
        raise ValueError(
            f"{self.name} has {list(arguments)!r}, expected a number, {self.low:g} to "
            f"{self.high:g} {self.unit}, or 0"
        )


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "like", True,
            "examples of the sound: FILE, FILE@START-END in seconds, or a name of the timbre "
            "library; an empty text: none",
        ),
        Action("unlike", True, "examples of what it is not; an empty text: none"),
        Action(
            "learn", False, "listen to the sound for so long, then go by its timbre", "s", 0.25, 10
        ),
    )
}  # fmt: skip
"""What can be asked of an instance beside the values of its controls, by name."""
