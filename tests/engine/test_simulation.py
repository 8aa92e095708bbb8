"""Planned failures: none outside tests."""

from __future__ import annotations

from tests.policy.world import REFUSED
from tieline.engine import simulation


def test_nothing_is_planned() -> None:
    """Without a plan every attempt is real."""
    assert simulation.planned == {}
    assert simulation.next_failure("psycopg") is None


def test_plan_of_a_client() -> None:
    """A plan is asked before each attempt, and concerns its own client alone."""
    answers = [REFUSED, None]
    simulation.planned["mine"] = lambda: answers.pop(0)
    try:
        assert simulation.next_failure("another") is None
        assert simulation.next_failure("mine") is REFUSED
        assert simulation.next_failure("mine") is None
    finally:
        del simulation.planned["mine"]
