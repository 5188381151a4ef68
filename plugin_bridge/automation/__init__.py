"""Controls over time: lanes from files or from moves, and what they tell the separator.

In reading order: `lane` (a curve), `automation` (all lanes), `conditions` (what they tell the
separator), `live_lanes` (lanes that are moved while the sound runs), `move_recorder`, `formats`
(the files lanes come from).
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
