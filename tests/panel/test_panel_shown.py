"""What of all that is shown has changed."""

from __future__ import annotations

from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.panel.shown import changes, shown


def test_changes_are_what_differs_and_tell_what_has_gone():
    before = {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}
    assert changes(before, {"a": {"x": 1, "y": 5}, "b": [1], "c": 3}) == {"a": {"y": 5}}
    assert changes(before, before) == {}
    assert changes({}, before) == before
    assert changes(before, {"a": {}, "b": []}) == {"a": {"x": None, "y": None}, "b": [], "c": None}


def test_a_track_that_joins_takes_nothing_else_from_what_is_shown():
    surface = MemorySurface(["guitar"])
    before = {**shown(surface), "answers": {"guitar": "like: solo"}}
    surface.instances = ("guitar", "bass")
    news = changes(before, shown(surface, before))
    assert news["instances"] == ["guitar", "bass"]
    assert set(news) == {"instances", "values", "meters", "facts", "timbres"}
    assert all(list(news[part]) == ["bass"] for part in set(news) - {"instances"})
