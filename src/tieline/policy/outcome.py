"""What each kind of failure means to the breaker, the budget and the backoff: the outcome table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from tieline.failure import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mark(Enum):
    """What a circuit breaker counts."""

    FAILURE = "failure"
    SUCCESS = "success"
    """The server is alive, whatever it answered."""
    NEUTRAL = "neutral"
    """Says nothing about the server."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Consequences of one failed attempt.

    Attributes:
        breaker: What the breaker counts.
        cost: Tokens drawn from the retry budget; 0 for what never loads a server.
        base: Least seconds before the next attempt, and first bound of the backoff.
        once: Repeated at once, but only once in a call.
        elsewhere: Whether another endpoint of the same target is worth a try.
    """

    breaker: Mark
    cost: float
    base: float = 0.0
    once: bool = False
    elsewhere: bool = True


_DOWN = Effect(Mark.FAILURE, cost=0.0)
_STRAINED = Effect(Mark.FAILURE, cost=1.0)
_HOPELESS = Effect(Mark.NEUTRAL, cost=0.0)

EFFECTS: Final[Mapping[Kind, Effect]] = {
    Kind.REFUSED: _DOWN,
    Kind.UNREACHABLE: _DOWN,
    Kind.RESOLVER: _DOWN,
    Kind.TIMEOUT: _STRAINED,
    Kind.EOF: _STRAINED,
    Kind.RESET: _STRAINED,
    Kind.SHUTDOWN: _STRAINED,
    Kind.NOT_READY: Effect(Mark.FAILURE, cost=1.0, base=0.5),
    Kind.SERVER_ERROR: _STRAINED,
    # A wrong port or a proxy in between answers like this for as long as it is misconfigured.
    Kind.PROTOCOL: _STRAINED,
    Kind.UNKNOWN: _STRAINED,
    Kind.NO_NAME: _HOPELESS,
    Kind.CERTIFICATE: _HOPELESS,
    Kind.TLS: _HOPELESS,
    # One wrong password offered to every host looks like an attack, and locks accounts.
    Kind.DENIED: Effect(Mark.NEUTRAL, cost=0.0, elsewhere=False),
    Kind.NO_TARGET: _HOPELESS,
    Kind.SETTINGS: _HOPELESS,
    # A healthy server in another role, and a dead connection in our own pool, say nothing of it.
    Kind.WRONG_ROLE: Effect(Mark.NEUTRAL, cost=0.0),
    Kind.STALE: Effect(Mark.NEUTRAL, cost=0.0, once=True),
    Kind.LOCAL: Effect(Mark.NEUTRAL, cost=0.0),
    # Busy is no failure (else breakers would shed for it what the server sheds already), and no
    # success either (else a probe would close the breaker on it).
    Kind.BUSY: Effect(Mark.NEUTRAL, cost=1.0, base=1.0),
    Kind.REQUEST_TIMEOUT: Effect(Mark.NEUTRAL, cost=1.0),
    Kind.UNSUPPORTED: Effect(Mark.NEUTRAL, cost=1.0),
    Kind.CONFLICT: Effect(Mark.SUCCESS, cost=1.0),
    Kind.ANSWERED: Effect(Mark.SUCCESS, cost=0.0),
}
