"""How long to wait between two attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.policy.checks import number

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: uniform in [0, min(max, initial * multiplier**n)).

    Full jitter is the variant of the AWS Architecture Blog ("Exponential Backoff And Jitter")
    that costs an overloaded server the fewest calls.

    Attributes:
        initial: Upper bound in seconds of the first wait.
        max: Upper bound in seconds of the random part of any wait. What a server asked for, or
            what a failure takes at least to pass, comes on top.
        multiplier: Growth of the bound from one wait to the next.
    """

    initial: float = 0.1
    max: float = 5.0
    multiplier: float = 2.0

    def delay(self, failures: int, draw: float, *, base: float = 0.0, floor: float = 0.0) -> float:
        """Seconds to wait after so many failed attempts.

        Args:
            failures: Failed attempts so far, 1 or more.
            draw: Uniform in [0, 1).
            base: Seconds this failure takes at least to pass; never undercut, and a larger first
                bound.
            floor: Seconds the server asked for; never undercut.
        """
        # The exponent stops where any bound is long reached: floats overflow near 2**1024.
        growth = self.multiplier ** min(failures - 1, 64)
        bound = max(self.initial, base) * growth
        # What is known of the least wait is known to every client: the jitter goes on top of it.
        return max(base, floor) + draw * min(self.max, bound)

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("backoff.initial", self.initial, least=0, unit="seconds")
        yield from number("backoff.max", self.max, least=0, unit="seconds")
        yield from number("backoff.multiplier", self.multiplier, least=1)
