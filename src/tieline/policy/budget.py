"""The retry budget: how much extra load this process may add to one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tieline.policy.checks import number
from tieline.policy.units import Seconds  # noqa: TC001 - config asks for it at run time
from tieline.policy.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Budget:
    """A bucket of tokens, filled by success and emptied by failure.

    gRPC's retry throttling (proposal A6): a long outage empties it, so that retries end and the
    extra load falls to nothing; because success alone fills it, an outage earns no retries. It
    refuses and never blocks: whoever waited for a token that only success can bring would wait
    for ever.

    One process with few calls cannot tell a blip from an outage, and a thousand such processes
    with a full bucket each treble the load of a server in trouble. With a ``chance`` they retry
    one call in five for as long as there is little evidence.

    Attributes:
        tokens: Size of the bucket, which starts full. Retries stop at half.
        refill: Tokens put back by one successful call.
        chance: Part of the retries, in [0, 1], that are made while evidence is thin, whatever the
            bucket holds; None for the bucket alone. With a chance, and a health source that has
            fresh news, each retry is also left to chance by the part of the target that is up.
        min_calls: Own calls in the window from which on the bucket decides.
        window: Seconds that this looks back.
    """

    tokens: float = 10.0
    refill: float = 0.1
    chance: float | None = None
    min_calls: int = 10
    window: Seconds = 30.0

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("budget.tokens", self.tokens, least=0, exclusive=True)
        yield from number("budget.refill", self.refill, least=0)
        yield from number("budget.chance", self.chance, least=0, most=1, optional=True)
        yield from number("budget.min_calls", self.min_calls, least=1, whole=True)
        yield from number("budget.window", self.window, least=0, exclusive=True, unit="seconds")


FLEET: Final = Budget(tokens=5.0, chance=0.2)
"""For many processes with few calls each."""

BUDGETS: Final[Mapping[str, Budget]] = {"fleet": FLEET}
"""Budgets that have a name."""


class BudgetState:
    """What is left of the budget of one target.

    Args:
        settings: The size and refill.
        since: The time, so that successes are spread over the right time from the start; None
            where it is not known.

    Attributes:
        tokens: What is in the bucket.
        successes: Calls that succeeded while the bucket was `full`, counted by whoever did so
            without the time and a lock. It only grows, and may lose an update when two threads
            add at once. Nobody reads it where there is no `Budget.chance`.
    """

    __slots__ = ("_settings", "_window", "successes", "tokens")

    def __init__(self, settings: Budget, since: float | None = None) -> None:
        """Start full."""
        self._settings = settings
        self._window = None if settings.chance is None else Window(settings.window)
        self.successes = 0
        self.reset(since)

    def reset(self, now: float | None = None) -> None:
        """Fill it, and forget all evidence."""
        self.tokens = self._settings.tokens
        if self._window is not None:
            self._window.clear(now, elsewhere=self.successes)

    @property
    def full(self) -> bool:
        """Whether success has nothing to add but to `successes`."""
        return self.tokens >= self._settings.tokens

    def deposit(self) -> None:
        """Put back what a success is worth."""
        self.tokens = min(self._settings.tokens, self.tokens + self._settings.refill)

    def drain(self, cost: float) -> None:
        """Take out what a failed attempt costs."""
        self.tokens = max(0.0, self.tokens - cost)

    def called(self, now: float, *, failed: bool) -> None:
        """Note one call, when its first attempt ends: that is evidence, whatever it costs."""
        if self._window is not None:
            self._window.record(now, failed=failed, elsewhere=self.successes)

    def allows(self, now: float, draw: Callable[[], float], fraction: float = 1.0) -> bool:
        """Whether a retry may follow.

        Args:
            now: The time.
            draw: Source of randomness; a bucket alone asks it for nothing.
            fraction: How much of the target is healthy, in [0, 1]; 1 where that is not known.
        """
        above_half = self.tokens > self._settings.tokens / 2
        chance = self._settings.chance
        if chance is None or self._window is None:
            return above_half
        calls, _ = self._window.totals(now)
        if calls >= self._settings.min_calls:
            chance = 1.0 if above_half else 0.0
        return draw() < chance * fraction
