"""Statements of `AsyncConnection` that are cancelled, and pools of it, before a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tieline import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from integration.services.postgres import PostgresService

pytestmark = pytest.mark.integration

WAIT = "SELECT pg_sleep(30)"


async def begun(postgres: PostgresService, connection: Any) -> None:
    """Wait until the server is at it."""
    query = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
    async with await native.AsyncConnection.connect(
        postgres.admin_conninfo, autocommit=True
    ) as admin:
        while True:
            cursor = await admin.execute(query, (connection.info.backend_pid,))
            if await cursor.fetchone() == ("PgSleep",):
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seconds", [None, 20.0])
@pytest.mark.parametrize("client", [native, psycopg], ids=["native", "ours"])
def test_a_cancelled_statement(
    postgres: PostgresService, client: Any, seconds: float | None
) -> None:
    """It is cancelled in the server, CancelledError passes, and the connection goes on."""

    async def main() -> None:
        async with await client.AsyncConnection.connect(
            postgres.conninfo, autocommit=True
        ) as connection:
            with tieline.deadline(seconds):
                task = asyncio.ensure_future(connection.execute(WAIT))
                await begun(postgres, connection)
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as caught:
                    await task
            assert type(caught.value) is asyncio.CancelledError
            assert connection.info.transaction_status == native.pq.TransactionStatus.IDLE
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)

    asyncio.run(main())


def test_a_guard_knows_of_a_statement_that_was_cancelled(postgres: PostgresService) -> None:
    """A statement cut by the caller's own timeout counts as sent, also when that is swallowed."""
    calls = []

    @tieline.guard("guarded-cancelled")
    async def work() -> None:
        calls.append(1)
        connection = await psycopg.AsyncConnection.connect(postgres.conninfo, autocommit=True)
        try:
            async with asyncio.timeout(0.2):
                await connection.execute(WAIT)
        except TimeoutError:
            # Not by `async with`, whose COMMIT would count as sent by itself.
            await connection.close()
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(work())
    assert len(calls) == 1


def test_the_guards_own_time_cuts_a_statement(postgres: PostgresService) -> None:
    """The statement ends by itself, on time, and says what became of it."""

    @tieline.guard(
        "guarded-cut", policy=tieline.Policy(attempt_timeout=0.3, call_timeout=0.3, budget=None)
    )
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(postgres.conninfo) as connection:
            await connection.execute(WAIT)

    with pytest.raises(tieline.DeadlineExceeded) as caught:
        asyncio.run(work())
    assert isinstance(caught.value, TimeoutError)


def test_statements_side_by_side(postgres: PostgresService) -> None:
    """The deadline of one task ends its statement and leaves those of others alone."""

    async def one(number: int, seconds: float) -> Any:
        async with await psycopg.AsyncConnection.connect(postgres.conninfo) as connection:
            cursor = await connection.execute("SELECT %s FROM pg_sleep(%s)", (number, seconds))
            return await cursor.fetchone()

    async def bounded(work: Callable[[], Awaitable[Any]]) -> Any:
        with tieline.deadline(0.5):
            return await work()

    async def main() -> list[Any]:
        return await asyncio.gather(
            bounded(lambda: one(0, 30)),
            *(one(number, 0.8) for number in range(10)),
            return_exceptions=True,
        )

    cut, *rest = asyncio.run(main())
    assert isinstance(cut, tieline.DeadlineExceeded)
    assert rest == [(number,) for number in range(10)]
