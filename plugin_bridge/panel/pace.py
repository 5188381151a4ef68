"""When the panel looks at its surface: by the clock that it is given, without a wait."""

from __future__ import annotations

PICTURES_HZ, STILL_HZ = 30.0, 10.0
"""Looks at the surface while something sounds or moves, and after a second in which nothing did."""
ANSWER_S, EARLY_S = 0.02, 0.5 / PICTURES_HZ
"""What comes from another process may be so much late, then what is known is told; or early."""


class Pace:
    """The times of the looks at a surface. All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._next_s, self._is_remote, self._n_still = 0.0, False, 0

    @property
    def period_s(self) -> float:
        """Return the time from one look to the next."""
        return 1 / (PICTURES_HZ if self._n_still < PICTURES_HZ else STILL_HZ)

    def due_in_s(self, now_s: float) -> float:
        """Return the time until the next look, negative if it is over."""
        return self._next_s + (ANSWER_S if self._is_remote else 0.0) - now_s

    def is_due(self, now_s: float) -> bool:
        """Return whether the surface may be asked to refresh."""
        return now_s >= self._next_s - EARLY_S

    def looks(self, is_fresh: bool, now_s: float) -> bool:
        """Return whether to look now, and if so set the time of the next look.

        What is late is left out; another process has a pace of its own.

        Parameters
        ----------
        is_fresh : whether the surface has all that was asked for, which one in this process has
            at once; else another process is waited for, up to `ANSWER_S`.
        """
        if not is_fresh:
            self._is_remote = True
            if now_s < self._next_s + ANSWER_S:
                return False
        period_s = self.period_s
        self._next_s = now_s + period_s if self._is_remote else max(self._next_s + period_s, now_s)
        return True

    def saw(self, is_news: bool) -> None:
        """Count looks at which nothing had changed; begin anew where something has."""
        self._n_still = 0 if is_news else self._n_still + 1
