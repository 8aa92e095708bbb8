"""The last seconds of a target: how many calls ended, and how many of them failed."""

from __future__ import annotations

import math
from array import array

BUCKETS = 10
"""Parts of a window. What happened is forgotten a part at a time, up to a tenth too early."""


class Window:
    """Calls and failures of the last so many seconds.

    Successes may also be counted elsewhere, by whoever has neither the time nor a lock, in a
    number that only grows. They are taken in when something is recorded, and then spread evenly
    over the time since they last were: ten minutes of success do not count as one moment.

    Args:
        seconds: Its length.
    """

    __slots__ = ("_calls", "_failures", "_newest", "_seen", "_since", "_width")

    def __init__(self, seconds: float) -> None:
        """Start empty."""
        self._width = seconds / BUCKETS
        self.clear()

    def clear(self, since: float | None = None, *, elsewhere: int = 0) -> None:
        """Forget everything.

        Args:
            since: The time; None where it is not known, and then successes that are counted
                elsewhere are at most one window old.
            elsewhere: Successes counted elsewhere that are none of ours.
        """
        self._calls = array("q", bytes(8 * BUCKETS))
        self._failures = array("q", bytes(8 * BUCKETS))
        self._newest: int | None = None
        self._since = since
        self._seen = elsewhere

    def record(self, now: float, *, failed: bool, elsewhere: int = 0) -> None:
        """Count one call.

        Args:
            now: When it ended.
            failed: Whether it failed.
            elsewhere: All successes ever counted elsewhere.
        """
        newest = self._advance(now)
        self._take_in(elsewhere, newest, now)
        self._calls[newest % BUCKETS] += 1
        self._failures[newest % BUCKETS] += failed

    def totals(self, now: float) -> tuple[int, int]:
        """Calls, and how many of them failed."""
        self._advance(now)
        return sum(self._calls), sum(self._failures)

    def _advance(self, now: float) -> int:
        """The bucket of that time; those that are too old for it begin anew."""
        bucket = math.floor(now / self._width)
        newest = bucket if self._newest is None else self._newest
        for stale in range(max(newest, bucket - BUCKETS) + 1, bucket + 1):
            self._calls[stale % BUCKETS] = self._failures[stale % BUCKETS] = 0
        self._newest = max(newest, bucket)
        return self._newest

    def _take_in(self, elsewhere: int, newest: int, now: float) -> None:
        since = now - BUCKETS * self._width if self._since is None else self._since
        fresh = elsewhere - self._seen
        self._since, self._seen = now, elsewhere
        # Counted without a lock: the number may even fall, when two threads write at once.
        if fresh <= 0:
            return

        def until(time: float) -> int:
            """How many of them had come by then."""
            if time >= now:
                return fresh
            return 0 if time <= since else int(fresh * ((time - since) / (now - since)))

        for bucket in range(newest - BUCKETS + 1, newest + 1):
            begin, end = bucket * self._width, (bucket + 1) * self._width
            self._calls[bucket % BUCKETS] += until(end) - until(begin)
