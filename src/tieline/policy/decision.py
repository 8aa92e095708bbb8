"""What a call decides: the words between the state machine and its drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tieline.endpoint import Endpoint
    from tieline.errors import TielineError
    from tieline.policy.breaker import BreakerState
    from tieline.policy.retry import Reason


class Seen:
    """What was seen of an endpoint, whatever its breaker makes of it.

    Attributes:
        answered: When it last answered us, in monotonic seconds; None if it never did.
    """

    __slots__ = ("answered",)

    def __init__(self) -> None:
        """Nothing yet."""
        self.answered: float | None = None


class Lane:
    """One endpoint of the target, with its breaker.

    Args:
        endpoint: None for a guarded function.
        breaker: None where the policy has none.
        seen: What was seen of it; nothing, unless it is given.
    """

    __slots__ = ("breaker", "endpoint", "seen")

    def __init__(
        self, endpoint: Endpoint | None, breaker: BreakerState | None, seen: Seen | None = None
    ) -> None:
        """Join the three."""
        self.endpoint = endpoint
        self.breaker = breaker
        self.seen = Seen() if seen is None else seen

    def _replace(self, *, breaker: BreakerState | None) -> Lane:
        """The same endpoint behind another breaker or none; what is seen of it is shared."""
        return Lane(self.endpoint, breaker, self.seen)


class Proceed(NamedTuple):
    """Make an attempt.

    Attributes:
        number: 1 for the first.
        endpoint: Where to.
        timeout: Seconds it may take; None for no limit.
        lane: Index of the lane it goes by.
    """

    number: int
    endpoint: Endpoint | None
    timeout: float | None
    lane: int


class Sleep(NamedTuple):
    """Wait, then report `Call.woke`."""

    seconds: float


class Raise(NamedTuple):
    """The call ends with an error.

    Attributes:
        error: Our own verdict, or None: the last failure itself.
        reason: Why it ends here.
        retry_after: Seconds after which trying again makes sense.
    """

    error: type[TielineError] | None
    reason: Reason
    retry_after: float | None = None


Decision = Proceed | Sleep | Raise


class Terms(NamedTuple):
    """What retry settings of the client's own, given by the caller, say of another attempt.

    Attributes:
        wait: Seconds to wait first, at least.
        stop: Whether they allow none.
    """

    wait: float = 0.0
    stop: bool = False


NO_TERMS: Final = Terms()
"""The caller gave none."""
