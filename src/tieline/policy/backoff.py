"""How long to wait between two attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tieline.policy.checks import choice, number
from tieline.policy.units import Seconds  # noqa: TC001 - config asks for it at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Jitter = Literal["full", "equal", "decorrelated", "none"]


class _Span(NamedTuple):
    """What a formula takes: the wait of the first failure, of this one, and the longest."""

    first: float
    bound: float
    longest: float


def _full(span: _Span, draw: float, _previous: float) -> tuple[float, float]:
    return 0.0, draw * span.bound


def _equal(span: _Span, draw: float, _previous: float) -> tuple[float, float]:
    return span.bound / 2, draw * span.bound / 2


def _decorrelated(span: _Span, draw: float, previous: float) -> tuple[float, float]:
    drawn = span.first + draw * (3 * max(previous, span.first) - span.first)
    return span.first, min(span.longest, drawn) - span.first


def _none(span: _Span, _draw: float, _previous: float) -> tuple[float, float]:
    return span.bound, 0.0


_FORMULAS: Final[Mapping[str, Callable[[_Span, float, float], tuple[float, float]]]] = {
    "full": _full,
    "equal": _equal,
    "decorrelated": _decorrelated,
    "none": _none,
}
"""Name -> from span, draw and previous wait: the least wait, and what chance puts on top."""

LAST_GROWTH = 64
"""Doublings after which any bound is long reached: floats overflow near the 1024th."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff, by one of the formulas of the AWS Architecture Blog.

    The formulas are those of "Exponential Backoff And Jitter" (2015), where a bound is
    ``min(max, initial * multiplier**n)``:

    - ``full``: uniform in [0, bound). It costs an overloaded server the fewest calls.
    - ``equal``: half the bound, and uniform in [0, bound / 2) on top. Never at once.
    - ``decorrelated``: ``min(max, uniform in [initial, 3 * previous wait))``. No count goes in:
      two clients that failed at the same time part soonest.
    - ``none``: the bound itself. For one client, or a schedule that has to be known: many of
      them come back in the same instant.

    Attributes:
        initial: Upper bound in seconds of the first wait.
        max: Upper bound in seconds of any wait by the formula. What a server asked for, or what a
            failure takes at least to pass, is never undercut, and chance comes on top of it.
        multiplier: Growth of the bound from one wait to the next; ``decorrelated`` has its own.
        jitter: Name of the formula.
    """

    initial: Seconds = 0.1
    max: Seconds = 5.0
    multiplier: float = 2.0
    jitter: Jitter = "full"

    def delay(
        self,
        failures: int,
        draw: float,
        *,
        base: float = 0.0,
        floor: float = 0.0,
        previous: float = 0.0,
    ) -> float:
        """Seconds to wait after so many failed attempts.

        Args:
            failures: Failed attempts so far, 1 or more.
            draw: Uniform in [0, 1).
            base: Seconds this failure takes at least to pass; never undercut, and a larger first
                bound.
            floor: Seconds the server asked for; never undercut.
            previous: Seconds of the wait before; 0 for the first. Only ``decorrelated`` asks.
        """
        start = max(self.initial, base)
        try:
            bound = start * self.multiplier ** min(failures - 1, LAST_GROWTH)
        except OverflowError:  # a multiplier of 65536, say
            bound = self.max if start else 0.0
        span = _Span(min(self.max, start), min(self.max, bound), self.max)
        least, extra = _FORMULAS[self.jitter](span, draw, previous)
        # What is known of the least wait is known to every client: the jitter goes on top of it.
        return max(base, floor, least) + extra

    def least(self, waits: int) -> float:
        """Seconds that so many waits take together if every draw is the lowest."""
        grown = min(waits, LAST_GROWTH)
        total = sum(self.delay(number, 0.0) for number in range(1, grown + 1))
        return total + max(0, waits - grown) * self.delay(LAST_GROWTH + 1, 0.0)

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("backoff.initial", self.initial, least=0, unit="seconds")
        yield from number("backoff.max", self.max, least=0, unit="seconds")
        yield from number("backoff.multiplier", self.multiplier, least=1)
        yield from choice("backoff.jitter", self.jitter, _FORMULAS)
