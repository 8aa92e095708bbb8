"""The policy around a block of code, as a loop over its attempts."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from tieline.engine import clock as clock_module
from tieline.engine.context import deadline, guard_var, is_idempotent
from tieline.engine.guard import GUARD, GuardedRun
from tieline.engine.sync import sleep
from tieline.engine.target import target_state
from tieline.policy.decision import Proceed, Raise, Sleep
from tieline.rules.translate import final_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tieline.engine.target import TargetState
    from tieline.policy.call import Call
    from tieline.policy.decision import Decision
    from tieline.policy.policy import Policy


class Attempts:
    """The attempts of one block; made by `attempts`."""

    def __init__(self, name: str, policy: Policy, *, idempotent: bool) -> None:
        """Nothing happens before it is iterated."""
        self._state = target_state(name, policy)
        self._policy = policy
        self._idempotent = idempotent

    def __iter__(self) -> Iterator[Block]:
        """Give blocks to enter until one of them succeeds or the policy ends it."""
        run = GuardedRun(self._state, self._policy, idempotent=self._idempotent or is_idempotent())
        call = run.call()
        decision = self._state.step(call, call.start)
        cause: Exception | None = None
        while True:
            if isinstance(decision, Proceed):
                block = Block(self._state, run, call, decision)
                left = True
                try:
                    yield block
                    left = False
                finally:
                    # Not entered, or left by `break` with leave for the next attempt in hand.
                    if not block.entered or (left and isinstance(block.following, Proceed)):
                        self._state.step(call, call.abandoned)
                if not block.entered:
                    raise RuntimeError("attempts(): write `with attempt:` in the body of the loop")
                if block.following is None:
                    return
                decision, cause = block.following, block.error
            elif isinstance(decision, Sleep):
                sleep(decision.seconds)
                decision = self._state.step(call, call.woke)
            else:
                raise final_error(call, decision, cause, "", clock_module.active.now())


def attempts(name: str, *, policy: Policy = GUARD, idempotent: bool = False) -> Attempts:
    """Repeat a block of code as the policy says, by the same rules as `guard`.

    ::

        for attempt in tieline.attempts("billing"):
            with attempt:
                session.get(url)

    Args:
        name: Name of the target; functions and clients of one name share breaker and budget.
        policy: The settings.
        idempotent: Whether running the block twice does no harm.

    Raises:
        CircuitOpen: From the loop: the block was not entered; recent calls failed.
        DeadlineExceeded: From the loop: the time was up before the block could be entered.
    """
    return Attempts(name, policy, idempotent=idempotent)


class Block:
    """One attempt: ``with`` runs it; a failure that will be repeated ends there.

    Attributes:
        number: 1 for the first attempt.
    """

    def __init__(self, state: TargetState, run: GuardedRun, call: Call, proceed: Proceed) -> None:
        """Wait to be entered."""
        self.number = proceed.number
        self.entered = False
        self.following: Decision | None = None
        self.error: Exception | None = None
        self._state = state
        self._run = run
        self._call = call
        self._timeout = proceed.timeout
        self._context = ExitStack()

    def __enter__(self) -> Self:
        """Begin the attempt."""
        self.entered = True
        if self._timeout is not None:
            self._context.enter_context(deadline(self._timeout))
        self._context.callback(guard_var.reset, guard_var.set(self._run.scope))
        self._run.scope.live = True
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        """End it: swallow a failure that is repeated, raise what ends the call."""
        self._context.close()
        self._run.scope.live = False
        if error is None:
            self._run.done()
            self._state.step(self._call, self._call.succeeded)
            return False
        failure = self._run.classify(error) if isinstance(error, Exception) else None
        if failure is None or not isinstance(error, Exception):
            self._state.step(self._call, self._call.abandoned)
            return False
        following = self._state.step(self._call, partial(self._call.failed, failure))
        if isinstance(following, Raise):
            final = final_error(self._call, following, error, "", clock_module.active.now())
            if final is error:
                return False
            raise final
        self.following, self.error = following, error
        return True
