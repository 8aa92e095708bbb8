"""Blocks around calls: deadline and idempotence."""

from __future__ import annotations

import contextvars
import math
import threading
from contextlib import suppress

import pytest

import tieline
from tieline.engine.context import (
    GuardScope,
    guard_var,
    is_idempotent,
    surrounding_guard,
    time_limit,
)
from tieline.testing import ManualClock


def in_thread(function, *, context: contextvars.Context | None = None) -> object:
    """What the function returns, run in a thread."""
    answers = []
    run = (
        (lambda: answers.append(function()))
        if context is None
        else (lambda: answers.append(context.run(function)))
    )
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


def test_no_deadline() -> None:
    """Without a block there is no limit."""
    assert time_limit() is None
    assert tieline.current_deadline() is None


def test_earliest_counts() -> None:
    """Deadlines nest: an inner one can shorten the time, and never lengthen it."""
    with ManualClock(100), tieline.deadline(5):
        assert time_limit() == 105
        with tieline.deadline(2):
            assert time_limit() == 102
        with tieline.deadline(60):
            assert time_limit() == 105
        assert time_limit() == 105
    assert time_limit() is None


def test_none_bounds_nothing() -> None:
    """A deadline of None leaves what is around it as it is, and does not end it."""
    with tieline.deadline(None) as value:
        assert value is None
        assert time_limit() is None
    with ManualClock(100), tieline.deadline(5):
        with tieline.deadline(None):
            assert time_limit() == 105
        assert time_limit() == 105


@pytest.mark.parametrize("raises", [False, True])
def test_dies_with_its_block(raises: bool) -> None:
    """A context copied inside the block is bound by it until the block is left, however."""
    copied = None
    with ManualClock(100), suppress(ZeroDivisionError), tieline.deadline(5):
        copied = contextvars.copy_context()
        assert copied.run(time_limit) == 105
        assert in_thread(time_limit, context=copied) == 105
        assert 1 / (not raises)
    assert copied.run(time_limit) is None
    assert copied.run(tieline.current_deadline) is None
    assert in_thread(time_limit, context=copied) is None


def test_inner_dies_before_outer() -> None:
    """What was started in an inner block that ended is bound by the outer one alone."""
    with ManualClock(100), tieline.deadline(5):
        with tieline.deadline(1):
            copied = contextvars.copy_context()
        assert copied.run(time_limit) == 105


def test_threads_inherit_none() -> None:
    """A plain thread is bound by nothing unless it is handed the deadline."""
    with tieline.deadline(5):
        bare = contextvars.Context()
        assert in_thread(time_limit, context=bare) is None


def test_handed_to_a_thread() -> None:
    """`current_deadline` bounds the thread that it is handed to, as long as its block lives."""
    with ManualClock(100):
        with tieline.deadline(5):
            mine = tieline.current_deadline()

            def work() -> float | None:
                with tieline.deadline(mine):
                    return time_limit()

            assert in_thread(work) == 105
            # Leaving the block there ends nothing here.
            assert time_limit() == 105
        assert in_thread(work) is None


@pytest.mark.parametrize(("own", "limit"), [(1, 101), (60, 105)])
def test_handed_into_a_block(own: float, limit: float) -> None:
    """A deadline from elsewhere and the one around it: the earliest counts."""
    with ManualClock(100), tieline.deadline(5):
        foreign = tieline.current_deadline()

        def work() -> tuple[float | None, float | None]:
            with tieline.deadline(own):
                with tieline.deadline(foreign):
                    inside = time_limit()
                return inside, time_limit()

        assert in_thread(work) == (limit, 100 + own)


@pytest.mark.parametrize(
    "seconds", [0, 0.0, -1, -0.001, math.nan, math.inf, "5", "250ms", True, [2]], ids=repr
)
def test_senseless_deadline(seconds: object) -> None:
    """A deadline that is no time above 0 is a ConfigError, and leaves nothing behind."""
    wrong = pytest.raises(
        tieline.ConfigError, match=r"deadline=.*must be a number, above 0 seconds"
    )
    with wrong, tieline.deadline(seconds):
        pytest.fail("the block was entered")
    assert time_limit() is None


def test_idempotent_dies_with_its_block() -> None:
    """The word that repeating does no harm holds inside the block, and nowhere else."""
    assert not is_idempotent()
    with tieline.idempotent():
        copied = contextvars.copy_context()
        assert is_idempotent()
        assert copied.run(is_idempotent)
        with tieline.idempotent():
            assert is_idempotent()
        assert is_idempotent()
    assert not is_idempotent()
    assert not copied.run(is_idempotent)
    assert not in_thread(is_idempotent, context=copied)


def test_idempotent_dies_by_exception() -> None:
    """An exception ends the block like anything else."""
    with pytest.raises(LookupError), tieline.idempotent():
        raise LookupError
    assert not is_idempotent()


@pytest.mark.parametrize(
    ("inner", "outer", "repeats"),
    [
        # live, repeats, idempotent, sent
        ((True, True, False, False), None, True),
        ((True, True, False, True), None, False),
        ((True, True, True, True), None, True),
        ((True, False, True, False), None, False),
        ((False, True, True, False), None, False),
        ((True, True, False, True), (True, True, True, True), True),
        ((True, False, False, False), (True, True, False, False), True),
        ((True, True, False, True), (True, True, False, True), False),
        ((True, True, False, True), (False, True, True, False), False),
    ],
)
def test_may_repeat(inner, outer, repeats: bool) -> None:
    """A guard repeats if it lives, has more than one attempt, and nothing was sent or it may."""
    scope = None
    for state in (outer, inner):
        if state is not None:
            live, more, idempotent, sent = state
            scope = GuardScope.make(scope, idempotent, more, sent=sent)
            scope.live = live
    assert scope.may_repeat() is repeats


def test_surrounding_guard_behind_a_dead_one() -> None:
    """What a guard that has returned leaves behind is still inside the guard around that."""
    outer = GuardScope.make(None, False)
    inner = GuardScope.make(outer, False)
    token = guard_var.set(inner)
    try:
        inner.live = False
        assert surrounding_guard() is outer
    finally:
        guard_var.reset(token)


def test_surrounding_guard_dies() -> None:
    """A guard that has returned surrounds nothing, also where its context was copied to."""
    scope = GuardScope.make(None, False)
    token = guard_var.set(scope)
    try:
        assert surrounding_guard() is scope
        scope.live = False
        assert surrounding_guard() is None
    finally:
        guard_var.reset(token)
