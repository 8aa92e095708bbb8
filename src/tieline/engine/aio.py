"""The drivers for asyncio. Their twins in `sync` have the same bodies but for ``await``."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from tieline.engine import clock as clock_module
from tieline.engine.context import GuardScope, deadline_var, guard_var, idempotent_var
from tieline.engine.run import GuardedRun
from tieline.policy.breaker import State
from tieline.policy.decision import Proceed, Sleep
from tieline.rules.translate import final_error

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from tieline.engine.run import Guard
    from tieline.engine.target import TargetState
    from tieline.failure import Failure
    from tieline.policy.breaker import BreakerState
    from tieline.policy.budget import BudgetState
    from tieline.policy.call import Call
    from tieline.policy.decision import Decision

P = ParamSpec("P")
T = TypeVar("T")

GRACE: Final = 0.02
"""Seconds beyond its timeout that an attempt has before it is cancelled.

A tieline call inside has the same time and ends by itself, and its error tells what it has sent.
A cancelled one cannot tell.
"""


async def drive(
    state: TargetState,
    call: Call,
    decision: Decision,
    attempt: Callable[[Proceed], Awaitable[T]],
    classify: Callable[[Exception], Failure | None],
    *,
    client: str = "",
    cause: Exception | None = None,
) -> T:
    """Carry out what the call decides until it ends.

    Args:
        state: The target.
        call: The call.
        decision: Its first decision.
        attempt: Makes one attempt.
        classify: What an exception means; None for one that is none of our business.
        client: Whose native bases our own verdicts take.
        cause: What an attempt that was made before has raised.
    """
    try:
        while True:
            if isinstance(decision, Proceed):
                try:
                    result = await attempt(decision)
                except Exception as error:
                    failure = classify(error)
                    if failure is None:
                        state.abandon(call)
                        raise
                    cause = error
                    decision = state.step(call, partial(call.failed, failure))
                except BaseException:
                    state.abandon(call)
                    raise
                else:
                    state.step(call, call.succeeded)
                    return result
            elif isinstance(decision, Sleep):
                await sleep(decision.seconds)
                decision = state.step(call, call.woke)
            else:
                raise final_error(call, decision, cause, client, clock_module.active.now())
    finally:
        # The exception knows this frame; not knowing it back saves a garbage collection.
        cause = None


def guarded(  # noqa: C901, PLR0915 - as below
    guard: Guard, function: Callable[P, Coroutine[Any, Any, T]]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """The function with the policy around it.

    On the healthy path it holds no lock, and makes no `Call` before there is a failure to think
    about.

    Args:
        guard: What all its runs share.
        function: What to run.
    """
    # Looked up once, and not by every call. Methods too: Python 3.11 takes a call of a method on
    # an imported name for one of a function in a module, and goes a longer way.
    state: TargetState
    breaker: BreakerState
    budget: BudgetState
    full: float
    repeats: bool
    bounded = True  # until they are known, so that the healthy path need not ask
    idempotent = guard.idempotent
    closed = State.CLOSED
    guards, deadlines, idempotents = guard_var.get, deadline_var.get, idempotent_var.get
    set_guard, reset_guard = guard_var.set, guard_var.reset

    def settle() -> None:
        nonlocal state, breaker, budget, full, repeats, bounded
        guard.settle()
        state, breaker, budget, full = guard.state, guard.breaker, guard.budget, guard.full
        repeats = guard.repeats
        bounded = guard.bounded or not guard.enabled

    @wraps(function)
    async def run_guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        if bounded or guards() or deadlines() or idempotents():
            if not guard.settled:
                settle()
                return await run_guarded(*args, **kwargs)
            return await drive_all(guard, partial(function, *args, **kwargs))
        started = clock_module.active.now()
        # The generation first: if the breaker opens in between, our results are void.
        generation = breaker.generation
        if breaker.state is not closed:
            wait = breaker.wait(started)
            if wait > 0 and not state.unsettled:
                raise guard.rejected(wait)
            return await drive_all(guard, partial(function, *args, **kwargs))
        # One of these for every call, so it is not left to an __init__.
        scope = GuardScope()
        scope.live, scope.sent, scope.outer = True, False, None
        scope.idempotent, scope.repeats, scope.target = idempotent, repeats, state
        token = set_guard(scope)
        try:
            result = await function(*args, **kwargs)
        except Exception as error:
            run = GuardedRun(guard, scope, started)
            failure = run.classify(error)
            if failure is None:
                raise
            cause = error
        else:
            if breaker.failures or budget.tokens < full or breaker.generation != generation:
                GuardedRun(guard, scope, started).succeeded(generation)
            else:
                # Without a lock: an addition may be lost when two threads add at once.
                breaker.successes += 1
                budget.successes += 1
            return result
        finally:
            scope.live = False
            try:  # noqa: SIM105 - `restore`, without the call
                reset_guard(token)
            except ValueError:
                pass
        try:
            call, decision = run.failed(generation, failure)
            attempt = partial(run_attempt, run, partial(function, *args, **kwargs))
            return await drive(state, call, decision, attempt, run.classify, cause=cause)
        finally:
            del cause  # it knows this frame, as above

    return run_guarded


async def drive_all(guard: Guard, function: Callable[[], Awaitable[T]]) -> T:
    """Run it with every question asked from the start."""
    if not guard.enabled:
        return await function()
    run = GuardedRun(guard)
    call = run.call()
    decision = guard.state.step(call, call.start)
    return await drive(
        guard.state, call, decision, partial(run_attempt, run, function), run.classify
    )


async def run_attempt(run: GuardedRun, function: Callable[[], Awaitable[T]], proceed: Proceed) -> T:
    """Make one attempt; the tieline calls inside keep to its time, and all else is cut then."""
    with run.attempt(proceed.timeout):
        if proceed.timeout is None:
            return await function()
        async with cut(proceed.timeout):
            return await function()


def cut(seconds: float) -> asyncio.Timeout:
    """A block that is cancelled, and raises TimeoutError, when an attempt's time is up."""
    import asyncio

    return asyncio.timeout(seconds + GRACE)


async def sleep(seconds: float) -> None:
    """Wait, on the engine's clock."""
    await clock_module.active.sleep_async(seconds)
