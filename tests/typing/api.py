"""The public API as type checkers see it; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import tieline
from tieline import config, psycopg
from tieline.psycopg.rows import DictRow, TupleRow, dict_row


def connections() -> None:
    """Row types flow through the drop-in as they do through psycopg."""
    connection = psycopg.connect("host=db", target="orders-db", policy=tieline.Policy())
    assert_type(connection, psycopg.Connection[TupleRow])
    assert_type(connection.execute("select 1").fetchone(), tuple[Any, ...] | None)
    # pyright binds a bare `connect` to tuple rows, psycopg's own as well as ours.
    with psycopg.Connection[DictRow].connect("host=db", row_factory=dict_row) as by_name:
        assert_type(by_name, psycopg.Connection[DictRow])
        assert_type(by_name.execute("select 1").fetchall(), list[dict[str, Any]])


@tieline.guard("billing", idempotent=True)
def charge(cents: int, *, currency: str = "EUR") -> str:
    """A guarded function keeps its signature."""
    return f"{cents} {currency}"


@tieline.guard("billing", idempotent=True)
async def charge_later(cents: int) -> str:
    """A guarded coroutine function stays one."""
    return f"{cents}"


async def awaited() -> None:
    """What coroutines take and give."""
    assert_type(await charge_later(3), str)
    connection = await psycopg.AsyncConnection.connect("host=db", target="orders-db")
    assert_type(connection, psycopg.AsyncConnection[TupleRow])
    cursor = await connection.execute("select 1")
    assert_type(await cursor.fetchone(), tuple[Any, ...] | None)
    async for attempt in tieline.attempts("billing"):
        with attempt:
            assert_type(attempt.number, int)


def configured() -> None:
    """What the environment says, typed."""
    found = config.resolve("psycopg", "orders-db", policy=None)
    assert_type(found, config.Resolved)
    assert_type(found.policy, tieline.Policy)
    assert_type(found.policy.budget, tieline.Budget | None)
    assert_type(found.policy.call_timeout, float | None)
    assert_type(found.dsn, str | None)
    assert_type(found.headers, Mapping[str, str])
    assert_type(found.origins["retry.max_attempts"], config.Origin)
    config.Target(url="https://host/", headers={"Authorization": "x"}, policy=tieline.Policy())
    tieline.Policy(budget="fleet")
    with psycopg.connect(target="orders-db"):
        pass


def guarded() -> None:
    """What a guarded function takes and gives."""
    assert_type(charge(3, currency="CHF"), str)
    for attempt in tieline.attempts("billing"):
        with attempt:
            assert_type(attempt.number, int)
    with tieline.deadline(2.0), tieline.idempotent():
        assert_type(charge(1), str)


def handled() -> None:
    """Errors carry their facts, typed."""
    try:
        psycopg.connect()
    except tieline.Refused as error:
        assert_type(error.attempts, tuple[tieline.Attempt, ...])
        assert_type(error.maybe_applied, bool)
