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
        max: Upper bound in seconds of any wait, unless a server asked for more.
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
            base: A larger first bound, for failures that take longer to pass.
            floor: Seconds the server asked for; never undercut.
        """
        # The exponent stops where any bound is long reached: floats overflow near 2**1024.
        growth = self.multiplier ** min(failures - 1, 64)
        bound = max(self.initial, base) * growth
        jittered = draw * min(max(self.max, base), bound)
        # A server that names a time names it to everybody: the jitter goes on top of it.
        return floor + jittered if floor else max(base, jittered)

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("backoff.initial", self.initial, least=0, unit="seconds")
        yield from number("backoff.max", self.max, least=0, unit="seconds")
        yield from number("backoff.multiplier", self.multiplier, least=1)
