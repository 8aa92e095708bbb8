"""The policy around a function that is not one of our clients."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial, wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from tieline.engine import clock as clock_module
from tieline.engine.context import (
    GuardScope,
    deadline,
    deadline_var,
    guard_var,
    is_idempotent,
    time_limit,
)
from tieline.engine.sync import drive
from tieline.engine.target import target_state
from tieline.policy.breaker import State
from tieline.policy.call import Call
from tieline.policy.defaults import DEFAULTS
from tieline.rules.guarded import classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.engine.target import TargetState
    from tieline.failure import Failure
    from tieline.policy.decision import Proceed
    from tieline.policy.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")

GUARD: Final = DEFAULTS["guard"]


def guard(
    name: str, *, policy: Policy = GUARD, idempotent: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function so that it fails, waits and is repeated as the policy says.

    It is repeated when the failure may pass and either it is ``idempotent``, or every tieline
    call made inside it, on every attempt so far, sent nothing. An exception that tieline does
    not know passes as it is and counts as sent. The policy's timeouts bound the tieline calls
    made inside, as `deadline` does.

    Args:
        name: Name of the target; functions and clients of one name share breaker and budget.
        policy: The settings.
        idempotent: Whether running it twice does no harm.

    Raises:
        CircuitOpen: The decorated function was not called; recent calls failed.
        DeadlineExceeded: The time was up before it could be called, or while it ran.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        state = target_state(name, policy)
        breaker = state.lane(None).breaker
        budget = state.budget
        bounded = policy.call_timeout is not None or policy.attempt_timeout is not None

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            repeatable = idempotent or is_idempotent()
            run = GuardedRun(state, policy, idempotent=repeatable)
            # The generation first: if the breaker opens in between, our results are void.
            generation = 0 if breaker is None else breaker.generation
            closed = breaker is None or breaker.state is State.CLOSED
            if bounded or not closed or deadline_var.get() is not None:
                return run.slowly(partial(function, *args, **kwargs))
            # The healthy path: no lock, and no Call before there is a failure to think about.
            token = guard_var.set(run.scope)
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                failure = run.classify(error)
                if failure is None:
                    raise
                first = error
            else:
                if run.scope.outer is not None:
                    run.done()
                if (breaker is None or breaker.quiet) and (budget is None or budget.full):
                    return result
                run.succeeded(generation)
                return result
            finally:
                guard_var.reset(token)
                run.scope.live = False
            try:
                return run.recover(generation, failure, first, partial(function, *args, **kwargs))
            finally:
                del first  # it knows this frame; not knowing it back saves a garbage collection

        return guarded

    return decorate


class GuardedRun:
    """One run of a guarded function, with all its attempts.

    Args:
        state: The target.
        policy: The settings.
        idempotent: Whether it may be repeated in any case.
    """

    __slots__ = ("_policy", "_started", "_state", "scope")

    def __init__(self, state: TargetState, policy: Policy, *, idempotent: bool) -> None:
        """Note when it began."""
        self._state = state
        self._policy = policy
        self._started = clock_module.active.now()
        self.scope = GuardScope(
            guard_var.get(),
            idempotent=idempotent,
            repeats=policy.retry.max_attempts != 1,
            target=state,
        )

    def slowly(self, function: Callable[[], T]) -> T:
        """Run it with every question asked from the start."""
        call = self.call()
        decision = self._state.step(call, call.start)
        attempt = partial(self._attempt, function)
        return drive(self._state, call, decision, attempt, self.classify)

    def recover(
        self, generation: int, failure: Failure, error: Exception, function: Callable[[], T]
    ) -> T:
        """Go on after a first attempt on the healthy path has failed."""
        call = self.call()
        call.begun(generation)
        decision = self._state.step(call, partial(call.failed, failure))
        attempt = partial(self._attempt, function)
        return drive(self._state, call, decision, attempt, self.classify, cause=error)

    def succeeded(self, generation: int) -> None:
        """Count the success of a first attempt on the healthy path."""
        call = self.call()
        call.begun(generation)
        self._state.step(call, call.succeeded)

    def done(self) -> None:
        """Tell the guard around this one that something was done: repeating it would redo that."""
        outer = self.scope.outer
        if outer is not None and not self.scope.idempotent:
            outer.mark_sent()

    def classify(self, error: Exception) -> Failure | None:
        """What the exception means for the function as a whole."""
        failure = classify(error, sent=self.scope.sent)
        if failure is None or failure.sent:
            self.scope.mark_sent()
        return failure

    def call(self) -> Call:
        """The state machine of this run.

        Inside another run on the same target it leaves the breaker to that one: a failure is
        counted once, and an inner call is part of the outer one's probe.
        """
        outer = self.scope.outer if self.scope.outer and self.scope.outer.live else None
        lane = self._state.lane(None)
        if outer is not None and any(
            scope.live and scope.target is self._state for scope in outer.chain()
        ):
            lane = lane._replace(breaker=None)
        return Call(
            self._state.name,
            self._policy,
            (lane,),
            self._state.budget,
            started=self._started,
            deadline=time_limit(),
            idempotent=self.scope.idempotent,
            outer_repeats=None if outer is None else outer.may_repeat,
        )

    def _attempt(self, function: Callable[[], T], proceed: Proceed) -> T:
        with ExitStack() as stack:
            if proceed.timeout is not None:
                stack.enter_context(deadline(proceed.timeout))
            stack.callback(guard_var.reset, guard_var.set(self.scope))
            self.scope.live = True
            try:
                result = function()
            finally:
                self.scope.live = False
            self.done()
            return result
