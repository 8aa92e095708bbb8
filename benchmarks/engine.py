"""Retry and breaker around a function that does nothing: what the policy itself costs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import tieline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

Row = tuple[str, "Callable[[], object]"]
AsyncRow = tuple[str, "Callable[[], Awaitable[object]]"]

OPEN = tieline.Policy(
    call_timeout=None,
    attempt_timeout=None,
    retry=tieline.Retry(max_attempts=1),
    breaker=tieline.CircuitBreaker(failures=1, open_for=3600, open_max=3600),
)
"""Opens at the first failure, and stays open."""


def nothing() -> None:
    """Succeed."""


def refuse() -> None:
    """Fail as a dead server does."""
    raise ConnectionRefusedError(111, "Connection refused")


def healthy() -> Iterator[Row]:
    """Rows of retry and breaker together, where nothing fails."""
    yield "bare call", nothing
    yield "tieline.guard: retry, breaker, budget, deadline", tieline.guard("bench")(nothing)
    yield (
        "the same, with timeouts of its own",
        tieline.guard("bench", policy=tieline.Policy())(nothing),
    )
    yield from _peers(_healthy_peer)


def rejecting() -> Iterator[Row]:
    """Rows of an open breaker: reject and catch."""
    yield "bare raise and catch", _catching(refuse)
    guarded = tieline.guard("bench-open", policy=OPEN)(refuse)
    _catching(guarded)()
    yield "tieline.guard, open", _catching(guarded)
    yield from _peers(_open_peer)


def _catching(function: Callable[[], object]) -> Callable[[], object]:
    def caught() -> None:
        with suppress(Exception):
            function()

    return caught


def _peers(make: Callable[[str, Any], Callable[[], object] | None]) -> Iterator[Row]:
    for name in ("circuitbreaker", "pyresilience", "stamina", "tenacity", "pybreaker", "backoff"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        row = make(name, module)
        if row is not None:
            yield name, row


def _healthy_peer(name: str, module: Any) -> Callable[[], object] | None:
    makers: dict[str, Callable[[], Callable[[], object]]] = {
        "circuitbreaker": lambda: module.circuit(failure_threshold=5)(nothing),
        "pyresilience": lambda: module.resilient(
            retry=module.RetryConfig(max_attempts=3),
            circuit_breaker=module.CircuitBreakerConfig(failure_threshold=5),
        )(nothing),
        "stamina": lambda: module.retry(on=OSError, attempts=3)(nothing),
        "tenacity": lambda: module.retry(stop=module.stop_after_attempt(3))(nothing),
        "pybreaker": lambda: module.CircuitBreaker(fail_max=5)(nothing),
        "backoff": lambda: module.on_exception(module.expo, OSError, max_tries=3)(nothing),
    }
    return makers[name]()


def _open_peer(name: str, module: Any) -> Callable[[], object] | None:
    if name == "circuitbreaker":
        function = module.circuit(failure_threshold=1, recovery_timeout=3600)(refuse)
    elif name == "pybreaker":
        function = module.CircuitBreaker(fail_max=1, reset_timeout=3600)(refuse)
    elif name == "pyresilience":
        config = module.CircuitBreakerConfig(failure_threshold=1, recovery_timeout=3600)
        function = module.resilient(circuit_breaker=config)(refuse)
    else:
        return None
    caught = _catching(function)
    caught()
    return caught


async def nothing_async() -> None:
    """Succeed."""


async def refuse_async() -> None:
    """Fail as a dead server does."""
    raise ConnectionRefusedError(111, "Connection refused")


def healthy_async() -> Iterator[AsyncRow]:
    """Rows of retry and breaker together around a coroutine function, where nothing fails."""
    yield "bare call", nothing_async
    yield "tieline.guard: retry, breaker, budget, deadline", tieline.guard("bench")(nothing_async)
    makers: dict[str, Callable[[Any], Callable[[], Awaitable[object]]]] = {
        "hyx": _hyx,
        "pyresilience": lambda module: module.resilient(
            retry=module.RetryConfig(max_attempts=3),
            circuit_breaker=module.CircuitBreakerConfig(failure_threshold=5),
        )(nothing_async),
        "circuitbreaker": lambda module: module.circuit(failure_threshold=5)(nothing_async),
        "backoff": lambda module: module.on_exception(module.expo, OSError, max_tries=3)(
            nothing_async
        ),
    }
    for name, make in makers.items():
        with suppress(ImportError):
            yield name, make(import_module(name))


def _hyx(_module: Any) -> Callable[[], Awaitable[object]]:
    retry = import_module("hyx.retry").retry(on=OSError, attempts=3)
    breaker = import_module("hyx.circuitbreaker").consecutive_breaker(
        exceptions=(OSError,), failure_threshold=5, recovery_time_secs=1
    )
    found: Callable[[], Awaitable[object]] = retry(breaker(nothing_async))
    return found


def rejecting_async() -> Iterator[AsyncRow]:
    """Rows of an open breaker around a coroutine function: reject and catch."""
    yield "bare raise and catch", _catching_async(refuse_async)
    makers: dict[str, Callable[[Any], Callable[[], Awaitable[object]]]] = {
        "tieline": lambda module: module.guard("bench-open-async", policy=OPEN)(refuse_async),
        "circuitbreaker": lambda module: module.circuit(failure_threshold=1, recovery_timeout=3600)(
            refuse_async
        ),
        "hyx": lambda _: import_module("hyx.circuitbreaker").consecutive_breaker(
            exceptions=(OSError,), failure_threshold=1, recovery_time_secs=3600
        )(refuse_async),
    }
    for name, make in makers.items():
        with suppress(ImportError):
            caught = _catching_async(make(import_module(name)))
            asyncio.run(caught())
            yield name, caught


def _catching_async(
    function: Callable[[], Awaitable[object]],
) -> Callable[[], Coroutine[Any, Any, None]]:
    async def caught() -> None:
        with suppress(Exception):
            await function()

    return caught


def walls(threads: int = 8, calls: int = 25, seconds: float = 0.002) -> Iterator[tuple[str, float]]:
    """Wall time of many threads that share a target, over that of one: 1.0 if none waits.

    Args:
        threads: How many at once.
        calls: Calls of each.
        seconds: What each call takes.
    """

    def work() -> None:
        time.sleep(seconds)

    def wall(function: Callable[[], object], workers: int) -> float:
        start = threading.Barrier(workers + 1)

        def worker() -> None:
            start.wait()
            for _ in range(calls):
                function()

        with ThreadPoolExecutor(workers) as pool:
            for _ in range(workers):
                pool.submit(worker)
            start.wait()
            begun = time.perf_counter()
        return time.perf_counter() - begun

    functions: dict[str, Callable[[], object]] = {
        "tieline.guard": tieline.guard("bench-wall")(work),
        "tieline.guard, with timeouts": tieline.guard("bench-wall", policy=tieline.Policy())(work),
    }
    with suppress(ImportError):
        functions["pybreaker"] = import_module("pybreaker").CircuitBreaker()(work)
    for name, function in functions.items():
        yield name, wall(function, threads) / wall(function, 1)


def probes(callers: int = 16) -> Iterator[tuple[str, int]]:
    """How many of so many callers reach the server at once when the breaker is half-open."""
    pause = 0.05
    policy = tieline.Policy(
        call_timeout=None,
        attempt_timeout=None,
        retry=tieline.Retry(max_attempts=1),
        breaker=tieline.CircuitBreaker(failures=1, open_for=pause, jitter=0.0),
    )
    makers: dict[str, Callable[[Any], Callable[..., Callable[[], object]]]] = {
        "tieline": lambda module: module.guard("bench-probe", policy=policy),
        "circuitbreaker": lambda module: module.circuit(
            failure_threshold=1, recovery_timeout=pause
        ),
        "pyresilience": lambda module: module.resilient(
            circuit_breaker=module.CircuitBreakerConfig(failure_threshold=1, recovery_timeout=pause)
        ),
        "pybreaker": lambda module: module.CircuitBreaker(fail_max=1, reset_timeout=pause),
    }
    for name, make in makers.items():
        with suppress(ImportError):
            yield name, _reaching(make(import_module(name)), callers, 2 * pause)


def _reaching(decorate: Callable[..., Callable[[], object]], callers: int, wait: float) -> int:
    reached: list[int] = []
    down = True

    def server() -> None:
        if down:
            refuse()
        reached.append(1)
        time.sleep(wait)
        refuse()

    call = _catching(decorate(server))
    call()
    down = False
    time.sleep(wait)
    start = threading.Barrier(callers)

    def caller() -> None:
        start.wait()
        call()

    with ThreadPoolExecutor(callers) as pool:
        for _ in range(callers):
            pool.submit(caller)
    return len(reached)
