"""All settings of one target in one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tieline.errors import ConfigError
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import CircuitBreaker
from tieline.policy.budget import Budget
from tieline.policy.checks import number
from tieline.policy.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PARTS: Final[Mapping[str, tuple[type[Retry | Backoff | CircuitBreaker | Budget], bool]]] = {
    "retry": (Retry, False),
    "backoff": (Backoff, False),
    "breaker": (CircuitBreaker, True),
    "budget": (Budget, True),
}
"""Setting -> its class, and whether None will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to do when a target fails.

    Attributes:
        call_timeout: Seconds for all attempts and waits of one call; None for no limit.
        attempt_timeout: Seconds for one attempt; None for no limit.
        retry: How often to try.
        backoff: How long to wait in between.
        breaker: When to stop trying; None for no circuit breaker.
        budget: How much extra load retries may be; None for no limit.

    Raises:
        ConfigError: Settings make no sense or contradict each other; it lists all problems.
    """

    call_timeout: float | None = 25.0
    attempt_timeout: float | None = 5.0
    retry: Retry = field(default_factory=Retry)
    backoff: Backoff = field(default_factory=Backoff)
    breaker: CircuitBreaker | None = field(default_factory=CircuitBreaker)
    budget: Budget | None = field(default_factory=Budget)

    def __post_init__(self) -> None:
        """Report every problem at once."""
        problems = (*self._problems(), *self._contradictions())
        if problems:
            raise ConfigError(problems=problems)

    def with_attempt_timeout(self, seconds: float | None) -> Policy:
        """The same, with that much time for one attempt, and for the call if it has less."""
        total = self.call_timeout
        if total is not None:
            total = None if seconds is None else max(total, seconds)
        return replace(self, attempt_timeout=seconds, call_timeout=total)

    def _problems(self) -> Iterator[str]:
        for name in ("call_timeout", "attempt_timeout"):
            value = getattr(self, name)
            yield from number(name, value, least=0, exclusive=True, optional=True, unit="seconds")
        for name, (cls, optional) in _PARTS.items():
            part = getattr(self, name)
            if isinstance(part, cls):
                yield from part.problems()
            elif part is not None or not optional:
                wanted = f"a tieline.{cls.__name__}" + (" or None" if optional else "")
                yield f"{name}={part!r}: must be {wanted}"

    def _contradictions(self) -> Iterator[str]:
        for small, large in (
            ("attempt_timeout", "call_timeout"),
            ("backoff.initial", "backoff.max"),
            ("backoff.initial", "call_timeout"),
            ("breaker.open_for", "breaker.open_max"),
        ):
            low, high = self._value(small), self._value(large)
            if low is not None and high is not None and low > high:
                yield f"{small}={low!r}: must not exceed {large}={high!r}"

    def _value(self, name: str) -> float | None:
        value: object = self
        for part in name.split("."):
            value = getattr(value, part, None)
        return value if isinstance(value, (int, float)) else None
