"""A point in time that bounds everything done before it."""

from __future__ import annotations


class Deadline:
    """An absolute time that dies with the block that made it.

    A context variable is copied into every thread and task started from a block and would
    outlive it there. This object does not: once its block is left it bounds nothing, so that
    what was started inside (a pool's worker, a keepalive) is not bound by a time long past.

    Args:
        at: Monotonic seconds; or a deadline from elsewhere, which bounds it while that one lives.
        seconds: What was asked for, for messages.
        outer: The deadline around this one, which bounds it while it lives.
    """

    __slots__ = ("_alive", "_at", "_outer", "seconds")

    def __init__(self, at: float | Deadline, seconds: float, outer: Deadline | None = None) -> None:
        """Begin to live."""
        self._at = at
        self._outer = outer
        self._alive = True
        self.seconds = seconds

    @property
    def at(self) -> float | None:
        """The time it stands for, the earliest of those that live; None when none does."""
        outer = self._outer.at if self._outer is not None else None
        if not self._alive:
            return outer
        return earliest(self._at.at if isinstance(self._at, Deadline) else self._at, outer)

    def end(self) -> None:
        """Bound nothing from now on."""
        self._alive = False


def earliest(*times: float | None) -> float | None:
    """The first of the times that are set."""
    known = [time for time in times if time is not None]
    return min(known) if known else None
