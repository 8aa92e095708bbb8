"""The policy around a block of code, as a loop over its attempts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tieline.engine import aio, sync
from tieline.engine import clock as clock_module
from tieline.engine.run import Guard, GuardedRun
from tieline.policy.decision import Proceed, Raise, Sleep
from tieline.rules.translate import final_error

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from types import TracebackType

    from tieline.policy.call import Call
    from tieline.policy.decision import Decision
    from tieline.policy.policy import Policy

T = TypeVar("T")


class Attempts:
    """The attempts of one block; made by `attempts`."""

    def __init__(self, name: str, policy: Policy | None, *, idempotent: bool) -> None:
        """Nothing happens before it is iterated."""
        self._guard = Guard(name, policy, idempotent=idempotent)

    def __iter__(self) -> Blocks | Iterator[Bare]:
        """Give blocks to enter until one of them succeeds or the policy ends it."""
        return Blocks(self._guard) if self._acts() else iter((Bare(),))

    def __aiter__(self) -> AsyncBlocks | AsyncIterator[Bare]:
        """The same in a coroutine: waits let other tasks run, and time cuts the block."""
        return AsyncBlocks(self._guard) if self._acts() else _once()

    def _acts(self) -> bool:
        if not self._guard.settled:
            self._guard.settle()
        return self._guard.enabled


class Bare:
    """The one attempt that there is when tieline is switched off: what fails in it, fails.

    Attributes:
        number: 1.
    """

    number = 1

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""


async def _once() -> AsyncIterator[Bare]:
    yield Bare()


def attempts(name: str, *, policy: Policy | None = None, idempotent: bool = False) -> Attempts:
    """Repeat a block of code as the policy says, by the same rules as `guard`.

    ::

        for attempt in tieline.attempts("billing"):
            with attempt:
                session.get(url)

    In a coroutine it is ``async for``; the ``with`` stays as it is.

    Args:
        name: Name of the target; functions and clients of one name share breaker and budget.
        policy: The settings; by default those of the environment, read when the loop begins, for
            this name or for all; where it says nothing, 3 attempts without a timeout.
        idempotent: Whether running the block twice does no harm.

    Raises:
        ConfigError: From the loop: the environment makes no sense.
        CircuitOpen: From the loop: the block was not entered; recent calls failed.
        DeadlineExceeded: From the loop: the time was up before the block could be entered.
    """
    return Attempts(name, policy, idempotent=idempotent)


class Block:
    """One attempt: ``with`` runs it; a failure that will be repeated ends there.

    Attributes:
        number: 1 for the first attempt.
    """

    def __init__(
        self, guard: Guard, run: GuardedRun, call: Call, proceed: Proceed, *, cuts: bool
    ) -> None:
        """Wait to be entered."""
        self.number = proceed.number
        self.entered = False
        self.following: Decision | None = None
        self.error: Exception | None = None
        self._state = guard.state
        self._run = run
        self._call = call
        self._running = run.attempt(proceed.timeout)
        self._cut_after = proceed.timeout if cuts else None
        self._cut: asyncio.Timeout | None = None

    @property
    def holds(self) -> bool:
        """Whether it has a permit that nobody uses."""
        return not self.entered or isinstance(self.following, Proceed)

    def __enter__(self) -> Self:
        """Begin the attempt."""
        self.entered = True
        self._running.__enter__()
        if self._cut_after is not None:
            self._cut = aio.cut(self._cut_after)
            _at_once(self._cut.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End it: swallow a failure that is repeated, raise what ends the call."""
        if self._cut is not None:
            try:
                _at_once(self._cut.__aexit__(kind, error, traceback))
            except TimeoutError as expired:
                error = expired
        self._running.__exit__(None, error, None)
        if error is None:
            self._state.step(self._call, self._call.succeeded)
            return False
        failure = self._run.classify(error) if isinstance(error, Exception) else None
        if failure is None or not isinstance(error, Exception):
            self._state.abandon(self._call)
            return False
        following = self._state.step(self._call, partial(self._call.failed, failure))
        if isinstance(following, Raise):
            final = final_error(self._call, following, error, "", clock_module.active.now())
            if final is error:
                return False
            try:
                raise final
            finally:
                # They know this frame; not knowing them back saves a garbage collection.
                del final, error
        self.following, self.error = following, error
        return True


class _Loop:
    """What the two kinds of loop have in common.

    Args:
        guard: What it shares with the other runs.
    """

    cuts = False
    """Whether a block that takes too long is cancelled."""

    def __init__(self, guard: Guard) -> None:
        """Begin the call."""
        self._block: Block | None = None
        self._guard = guard
        self._run = GuardedRun(guard)
        self._call = self._run.call()

    def _following(self) -> Decision | None:
        """What comes after the last block; None when it has succeeded."""
        call, block = self._call, self._block
        if block is None:
            return self._guard.state.step(call, call.start)
        if not block.entered:
            self._leave()
            raise RuntimeError("attempts(): write `with attempt:` in the body of the loop")
        return block.following

    def _woke(self) -> Decision:
        return self._guard.state.step(self._call, self._call.woke)

    def _next(self, decision: Proceed | Raise) -> Block:
        """The block to enter next.

        Raises:
            TielineError: There is none.
        """
        last, self._block = self._block, None
        cause = None
        if last is not None:
            cause, last.error = last.error, None
        if isinstance(decision, Raise):
            raise final_error(self._call, decision, cause, "", clock_module.active.now())
        self._block = Block(self._guard, self._run, self._call, decision, cuts=self.cuts)
        return self._block

    def _leave(self) -> None:
        """Give back a permit that nobody uses."""
        if self._block is not None and self._block.holds:
            self._block = None
            self._guard.state.abandon(self._call)

    def __del__(self) -> None:
        """The loop was left before the block, or with leave for the next attempt in hand."""
        self._leave()


class Blocks(_Loop):
    """The blocks of one ``for``."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Block:
        decision = self._following()
        if decision is None:
            raise StopIteration
        while isinstance(decision, Sleep):
            sync.sleep(decision.seconds)
            decision = self._woke()
        return self._next(decision)


class AsyncBlocks(_Loop):
    """The blocks of one ``async for``."""

    cuts = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Block:
        decision = self._following()
        if decision is None:
            raise StopAsyncIteration
        while isinstance(decision, Sleep):
            await aio.sleep(decision.seconds)
            decision = self._woke()
        return self._next(decision)


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: asyncio.timeout is entered and left like that."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")
