"""All settings of one target in one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from tieline.errors import ConfigError
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import CircuitBreaker
from tieline.policy.budget import BUDGETS, Budget
from tieline.policy.checks import advice, either, number
from tieline.policy.reconnect import Reconnect
from tieline.policy.retry import Retry
from tieline.policy.units import Seconds  # noqa: TC001 - config asks for it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PARTS: Final[
    Mapping[str, tuple[type[Retry | Backoff | CircuitBreaker | Budget | Reconnect], bool]]
] = {
    "retry": (Retry, False),
    "backoff": (Backoff, False),
    "breaker": (CircuitBreaker, True),
    "budget": (Budget, True),
    "reconnect": (Reconnect, False),
}
"""Setting -> its class, and whether None will do."""

NAMED: Final[Mapping[str, Mapping[str, Budget]]] = {"budget": BUDGETS}
"""Setting -> what may be given by name."""

ORDERED: Final = (
    ("attempt_timeout", "call_timeout"),
    ("backoff.initial", "backoff.max"),
    ("backoff.initial", "call_timeout"),
    ("breaker.open_for", "breaker.open_max"),
    ("reconnect.initial", "reconnect.max"),
)
"""Settings of which the first must not exceed the second."""

ATTEMPTS_IN_WINDOW = 2
"""Attempts, each with its full timeout, that the window of a breaker must hold (as in .NET)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to do when a target fails.

    Attributes:
        call_timeout: Seconds for all attempts and waits of one call; None for no limit.
        attempt_timeout: Seconds for one attempt; None for no limit.
        retry: How often to try.
        backoff: How long to wait in between.
        breaker: When to stop trying; None for no circuit breaker.
        budget: How much extra load retries may be; ``"fleet"`` for many processes with few calls
            each (`FLEET` of `tieline.policy.budget`); None for no limit.
        reconnect: How a loop over connections, such as ``async for`` over a WebSocket client's
            ``connect``, comes back when it has lost one.

    Raises:
        ConfigError: Settings make no sense or contradict each other; it lists all problems.
    """

    call_timeout: Seconds | None = 25.0
    attempt_timeout: Seconds | None = 5.0
    retry: Retry = field(default_factory=Retry)
    backoff: Backoff = field(default_factory=Backoff)
    breaker: CircuitBreaker | None = field(default_factory=CircuitBreaker)
    reconnect: Reconnect = field(default_factory=Reconnect)
    if not TYPE_CHECKING:  # what pydantic, which asks at run time, is to let through
        budget: Budget | Literal["fleet"] | None = field(default_factory=Budget)
    else:  # what is then found in the attributes, and what may be given
        budget: Budget | None = field(default_factory=Budget)

        def __init__(
            self,
            *,
            call_timeout: float | None = ...,
            attempt_timeout: float | None = ...,
            retry: Retry = ...,
            backoff: Backoff = ...,
            breaker: CircuitBreaker | None = ...,
            budget: Budget | Literal["fleet"] | None = ...,
            reconnect: Reconnect = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Look up what has a name, and report every problem at once."""
        budget: object = self.budget
        if isinstance(budget, str):
            object.__setattr__(self, "budget", BUDGETS.get(budget, budget))
        problems = [*self._problems()]
        sound = not problems
        problems += self._contradictions()
        problems += self._too_short_window()
        problems += self._too_long_waits() if sound else ()
        if problems:
            raise ConfigError(problems=tuple(problems))

    def with_attempt_timeout(self, seconds: float | None) -> Policy:
        """The same, with that much time for one attempt, and for the call if it has less.

        A window of the breaker that would be too short for such attempts grows with them: who
        gives a timeout to a single connection knows of no window.
        """
        total = self.call_timeout
        if total is not None:
            total = None if seconds is None else max(total, seconds)
        breaker = self.breaker
        if seconds is not None and breaker is not None and breaker.rate is not None:
            breaker = replace(breaker, window=max(breaker.window, ATTEMPTS_IN_WINDOW * seconds))
        return replace(self, attempt_timeout=seconds, call_timeout=total, breaker=breaker)

    def _problems(self) -> Iterator[str]:
        for name in ("call_timeout", "attempt_timeout"):
            value = getattr(self, name)
            yield from number(name, value, least=0, exclusive=True, optional=True, unit="seconds")
        for name, (cls, optional) in PARTS.items():
            part = getattr(self, name)
            if isinstance(part, cls):
                yield from part.problems()
            elif part is not None or not optional:
                names = NAMED.get(name, ())
                wanted = [f"a tieline.{cls.__name__}", *map(repr, names), "None"]
                choices = either(wanted if optional else wanted[:-1])
                yield f"{name}={part!r}: must be {choices}{advice(part, names)}"

    def _contradictions(self) -> Iterator[str]:
        for small, large in ORDERED:
            low, high = self._value(small), self._value(large)
            if low is not None and high is not None and low > high:
                yield f"{small}={low!r}: must not exceed {large}={high!r}"

    def _too_short_window(self) -> Iterator[str]:
        """Two timed-out attempts of one caller must fit in: else the rate never sees them both."""
        window, attempt = self._value("breaker.window"), self._value("attempt_timeout")
        if self._value("breaker.rate") is None or window is None or attempt is None:
            return
        if window < ATTEMPTS_IN_WINDOW * attempt:
            yield (
                f"breaker.window={window!r}: must be at least {ATTEMPTS_IN_WINDOW} times "
                f"attempt_timeout={attempt!r} (or breaker.rate None)"
            )

    def _too_long_waits(self) -> Iterator[str]:
        """The last attempt must be possible, if nothing but the waits took any time."""
        attempts, total = self.retry.max_attempts, self.call_timeout
        if attempts is None or total is None:
            return
        least = self.backoff.least(attempts - 1)
        if least >= total:
            yield (
                f"retry.max_attempts={attempts!r}: the waits before the last one, {least:.4g} "
                f"seconds at least, must take less than call_timeout={total!r}"
            )

    def _value(self, name: str) -> float | None:
        value: object = self
        for part in name.split("."):
            value = getattr(value, part, None)
        return value if isinstance(value, (int, float)) else None
