"""One run of guarded code, with all its attempts: what threads and event loops have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tieline.engine import clock as clock_module
from tieline.engine.context import (
    GuardScope,
    deadline,
    guard_var,
    is_idempotent,
    restore,
    surrounding_guard,
    time_limit,
)
from tieline.engine.listeners import added, emit
from tieline.engine.settings import settings
from tieline.engine.target import target_state
from tieline.events import CallFailed
from tieline.policy.breaker import BreakerState, CircuitBreaker
from tieline.policy.budget import Budget, BudgetState
from tieline.policy.call import Call
from tieline.policy.retry import Reason
from tieline.rules.guarded import classify
from tieline.rules.translate import circuit_open

if TYPE_CHECKING:
    from tieline.engine.target import TargetState
    from tieline.errors import CircuitOpen
    from tieline.failure import Failure
    from tieline.policy.decision import Decision
    from tieline.policy.policy import Policy


class Guard:
    """What all runs of one guarded function, or one loop of attempts, share.

    The settings are looked up when the first run begins: guarded functions are made at import,
    where an application has not yet prepared its environment.

    Args:
        name: Name of the target.
        policy: The settings; None for what the environment says.
        idempotent: Whether repeating does no harm.

    Attributes:
        settled: Whether the settings are known; nothing below is before that.
        enabled: Whether there is to be a policy at all.
        state: The target.
        policy: The settings.
        bounded: Whether the policy limits the time, so that an attempt needs a deadline.
        breaker: The breaker; if there is none, one that nobody tells anything and so stays closed.
        budget: The budget; if there is none, one that stays full, alike.
        full: Tokens in a full budget.
        repeats: Whether the policy repeats anything.
    """

    enabled: bool
    state: TargetState
    policy: Policy
    bounded: bool
    breaker: BreakerState
    budget: BudgetState
    full: float
    repeats: bool

    def __init__(self, name: str, policy: Policy | None, *, idempotent: bool) -> None:
        """Look nothing up."""
        self.name = name
        self.idempotent = idempotent
        self.settled = False
        self._given = policy

    def settle(self) -> None:
        """Look the settings up, and find the target's state.

        Raises:
            ConfigError: The environment makes no sense.
        """
        found = settings(self.name, self._given)
        policy = found.policy
        self.enabled = found.enabled
        self.policy = policy
        self.state = target_state(self.name, policy)
        self.bounded = policy.call_timeout is not None or policy.attempt_timeout is not None
        self.breaker = self.state.lane(None).breaker or BreakerState(CircuitBreaker())
        self.budget = self.state.budget or BudgetState(Budget())
        self.full = 0.0 if policy.budget is None else policy.budget.tokens
        self.repeats = policy.retry.max_attempts != 1
        self.settled = True

    def rejected(self, wait: float) -> CircuitOpen:
        """The error of a call that is not made because the breaker is open.

        It is what a `Call` would come to, without one: rejecting is what an open breaker does
        all day.

        Args:
            wait: Seconds until the breaker lets a probe through.
        """
        if added:
            emit([CallFailed(self.name, None, 0, 0.0, None, Reason.BREAKER)])
        return circuit_open(self.name, wait)


class GuardedRun:
    """One run of guarded code, with all its attempts.

    Args:
        guard: What it shares with the other runs.
        scope: Of its first attempt, if that was made already.
        started: When it began, if it has.
    """

    __slots__ = ("_earlier", "_guard", "_started", "scope")

    def __init__(
        self, guard: Guard, scope: GuardScope | None = None, started: float | None = None
    ) -> None:
        """Note when it began."""
        self._guard = guard
        self._started = clock_module.active.now() if started is None else started
        self._earlier: list[GuardScope] = []
        if scope is None:
            repeatable = guard.idempotent or is_idempotent()
            scope = GuardScope.make(surrounding_guard(), repeatable, guard.repeats, guard.state)
            scope.live = False
        self.scope = scope

    def call(self) -> Call:
        """The state machine of this run.

        Inside another run on the same target it leaves the breaker to that one: a failure is
        counted once, and an inner call is part of the outer one's probe.
        """
        guard, outer = self._guard, self.scope.outer
        state = guard.state
        lane = state.lane(None)
        if outer is not None and any(
            scope.live and scope.target is state for scope in outer.chain()
        ):
            lane = lane._replace(breaker=None)
        return Call(
            state.name,
            guard.policy,
            (lane,),
            state.budget,
            started=self._started,
            deadline=time_limit(),
            idempotent=self.scope.idempotent,
            outer_repeats=None if outer is None else outer.may_repeat,
        )

    def failed(self, generation: int, failure: Failure) -> tuple[Call, Decision]:
        """A `Call` for what follows the failure of a first attempt that was made without one."""
        call = self.call()
        call.begun(generation)
        return call, self._guard.state.step(call, partial(call.failed, failure))

    def succeeded(self, generation: int) -> None:
        """Count the success of a first attempt that was made without a `Call`."""
        call = self.call()
        call.begun(generation)
        self._guard.state.step(call, call.succeeded)

    def classify(self, error: Exception) -> Failure | None:
        """What the exception means for the code as a whole."""
        failure = classify(error, sent=self._sent())
        if failure is None or failure.sent:
            self.scope.mark_sent()
        return failure

    def attempt(self, timeout: float | None) -> RunningAttempt:
        """A block that runs one attempt."""
        return RunningAttempt(self, timeout)

    def begin(self) -> None:
        """Begin an attempt, with a scope of its own: tasks of an earlier one stay outside."""
        before = self.scope
        self._earlier.append(before)
        self.scope = GuardScope.make(
            before.outer, before.idempotent, before.repeats, before.target, self._sent()
        )

    def done(self) -> None:
        """Tell the guard around this one that something was done: repeating it would redo that."""
        outer = self.scope.outer
        if outer is not None and not self.scope.idempotent:
            outer.mark_sent()

    def _sent(self) -> bool:
        return self.scope.sent or any(scope.sent for scope in self._earlier)


class RunningAttempt:
    """Bounds the tieline calls inside, and tells them of the guard around them."""

    __slots__ = ("_deadline", "_run", "_token")

    def __init__(self, run: GuardedRun, timeout: float | None) -> None:
        """Wait to be entered."""
        self._run = run
        self._deadline = None if timeout is None else deadline(timeout)

    def __enter__(self) -> None:
        """Begin."""
        if self._deadline is not None:
            self._deadline.__enter__()
        self._run.begin()
        self._token = guard_var.set(self._run.scope)

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """End."""
        self._run.scope.live = False
        restore(guard_var, self._token)
        if self._deadline is not None:
            self._deadline.__exit__(None, None, None)
        if error is None:
            self._run.done()
