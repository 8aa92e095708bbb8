"""What tieline tells listeners: one frozen record an event.

Events carry names, numbers and classified failures, never arguments, statements or headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tieline.endpoint import Endpoint
    from tieline.failure import Failure


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events.

    Attributes:
        target: Name of the target.
        endpoint: The endpoint it is about; None for a guarded function.
    """

    target: str
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """An attempt failed, whatever follows.

    Attributes:
        number: 1 for the first attempt.
        failure: How it failed.
        elapsed: Seconds it took.
    """

    number: int
    failure: Failure
    elapsed: float


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Another attempt will follow.

    Attributes:
        number: Number of the attempt that failed.
        max_attempts: How many there may be; None without a limit.
        delay: Seconds until the next one.
        failure: What it is repeated for.
    """

    number: int
    max_attempts: int | None
    delay: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class CallRecovered(Event):
    """A call succeeded after failed attempts.

    Attributes:
        number: Number of the attempt that succeeded.
        elapsed: Seconds from the start of the call.
    """

    number: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class CallFailed(Event):
    """A call ends with an error.

    Attributes:
        number: How many attempts it made; 0 when it was declined.
        elapsed: Seconds from the start of the call.
        failure: The last failure; None when no attempt was made.
        reason: Why it is not tried again, or not at all.
    """

    number: int
    elapsed: float
    failure: Failure | None
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerOpened(Event):
    """A circuit breaker opened, or opened again after a failed probe.

    Attributes:
        failures: Consecutive failures that led to it.
        open_for: Seconds until a probe is let through.
    """

    failures: int
    open_for: float


@dataclass(frozen=True, slots=True)
class BreakerProbing(Event):
    """An open breaker lets one call through to find out."""


@dataclass(frozen=True, slots=True)
class BreakerClosed(Event):
    """The probe succeeded; calls flow again.

    Attributes:
        open_for: Seconds since the breaker first opened.
    """

    open_for: float


class Listener(Protocol):
    """Receives every event, on the thread where it happens and with no lock held."""

    def on_event(self, event: Event, /) -> None:
        """Take one event. An exception here is logged and never reaches the call."""
