"""`TIELINE_ENABLED=0` for guarded code, and where its settings come from otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import tieline
from tieline import config
from tieline.engine.target import target_state
from tieline.testing import ManualClock, RecordingListener

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def clock() -> Iterator[ManualClock]:
    """Waits take no time."""
    with ManualClock() as manual:
        yield manual


class Refusing:
    """Is refused each time it is called, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        """Be refused."""
        self.calls += 1
        raise ConnectionRefusedError(111, "refused")

    async def later(self) -> None:
        """The same in a coroutine."""
        self()


def guarded(function: Refusing, policy: tieline.Policy | None = None) -> type[BaseException]:
    """What comes of it in a guard."""
    with pytest.raises(ConnectionRefusedError) as caught:
        tieline.guard("orders-db", policy=policy, idempotent=True)(function)()
    return type(caught.value)


def guarded_later(function: Refusing, policy: tieline.Policy | None = None) -> type[BaseException]:
    """What comes of it in a guard around a coroutine function."""
    with pytest.raises(ConnectionRefusedError) as caught:
        asyncio.run(tieline.guard("orders-db", policy=policy, idempotent=True)(function.later)())
    return type(caught.value)


def looped(function: Refusing, policy: tieline.Policy | None = None) -> type[BaseException]:
    """What comes of it in a loop of attempts."""
    with pytest.raises(ConnectionRefusedError) as caught:
        for attempt in tieline.attempts("orders-db", policy=policy, idempotent=True):
            with attempt:
                function()
    return type(caught.value)


def looped_later(function: Refusing, policy: tieline.Policy | None = None) -> type[BaseException]:
    """What comes of it in a loop of attempts in a coroutine."""

    async def loop() -> None:
        async for attempt in tieline.attempts("orders-db", policy=policy, idempotent=True):
            with attempt:
                function()

    with pytest.raises(ConnectionRefusedError) as caught:
        asyncio.run(loop())
    return type(caught.value)


ways = pytest.mark.parametrize("way", [guarded, guarded_later, looped, looped_later])


@ways
def test_policy_of_the_environment(way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guarded code without a policy takes that of its name, with one its own."""
    function = Refusing()
    way(function)
    assert function.calls == 3
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS", "2")
    function = Refusing()
    way(function)
    assert function.calls == 2
    function = Refusing()
    way(function, tieline.Policy(retry=tieline.Retry(max_attempts=4), budget=None, breaker=None))
    assert function.calls == 4


@ways
@pytest.mark.parametrize("policy", [None, tieline.Policy()])
def test_off(way, policy: tieline.Policy | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, code runs once, its error is its own, and nobody hears of it."""
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "nonsense, and of no importance now")
    function = Refusing()
    with RecordingListener() as heard:
        for _ in range(9):
            assert way(function, policy) is ConnectionRefusedError
    assert function.calls == 9
    assert heard.events == []


def test_off_and_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, what succeeds succeeds, and a loop has one attempt."""
    monkeypatch.setenv("TIELINE_ENABLED", "no")
    assert tieline.guard("t")(lambda: 5)() == 5
    numbers = []
    for attempt in tieline.attempts("t"):
        with attempt:
            numbers.append(attempt.number)
    assert numbers == [1]


def test_where_a_target_is_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guarded code runs although a secret that it does not need is missing."""
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__DSN_FILE", "/no/such/file")
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__URL", "nonsense")
    assert tieline.guard("orders-db")(lambda: 5)() == 5


def test_read_by_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorator runs at import; what it decorates reads the environment when it is called."""
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS", "nonsense")
    function = Refusing()
    run = tieline.guard("orders-db", idempotent=True)(function)
    for _ in range(2):
        with pytest.raises(tieline.ConfigError, match="MAX_ATTEMPTS='nonsense'"):
            run()
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS", "2")
    with pytest.raises(tieline.Refused):
        run()
    assert function.calls == 2


def test_shared_with_the_clients_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard and a client of one name, configured by one variable, share breaker and budget."""
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__BUDGET__TOKENS", "4")
    states = [
        target_state("orders-db", config.resolve(client, "orders-db").policy)
        for client in ("guard", "psycopg")
    ]
    assert states[0] is states[1]
    assert states[0].budget is not None
    assert states[0].budget.tokens == 4
