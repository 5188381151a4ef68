"""Controls over time: lanes from files, and what they make of the separator.

In reading order: `lane` (a curve), `automation` (all lanes), `steering` (what they tell the
separator), `files` with `tempo`, `rpp` and `midi` (where they come from).
"""

from plugin_bridge.automation.automation import ALL, Automation
from plugin_bridge.automation.conditions import LaneConditions, conditions_of
from plugin_bridge.automation.formats.text import read_automation, write_automation
from plugin_bridge.automation.lane import Lane, Point

__all__ = [
    "ALL",
    "Automation",
    "Lane",
    "LaneConditions",
    "Point",
    "conditions_of",
    "read_automation",
    "write_automation",
]
