"""The budget: a bucket that failures empty and success fills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.policy.budget import Budget, BudgetState


def test_retries_stop_at_half() -> None:
    """Retries are allowed above half of the bucket, and no more at exactly half."""
    state = BudgetState(Budget())
    allowed = []
    for _ in range(6):
        allowed.append(state.allows())
        state.drain(1)
    assert allowed == [True] * 5 + [False]


def test_success_refills() -> None:
    """Ten successes pay for one failure, and the bucket never overflows."""
    state = BudgetState(Budget())
    assert state.full
    state.drain(1)
    assert not state.full
    for _ in range(20):
        state.deposit()
    assert state.tokens == 10
    assert state.full


def test_reset_fills() -> None:
    """A reset forgets all failures."""
    state = BudgetState(Budget())
    state.drain(7)
    state.reset()
    assert state.tokens == pytest.approx(10)


@given(st.lists(st.one_of(st.none(), st.floats(0, 3))), st.floats(0.5, 100), st.floats(0, 5))
def test_stays_within_its_size(moves: list[float | None], tokens: float, refill: float) -> None:
    """Whatever happens, it holds between nothing and its size, and answers at once."""
    state = BudgetState(Budget(tokens=tokens, refill=refill))
    for cost in moves:
        state.deposit() if cost is None else state.drain(cost)
        assert 0 <= state.tokens <= tokens
        assert state.allows() is (state.tokens > tokens / 2)
