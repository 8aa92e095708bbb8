"""The app: what a web handler does all day, written once for both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

# There is no unique key on purpose: a row that is written twice has to show.
TABLE = "CREATE TABLE orders (side text NOT NULL, id integer NOT NULL)"
INSERT = "INSERT INTO orders (side, id) VALUES (%s, %s)"


def place_order(
    client: ModuleType,
    connect: Mapping[str, Any],
    options: Mapping[str, Any],
    side: str,
    order: int,
) -> None:
    """Connect, insert one row in a transaction, commit, close.

    Args:
        client: ``psycopg``, or tieline's drop-in of the same name.
        connect: The connection parameters.
        options: Keywords that only the drop-in knows; empty for psycopg.
        side: Whose order it is.
        order: Its id, unique on its side.
    """
    with client.connect(**connect, **options) as connection:
        connection.execute(INSERT, (side, order))


async def place_order_async(
    client: ModuleType,
    connect: Mapping[str, Any],
    options: Mapping[str, Any],
    side: str,
    order: int,
) -> None:
    """The same on an event loop."""
    async with await client.AsyncConnection.connect(**connect, **options) as connection:
        await connection.execute(INSERT, (side, order))
