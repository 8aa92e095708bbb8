"""The health gate: whether what others say of a target holds a new connection back.

It can only help. Silence, doubt and stale news hold nothing back, and our own evidence beats
everybody's: an endpoint that answered us after the verdict turned is not refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a health source thinks of a target."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    """No news, no fresh news, or no access to it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a health source last said.

    It is as fresh as its source is: one that has had no news for too long says `UNKNOWN`.

    Attributes:
        verdict: The sum of it.
        since: When the verdict turned to this, in monotonic seconds.
        passing: Instances that are healthy.
        registered: Instances that are known.
    """

    verdict: Verdict
    since: float
    passing: int = 0
    registered: int = 0

    @property
    def fraction(self) -> float:
        """How much of the target is healthy, in [0, 1]; 1 where that is not known."""
        if self.verdict is Verdict.UNKNOWN or not self.registered:
            return 1.0
        return min(1.0, self.passing / self.registered)


def admits(snapshot: Snapshot | None, answered: float | None) -> bool:
    """Whether a new connection may be tried.

    Args:
        snapshot: The last news; None without a health source.
        answered: When the endpoint last answered us, in monotonic seconds; None if never.
    """
    if snapshot is None or snapshot.verdict is not Verdict.DOWN:
        return True
    return answered is not None and answered >= snapshot.since


def allows_retry(snapshot: Snapshot | None) -> bool:
    """Whether a failed attempt may be repeated: not against a target that is known to be down.

    This holds for an endpoint that answers, too: its first attempts are all that it gets until
    the others agree. In a model of 100,000 slow callers nothing else ended a storm of retries.

    Args:
        snapshot: The last news; None without a health source.
    """
    return snapshot is None or snapshot.verdict is not Verdict.DOWN
