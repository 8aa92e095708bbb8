"""The path of calls that succeed: what it counts, and when it must leave that to a `Call`."""

from __future__ import annotations

from tieline.endpoint import Endpoint
from tieline.engine.healthy import Healthy
from tieline.engine.target import target_state
from tieline.policy.policy import Policy

HERE = Endpoint("http", "h", 80)


def healthy(policy: Policy) -> Healthy:
    """The path to one endpoint."""
    state = target_state("healthy", policy)
    return Healthy(state, state.lane(HERE), policy.budget)


def test_a_success_is_an_addition() -> None:
    """Closed, nothing to forget, bucket full: breaker and budget count, and the lane was seen."""
    path = healthy(Policy())
    generation = path.breaker.generation
    before = path.breaker.successes, path.budget.successes
    assert path.counted(generation, 7.0)
    assert (path.breaker.successes, path.budget.successes) == (before[0] + 1, before[1] + 1)
    assert path.lane.seen.answered == 7.0


def test_what_is_more_than_an_addition() -> None:
    """Failures to forget, a bucket to fill, a breaker that has opened meanwhile: not counted here."""
    path = healthy(Policy())
    generation = path.breaker.generation
    path.breaker.failures = 1
    assert not path.counted(generation, 7.0)
    path.breaker.failures = 0
    path.budget.drain(1.0)
    assert not path.counted(generation, 7.0)
    path.budget.reset()
    path.breaker.reset()
    assert not path.counted(generation, 7.0)
    assert path.counted(path.breaker.generation, 7.0)


def test_without_breaker_and_budget() -> None:
    """A policy without them is always healthy."""
    path = healthy(Policy(breaker=None, budget=None))
    path.budget.drain(3.0)
    assert path.counted(path.breaker.generation, 7.0)
    assert path.lane.breaker is None
