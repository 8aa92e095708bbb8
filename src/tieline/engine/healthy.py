"""The path of a call that succeeds: no lock, and no `Call` before there is something to think about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.policy.breaker import BreakerState, CircuitBreaker, State
from tieline.policy.budget import Budget, BudgetState

if TYPE_CHECKING:
    from tieline.engine.target import TargetState
    from tieline.policy.decision import Lane

CLOSED = State.CLOSED


class Healthy:
    """One endpoint of a target, as seen by calls that succeed.

    A caller looks itself whether the ``breaker`` is closed, and notes its generation first: if it
    opens in between, the result is void.

    Args:
        state: The target.
        lane: The endpoint.
        budget: The settings of the target's budget.

    Attributes:
        breaker: The breaker; if there is none, one that nobody tells anything and so stays closed.
        budget: The budget; if there is none, one that stays full, alike.
        full: Tokens in a full budget.
    """

    __slots__ = ("breaker", "budget", "full", "lane", "state")

    def __init__(self, state: TargetState, lane: Lane, budget: Budget | None) -> None:
        """Find breaker and budget."""
        self.state = state
        self.lane = lane
        self.breaker = lane.breaker or BreakerState(CircuitBreaker())
        self.budget = state.budget or BudgetState(Budget())
        self.full = 0.0 if budget is None else budget.tokens

    def counted(self, generation: int, now: float) -> bool:
        """Count a success, if counting is all that it changes.

        Args:
            generation: The breaker's, when the call began.
            now: The time, as near as it is known without asking.

        Returns:
            Whether that was all. Else a `Call` has to be told.
        """
        breaker, budget = self.breaker, self.budget
        if breaker.failures or budget.tokens < self.full or breaker.generation != generation:
            return False
        # Without a lock: an addition may be lost when two threads add at once.
        breaker.successes += 1
        budget.successes += 1
        self.lane.seen.answered = now
        return True
