"""When the panel looks at its surface, by numbers."""

from __future__ import annotations

import pytest

from plugin_bridge.panel.pace import ANSWER_S, EARLY_S, PICTURES_HZ, STILL_HZ, Pace

STEP_S = 0.001


def looks(pace: Pace, from_s: float, seconds: float, is_news: bool) -> list[float]:
    """Return when it looks, asked every millisecond whether it is due, the clock from `from_s`."""
    found = []
    for k in range(round(seconds / STEP_S)):
        now_s = from_s + k * STEP_S
        if pace.due_in_s(now_s) <= 0 and pace.is_due(now_s) and pace.looks(True, now_s):
            pace.saw(is_news)
            found.append(now_s)
    return found


def test_what_moves_is_looked_at_thirty_times_a_second() -> None:
    assert len(looks(Pace(), 100, 2, is_news=True)) == pytest.approx(2 * PICTURES_HZ, abs=1)


def test_what_stands_still_for_a_second_is_looked_at_less_often_until_it_moves() -> None:
    pace = Pace()
    assert len(looks(pace, 100, 1, is_news=False)) == pytest.approx(PICTURES_HZ, abs=1)
    assert len(looks(pace, 102, 2, is_news=False)) == pytest.approx(2 * STILL_HZ, abs=1)
    pace.saw(is_news=True)
    assert len(looks(pace, 105, 0.5, is_news=False)) == pytest.approx(PICTURES_HZ / 2, abs=1)


def test_looks_that_were_missed_are_left_out() -> None:
    pace = Pace()
    looks(pace, 100, 1, is_news=True)
    found = looks(pace, 200, 0.5, is_news=True)
    assert len(found) <= 0.5 * PICTURES_HZ + 2, "and not made up for"


def test_another_process_is_waited_for_a_little_and_keeps_its_own_pace() -> None:
    pace = Pace()
    assert pace.looks(True, 100.0)
    next_s = 100.0 + pace.due_in_s(100.0)
    assert pace.is_due(next_s - 0.9 * EARLY_S)
    assert not pace.is_due(next_s - 1.1 * EARLY_S)
    assert not pace.looks(False, next_s), "it may still answer"
    assert pace.looks(False, next_s + 1.01 * ANSWER_S), "what is known is told"
    assert pace.due_in_s(next_s + 1.01 * ANSWER_S) == pytest.approx(1 / PICTURES_HZ + ANSWER_S)
