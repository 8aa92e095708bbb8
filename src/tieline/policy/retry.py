"""Whether to try again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tieline.failure import Safety
from tieline.policy.checks import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.failure import Failure


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try.

    Attributes:
        max_attempts: Attempts of one call, the first included; None for no limit but time.
    """

    max_attempts: int | None = 3

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number(
            "retry.max_attempts", self.max_attempts, least=1, whole=True, optional=True
        )


class Reason(StrEnum):
    """Why a call ends here, in words for people."""

    HOPELESS = "not repeated: waiting does not help"
    SENT = "not repeated: the request may have been applied"
    CALLER = "the caller's own retry settings allow no more"
    ATTEMPTS = "no attempts left"
    DEADLINE = "no time left for another attempt"
    BREAKER = "the circuit breaker is open"
    UNHEALTHY = "the target is reported to be down"
    BUDGET = "the retry budget is used up"
    OUTER = "left to the surrounding guard"


def repeatable(failure: Failure, *, sent: bool, idempotent: bool) -> Reason | None:
    """Why this failure forbids another attempt; None if it does not.

    Args:
        failure: The last failure.
        sent: Whether any attempt of the call so far may have sent something.
        idempotent: Whether the caller said that repeating does no harm.
    """
    if failure.safety is Safety.NEVER:
        return Reason.SENT if failure.maybe_applied else Reason.HOPELESS
    if idempotent:
        return None
    if sent or failure.safety is not Safety.ALWAYS:
        return Reason.SENT
    return None
