"""Directions that stand out of a stereo field, over all of it or for a while.

Votes over time find them (`plugin_bridge.offline.votes`), and so does the level over all time,
which needs no votes. Peaks of one wide source are put together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from plugin_bridge.control.target import Target
from plugin_bridge.offline.stokes import AZIMUTH_DEG, STEP_DEG
from plugin_bridge.offline.votes import (
    TOLERANCE_DEG,
    Doubles,
    Flags,
    best_scores,
    near_votes_of,
    smooth,
    votes,
)

Stretches = tuple[tuple[float, float], ...]
"""Start and end of each, seconds."""

VOTE_S = 1.0
SHORTEST_S = 6.0  # of the stretches of time that are tried
LEAST_SCORE, SHORT_SCORE, SHORT = 5.0, 7.5, 30  # of few columns chance itself is little known
SURE_AT, SURE_SLOPE = 4.0, 1.5  # score at which half of what is found is there, and how it rises
APART_DEG = 3.0
WHOLE_FLOOR_DB, WHOLE_DIP = -12.0, 0.2  # of a maximum over all time, which needs no votes
MAX_PEAKS = 12
DENSITY_S, DENSITY, PAUSE_S, LEAST_S = 5.0, 0.2, 4.0, 2.0  # votes where a source is heard
WIDE_DEG, WIDE_DB, WIDE_FILLED, WIDE_ALIKE = 12.0, 6.0, 0.3, 0.6
"""Peaks are of one wide source that are so near, of a level so near, with a valley so filled
between them, and whose levels rise and fall together: correlation of their logarithms."""
WIDTHS_DEG = (25.0, 60.0)  # for `panorama` 25° is best for a point among others
LEAST_WIDTH_DEG = 6.0


@dataclass(frozen=True)
class Peak:
    """A direction that stands out.

    Parameters
    ----------
    target : its azimuth, the width to take it with, and where it is heard.
    spread_deg : the width that it fills, at half its height above what is around it.
    level_db : of its width against the whole field, where it is heard.
    sure : share of such peaks that are sources, 0 to 1, as judged on made scenes.
    """

    target: Target
    spread_deg: float
    level_db: float
    sure: float


def find_peaks(over_time: Doubles, duration_s: float) -> list[Peak]:
    """Return the directions of a field (columns, directions) that stand out, from left to right."""
    if not over_time.size or not over_time.any():
        return []
    grouped = _grouped(over_time, duration_s)
    column_s = duration_s / len(grouped)
    near_votes = near_votes_of(votes(smooth(grouped)))
    scores = best_scores(near_votes, round(SHORTEST_S / column_s))
    whole = smooth(grouped.sum(0))
    found = dict.fromkeys(_whole_maxima(whole), 0.0)
    least = SHORT_SCORE if len(grouped) < SHORT else LEAST_SCORE
    for index in _separate(scores):
        beside = [k for k in found if abs(k - index) <= APART_DEG / STEP_DEG]
        if beside or scores[index] >= least:  # what stands out over all time needs no least
            place = beside[0] if beside else index
            found[place] = max(found.get(place, 0.0), float(scores[index]))
    loudest = sorted(found, key=lambda k: (-found[k], -whole[k]))[:MAX_PEAKS]
    heard = {k: _heard(near_votes[:, k], column_s) for k in sorted(loudest)}
    return [
        _peak(grouped, group, heard, max(found[k] for k in group), column_s)
        for group in _wide(grouped, heard)
    ]


def whole_peaks(level: Doubles) -> list[float]:
    """Return the azimuths of the maxima of a level (directions,) over all time."""
    return [float(AZIMUTH_DEG[k]) for k in _whole_maxima(smooth(level))] if level.any() else []


def _grouped(over_time: Doubles, duration_s: float) -> Doubles:
    """Sum columns to about `VOTE_S` each."""
    size = max(1, round(VOTE_S * len(over_time) / max(duration_s, 1e-9)))
    starts = np.arange(0, len(over_time), size)
    return np.asarray(np.add.reduceat(over_time, starts, axis=0))


def _separate(scores: Doubles) -> list[int]:
    """Return the maxima of the scores that are highest for `APART_DEG` around."""
    reach = round(APART_DEG / STEP_DEG)
    around = sliding_window_view(np.pad(scores, reach), 2 * reach + 1).max(-1)
    found: list[list[int]] = []
    for index in np.flatnonzero((scores >= around) & (scores > 0)).tolist():
        if found and index - found[-1][-1] <= reach:
            found[-1].append(index)  # of a plateau
        else:
            found.append([index])
    return [plateau[len(plateau) // 2] for plateau in found]


def _whole_maxima(field: Doubles) -> list[int]:
    """Return the maxima over all time above a floor from which the field dips on both sides."""
    edged = np.concatenate([[-1.0], field, [-1.0]])
    candidates = np.flatnonzero((edged[1:-1] >= edged[:-2]) & (edged[1:-1] > edged[2:]))
    floor = field.max() * 10 ** (WHOLE_FLOOR_DB / 10)
    return [
        int(k)
        for k in candidates
        if field[k] > max(floor, 0) and _base(field, int(k)) <= (1 - WHOLE_DIP) * field[k]
    ]


def _base(field: Doubles, peak: int) -> float:
    """Return the higher of the lowest points between a peak and higher levels on either side."""
    lowest = []
    for side in (field[:peak][::-1], field[peak + 1 :]):
        higher = np.flatnonzero(side > field[peak])
        if higher.size:
            lowest.append(float(side[: higher[0]].min(initial=field[peak])))
        elif side.size:
            lowest.append(0.0)
    return max(lowest, default=0.0)


def _heard(column_votes: Flags, column_s: float) -> Flags:
    """Return the columns in which a source is heard: where its votes are dense, pauses closed."""
    size = min(max(1, round(DENSITY_S / column_s)), len(column_votes))
    dense = np.convolve(column_votes, np.ones(size) / size, "same") >= DENSITY
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dense, [False]]))).reshape(-1, 2)
    heard = np.zeros(len(column_votes), np.bool_)
    end_before = -np.inf
    for start, end in edges.tolist():
        if (start - end_before) * column_s < PAUSE_S:
            heard[int(end_before) : start] = True
        heard[start:end] |= (end - start) * column_s >= LEAST_S
        end_before = end
    return heard if heard.any() else np.ones(len(column_votes), np.bool_)


def _wide(grouped: Doubles, heard: dict[int, Flags]) -> list[list[int]]:
    """Return peaks in groups: those of one wide source together."""
    groups: list[list[int]] = []
    for index in heard:
        if groups and _one_source(grouped, groups[-1][-1], index, heard):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _one_source(grouped: Doubles, left: int, right: int, heard: dict[int, Flags]) -> bool:
    """Return whether two peaks are of one wide source; see `WIDE_DEG`."""
    both, any_ = heard[left] & heard[right], heard[left] | heard[right]
    shared = both.sum() >= 0.5 * min(heard[left].sum(), heard[right].sum())
    if right - left > WIDE_DEG / STEP_DEG or not shared or any_.sum() < 3:
        return False
    field = smooth(grouped[both].sum(0))
    lower, higher = sorted((field[left], field[right]))
    filled = field[left : right + 1].min() >= WIDE_FILLED * lower
    if not filled or higher > lower * 10 ** (WIDE_DB / 10):
        return False
    levels = smooth(grouped[any_])[:, [left, right]]
    logarithms = np.log(levels + 1e-9 * grouped.max())
    if not logarithms.std(axis=0).all():
        return True
    return bool(np.corrcoef(logarithms.T)[0, 1] >= WIDE_ALIKE)


def _peak(
    grouped: Doubles, group: list[int], heard: dict[int, Flags], score: float, column_s: float
) -> Peak:
    """Return what is known of the peaks of one source, from the columns in which it is heard."""
    when = np.any([heard[k] for k in group], axis=0)
    field = smooth(grouped[when].sum(0))
    tops = [_climbed(field, k) for k in group]
    index = round(float(np.average(tops, weights=field[tops])))
    fill_deg = [_spread_deg(field, top) for top in tops]
    spread_deg = (tops[-1] - tops[0]) * STEP_DEG + sum(fill_deg) / len(fill_deg)
    others = [abs(k - index) for k in heard if k not in group]
    spacing_deg = min(others, default=AZIMUTH_DEG.size) * STEP_DEG
    low, high = WIDTHS_DEG
    opening_deg = max(low, 2 * max(fill_deg), spread_deg + LEAST_WIDTH_DEG)
    width_deg = max(min(opening_deg, high, spacing_deg), LEAST_WIDTH_DEG)
    reach = round(width_deg / 2 / STEP_DEG)
    share = field[max(0, index - reach) : index + reach + 1].sum() / max(field.sum(), 1e-30)
    azimuth_deg = float(AZIMUTH_DEG[index])
    stretches_s = _stretches(when, column_s)
    target = Target(_name(azimuth_deg), azimuth_deg, round(width_deg, 1), stretches_s=stretches_s)
    sure = 1 / (1 + (SURE_AT / max(score, 1.0)) ** SURE_SLOPE)
    level_db = 10 * float(np.log10(max(share, 1e-9)))
    return Peak(target, round(spread_deg, 1), round(level_db, 1), round(sure, 2))


def _climbed(field: Doubles, index: int) -> int:
    """Return the highest direction within the tolerance of a vote."""
    reach = round(TOLERANCE_DEG / STEP_DEG)
    start = max(0, index - reach)
    return start + int(np.argmax(field[start : index + reach + 1]))


def _spread_deg(field: Doubles, index: int) -> float:
    """Return the width of a peak at half its height above its base."""
    base = _base(field, index)
    above = field >= base + (field[index] - base) / 2
    left = index - np.argmin(np.append(above[: index + 1][::-1], False)) + 1
    right = index + np.argmin(np.append(above[index:], False)) - 1
    return float((right - left + 1) * STEP_DEG)


def _stretches(heard: Flags, column_s: float) -> Stretches:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]]))).reshape(-1, 2)
    stretches_s = [(round(a * column_s, 2), round(b * column_s, 2)) for a, b in edges.tolist()]
    return tuple((start_s, end_s) for start_s, end_s in stretches_s if start_s < end_s)


def _name(azimuth_deg: float) -> str:
    if abs(azimuth_deg) < 2:
        return "centre"
    return f"{'left' if azimuth_deg < 0 else 'right'}-{abs(azimuth_deg):g}"
