"""The budget: a bucket that failures empty and success fills, or chance where nothing is known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.policy.budget import BUDGETS, FLEET, Budget, BudgetState
from tieline.policy.policy import Policy

FRACTIONS = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))


def never() -> float:
    """No randomness."""
    raise AssertionError("asked for a draw")


def fleet(calls: int = 0, now: float = 100.0) -> BudgetState:
    """A fleet's budget that has seen so many calls."""
    state = BudgetState(FLEET)
    for _ in range(calls):
        state.called(now, failed=False)
    return state


def test_retries_stop_at_half() -> None:
    """Retries are allowed above half of the bucket, and no more at exactly half."""
    state = BudgetState(Budget())
    allowed = []
    for _ in range(6):
        allowed.append(state.allows(0.0, never))
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


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 3))),
    st.floats(0.5, 100),
    st.floats(0, 5),
    st.sampled_from([None, 0.0, 0.2, 1.0]),
)
def test_stays_within_its_size(
    moves: list[float | None], tokens: float, refill: float, chance: float | None
) -> None:
    """Whatever happens, it holds between nothing and its size, and answers at once."""
    state = BudgetState(Budget(tokens=tokens, refill=refill, chance=chance))
    for now, cost in enumerate(moves):
        state.called(now, failed=cost is not None)
        state.deposit() if cost is None else state.drain(cost)
        assert 0 <= state.tokens <= tokens
        answer = state.allows(now, lambda: 0.0)
        assert isinstance(answer, bool)
        if chance is None:
            assert answer is (state.tokens > tokens / 2)


def test_bucket_ignores_health() -> None:
    """The default bucket is not left to chance, however much of the target is up."""
    assert BudgetState(Budget()).allows(0.0, never, 0.01)


# --- a fleet -----------------------------------------------------------------------------------


def test_fleet_by_name() -> None:
    """The name stands for a bucket of 5 and a chance of one in five."""
    assert Policy(budget="fleet").budget == FLEET == BUDGETS["fleet"]
    assert Budget(tokens=5.0, refill=0.1, chance=0.2, min_calls=10, window=30.0) == FLEET
    assert Policy(budget="fleet") == Policy(budget=FLEET)


@given(calls=st.integers(0, 9), fraction=FRACTIONS, draw=st.floats(0, 1, exclude_max=True))
def test_thin_evidence(calls: int, fraction: float, draw: float) -> None:
    """With fewer than ten calls a draw below a fifth of what is up decides, and nothing else."""
    for drained in (0.0, 5.0):
        state = fleet(calls)
        state.drain(drained)
        assert state.allows(100.0, lambda: draw, fraction) is (draw < 0.2 * fraction)


@given(
    calls=st.integers(10, 30),
    fraction=FRACTIONS,
    draw=st.floats(0, 1, exclude_max=True),
    drained=st.sampled_from([0.0, 2.0, 2.4, 2.5, 3.0, 5.0]),
)
def test_enough_evidence(calls: int, fraction: float, draw: float, drained: float) -> None:
    """From ten calls on the bucket decides, times what is up."""
    state = fleet(calls)
    state.drain(drained)
    assert state.allows(100.0, lambda: draw, fraction) is (drained < 2.5 and draw < fraction)


@given(fraction=FRACTIONS, seed=st.integers(0, 2**32))
def test_long_run_chance(fraction: float, seed: int) -> None:
    """In the long run a client with few calls retries a fifth of them, times what is up."""
    state, draw, rounds = fleet(9), random.Random(seed).random, 500
    share = sum(state.allows(100.0, draw, fraction) for _ in range(rounds)) / rounds
    # Six standard deviations: one false alarm in a billion.
    assert abs(share - 0.2 * fraction) <= 6 * (0.25 * fraction / rounds) ** 0.5


def test_evidence_ages() -> None:
    """Ten calls of half a minute ago are no evidence any more."""
    state = fleet(10, now=300.0)
    assert state.allows(326.0, lambda: 0.5)
    assert not state.allows(330.0, lambda: 0.5)


def test_evidence_counted_elsewhere() -> None:
    """Successes counted without a clock are evidence once a call comes with its time."""
    state = BudgetState(FLEET, since=100.0)
    state.successes += 9
    assert not state.allows(110.0, lambda: 0.5)
    state.called(110.0, failed=True)
    assert state.allows(110.0, lambda: 0.5)


def test_old_success_is_no_evidence() -> None:
    """Ten successes spread over an hour do not make a busy client."""
    state = BudgetState(FLEET, since=0.0)
    state.successes += 100
    state.called(3600.0, failed=True)
    assert not state.allows(3600.0, lambda: 0.5)


def test_reset_forgets_evidence() -> None:
    """After a reset nothing is known, whatever was counted elsewhere."""
    state = fleet(10)
    state.successes += 50
    state.reset(100.0)
    state.called(100.0, failed=True)
    assert not state.allows(100.0, lambda: 0.5)
