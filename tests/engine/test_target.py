"""Target states: who shares one, how many are kept, and what a fork does to them."""

from __future__ import annotations

import gc
import os
import weakref
from collections import OrderedDict

import pytest

import tieline
from tests.engine.script import run
from tests.engine.test_guard import GUARD, Flaky, guarded
from tieline.endpoint import Endpoint
from tieline.engine import target
from tieline.engine.target import reset_targets, target_state
from tieline.testing import ManualClock

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def test_shared_by_name_and_settings() -> None:
    """Same name, breaker and budget: one state. Any difference: another one."""
    state = target_state("t", GUARD)
    assert target_state("t", tieline.Policy(call_timeout=3, attempt_timeout=1)) is state
    assert target_state("u", GUARD) is not state
    assert target_state("t", tieline.Policy(breaker=None)) is not state
    assert target_state("t", tieline.Policy(budget=tieline.Budget(tokens=3))) is not state


def test_a_breaker_for_each_endpoint() -> None:
    """Endpoints of one target have breakers of their own, and always the same ones."""
    state = target_state("t", GUARD)
    first, second = Endpoint("tcp", "a", 1), Endpoint("tcp", "b", 1)
    assert state.lane(first).breaker is not state.lane(second).breaker
    assert state.lane(first) is state.lane(first)
    assert state.lane(first).endpoint == first


def test_number_of_states_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state asked for longest ago is let go when there are too many."""
    monkeypatch.setattr(target, "MAX_TARGETS", 3)
    monkeypatch.setattr(target, "_kept", OrderedDict())
    references = {
        name: weakref.ref(target_state(f"bounded-{name}", GUARD)) for name in ("a", "b", "c")
    }
    target_state("bounded-a", GUARD)
    target_state("bounded-d", GUARD)
    target_state("bounded-a", GUARD)
    gc.collect()
    alive = [name for name, reference in references.items() if reference() is not None]
    assert alive == ["a", "c"]


def test_state_in_use_is_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that a guarded function holds is found by its name for as long as it lives."""
    monkeypatch.setattr(target, "MAX_TARGETS", 1)
    held = target_state("held", GUARD)
    for number in range(9):
        target_state(f"other-{number}", GUARD)
    assert target_state("held", GUARD) is held
    held.budget.drain(5)
    for number in range(9):
        target_state(f"other-{number}", GUARD)
    reset_targets()
    assert held.budget.full


def test_reset_targets() -> None:
    """Every breaker is closed and every budget full again."""
    policy = tieline.Policy(
        call_timeout=None,
        attempt_timeout=None,
        breaker=tieline.CircuitBreaker(failures=1),
        retry=tieline.Retry(max_attempts=1),
    )
    without = tieline.Policy(breaker=None, budget=None)
    target_state("t", without).lane(None)
    with ManualClock():
        function = guarded(Flaky(ConnectionResetError()), policy=policy)
        with pytest.raises(tieline.Reset):
            function()
        with pytest.raises(tieline.CircuitOpen):
            function()
        reset_targets()
        assert function() == "done"
        assert target_state("t", policy).budget.full


@forks
def test_fork_while_locks_are_held() -> None:
    """A child does not wait for locks that a thread of its parent held when it forked."""
    result = run(
        """
        import os, threading
        import tieline
        from tieline.engine import target

        @tieline.guard("t", policy=tieline.Policy())
        def function():
            return "done"

        function()
        # Held by a function and no longer kept: it has to be found all the same.
        target._kept.clear()
        state = target.target_state("t", tieline.Policy())
        target._kept.clear()
        held, over = threading.Event(), threading.Event()

        def hold():
            with state._lock, target._lock:
                held.set()
                over.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        child = os.fork()
        if not child:
            import signal
            signal.alarm(10)
            assert function() == "done"
            assert target.target_state("t", tieline.Policy()) is state
            target.reset_targets()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        over.set()
        holder.join()
        assert function() == "done"
        raise SystemExit(os.waitstatus_to_exitcode(status))
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


@forks
def test_fork_keeps_breakers_and_draws_apart() -> None:
    """A child knows what its parent knew, and its random waits are its own."""
    result = run(
        """
        import os
        from tieline.engine import clock
        from tieline.engine.target import target_state
        import tieline

        state = target_state("t", tieline.Policy())
        state.budget.drain(3)
        reader, writer = os.pipe()
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                assert state.budget.tokens == 7
                os.write(writer, repr(clock.active.draw()).encode() + b"\\n")
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        print(len(set(os.read(reader, 999).split())))
        """
    )
    assert (result.stdout, result.stderr) == ("2\n", "")
