"""The policy around a function that is not one of our clients."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tieline.engine import aio, sync
from tieline.engine.run import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.policy.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")


def guard(
    name: str, *, policy: Policy | None = None, idempotent: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function so that it fails, waits and is repeated as the policy says.

    It is repeated when the failure may pass and either it is ``idempotent``, or every tieline
    call made inside it, on every attempt so far, sent nothing. An exception that tieline does
    not know passes as it is and counts as sent. The policy's timeouts bound the tieline calls
    made inside, as `deadline` does. A coroutine function may be guarded too; one that runs
    beyond its time is cancelled.

    Args:
        name: Name of the target; functions and clients of one name share breaker and budget.
        policy: The settings; by default those of the environment, read when the function is first
            called, for this name or for all; where it says nothing, 3 attempts without a timeout.
        idempotent: Whether running it twice does no harm.

    Raises:
        ConfigError: The environment makes no sense; on each call, until it does.
        CircuitOpen: The decorated function was not called; recent calls failed.
        DeadlineExceeded: The time was up before it could be called, or while it ran.
        TypeError: It is a generator function: what happens in it happens after it has returned.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if _is(function, inspect.isgeneratorfunction) or _is(function, inspect.isasyncgenfunction):
            named = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"guard: {named} is a generator function, and calling it runs nothing that could "
                "be guarded; guard the function that consumes it, or use tieline.attempts inside"
            )
        shared = Guard(name, policy, idempotent=idempotent)
        if _is(function, inspect.iscoroutinefunction):
            coroutine = cast("Callable[P, Any]", function)
            return cast("Callable[P, T]", aio.guarded(shared, coroutine))
        return sync.guarded(shared, function)

    return decorate


def _is(function: object, kind: Callable[[object], bool]) -> bool:
    """Whether calling it is calling a function of that kind: it may be an object with a method."""
    return kind(function) or kind(getattr(type(function), "__call__", None))  # noqa: B004
