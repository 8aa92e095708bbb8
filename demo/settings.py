"""How the app on tieline is set up, and what follows from it."""

from __future__ import annotations

from typing import Final

from tieline import Backoff, CircuitBreaker, Policy, Retry

_MARGIN: Final = 0.7
"""Seconds that a busy machine may add before the first answer."""


def policy(rate: float) -> Policy:
    """Settings for an app that would rather wait two seconds than fail.

    A breaker counts the failed attempts of all calls together, so how long it takes to open
    depends on the rate. Each waiting call tries about twice a second: five failures for each call
    that comes in a second are reached after some two seconds, by when a restart is over.

    Args:
        rate: Calls per second.
    """
    return Policy(
        call_timeout=5.0,
        attempt_timeout=2.0,
        retry=Retry(max_attempts=None),
        backoff=Backoff(initial=0.5, max=1.0),
        breaker=CircuitBreaker(failures=round(5 * rate), open_for=0.5, open_max=1.0),
    )


def back_within(rate: float) -> float:
    """Seconds from "the server accepts again" in which the first answer is owed.

    The breaker may just have opened for its longest time, and then the next call has to come.

    Args:
        rate: Calls per second.
    """
    breaker = policy(rate).breaker
    assert breaker is not None
    return breaker.open_max * (1 + breaker.jitter) + 1 / rate + _MARGIN
