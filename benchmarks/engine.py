"""Retry and breaker around a function that does nothing: what the policy itself costs."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import tieline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = tuple[str, "Callable[[], object]"]


def nothing() -> None:
    """Succeed."""


def refuse() -> None:
    """Fail as a dead server does."""
    raise ConnectionRefusedError(111, "Connection refused")


def healthy() -> Iterator[Row]:
    """Rows of retry and breaker together, where nothing fails."""
    yield "bare call", nothing
    yield "tieline.guard: retry, breaker, budget, deadline", tieline.guard("bench")(nothing)
    yield from _peers(_healthy_peer)


def rejecting() -> Iterator[Row]:
    """Rows of an open breaker: reject and catch."""
    yield "bare raise and catch", _catching(refuse)
    policy = tieline.Policy(
        call_timeout=None,
        attempt_timeout=None,
        retry=tieline.Retry(max_attempts=1),
        breaker=tieline.CircuitBreaker(failures=1, open_for=3600, open_max=3600),
    )
    guarded = tieline.guard("bench-open", policy=policy)(refuse)
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
