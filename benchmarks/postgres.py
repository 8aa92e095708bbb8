"""The psycopg drop-in over psycopg itself, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg as native

from benchmarks.measure import median_ratio, one_core
from integration.services.postgres_local import LocalPostgres
from tieline import psycopg as ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def ratios(rounds: int, pairs: int) -> Iterator[tuple[str, list[float]]]:
    """Name and median ratios, one a round, of each kind of call.

    Args:
        rounds: Medians to take.
        pairs: Interleaved pairs of calls in each.
    """
    with one_core(), LocalPostgres() as server:

        def connect_and_query(module: Any) -> Callable[[], object]:
            def call() -> None:
                with module.connect(server.conninfo) as connection:
                    connection.execute("SELECT 1").fetchone()

            return call

        yield (
            "connect, SELECT 1, commit, close",
            [
                median_ratio(connect_and_query(native), connect_and_query(ours), pairs)
                for _ in range(rounds)
            ],
        )
        with (
            native.connect(server.conninfo, autocommit=True) as raw,
            ours.connect(server.conninfo, autocommit=True) as wrapped,
        ):
            yield (
                "SELECT 1 on an open connection",
                [
                    median_ratio(
                        lambda: raw.execute("SELECT 1").fetchone(),
                        lambda: wrapped.execute("SELECT 1").fetchone(),
                        pairs,
                    )
                    for _ in range(rounds)
                ],
            )
