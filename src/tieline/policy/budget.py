"""The retry budget: how much extra load this process may add to one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.policy.checks import number

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Budget:
    """A bucket of tokens, filled by success and emptied by failure.

    gRPC's retry throttling (proposal A6): a long outage empties it, so that retries end and the
    extra load falls to nothing; because success alone fills it, an outage earns no retries. It
    refuses and never blocks: whoever waited for a token that only success can bring would wait
    for ever.

    Attributes:
        tokens: Size of the bucket, which starts full. Retries stop at half.
        refill: Tokens put back by one successful call.
    """

    tokens: float = 10.0
    refill: float = 0.1

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("budget.tokens", self.tokens, least=0, exclusive=True)
        yield from number("budget.refill", self.refill, least=0)


class BudgetState:
    """What is left of the budget of one target.

    Args:
        settings: The size and refill.
    """

    __slots__ = ("_settings", "tokens")

    def __init__(self, settings: Budget) -> None:
        """Start full."""
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Fill it."""
        self.tokens = self._settings.tokens

    @property
    def full(self) -> bool:
        """Whether success has nothing to add."""
        return self.tokens >= self._settings.tokens

    def deposit(self) -> None:
        """Count a success."""
        self.tokens = min(self._settings.tokens, self.tokens + self._settings.refill)

    def drain(self, cost: float) -> None:
        """Count a failed attempt."""
        self.tokens = max(0.0, self.tokens - cost)

    def allows(self) -> bool:
        """Whether a retry may follow."""
        return self.tokens > self._settings.tokens / 2
