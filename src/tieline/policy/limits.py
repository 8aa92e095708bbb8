"""The time that one call has: for itself, for its attempts, for its probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.policy.deadline import earliest

if TYPE_CHECKING:
    from tieline.policy.policy import Policy

USEFUL_SLICE = 0.05
"""Seconds that must be left after a wait, or the attempt behind it would be cut at once."""

TIMER_SLACK = 0.005
"""Seconds by which a client's timer may go off early: some count in whole milliseconds."""

LEASE_MARGIN = 1.0
"""Seconds beyond its timeout after which a probe counts as lost."""

DEFAULT_LEASE = 60.0
"""Seconds a probe may take when its attempt has no timeout."""


class Limits:
    """What the policy and a deadline from outside leave to a call.

    Args:
        policy: The settings.
        started: When the call began.
        deadline: A time from outside; None without one.

    Attributes:
        deadline: When the call has to end; None for no limit.
    """

    __slots__ = ("_attempt", "_full", "deadline")

    def __init__(self, policy: Policy, started: float, deadline: float | None) -> None:
        """Take the earlier of both."""
        total = policy.call_timeout
        self.deadline = earliest(deadline, None if total is None else started + total)
        self._attempt = policy.attempt_timeout
        self._full = earliest(policy.attempt_timeout, total)

    def over(self, now: float, slack: float = 0.0) -> bool:
        """Whether the call has to end, or would in so many seconds."""
        return self.deadline is not None and now + slack >= self.deadline

    def leave_time(self, now: float) -> bool:
        """Whether an attempt that begins then is worth making."""
        return self.deadline is None or now + USEFUL_SLICE <= self.deadline

    def for_attempt(self, now: float) -> float | None:
        """Seconds that an attempt may take that begins now; None for no limit."""
        left = None if self.deadline is None else max(0.0, self.deadline - now)
        return earliest(self._attempt, left)

    def for_probe(self, now: float) -> float:
        """Seconds after which a probe that begins now counts as lost: always more than it has."""
        allowed = self.for_attempt(now)
        return DEFAULT_LEASE if allowed is None else allowed + LEASE_MARGIN

    def hurried(self, allowed: float | None) -> bool:
        """Whether an attempt had so little time that its silence says nothing of the server.

        Args:
            allowed: Seconds that it had; None for no limit.
        """
        return self._full is None or allowed is None or allowed < self._full / 2
