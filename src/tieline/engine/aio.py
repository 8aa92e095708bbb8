"""The driver for asyncio. Its twin in `sync` has the same body but for ``await``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tieline.engine import clock as clock_module
from tieline.policy.decision import Proceed, Sleep
from tieline.rules.translate import final_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tieline.engine.target import TargetState
    from tieline.failure import Failure
    from tieline.policy.call import Call
    from tieline.policy.decision import Decision

T = TypeVar("T")


async def drive(  # noqa: PLR0913 - what a driver drives
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
                        state.step(call, call.abandoned)
                        raise
                    cause = error
                    decision = state.step(call, partial(call.failed, failure))
                except BaseException:
                    state.step(call, call.abandoned)
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


async def sleep(seconds: float) -> None:
    """Wait, on the engine's clock."""
    await clock_module.active.sleep_async(seconds)
