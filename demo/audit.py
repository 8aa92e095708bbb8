"""What the database holds, compared with what the callers were told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tieline

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from demo.load import Call

_LOST = """
    SELECT answered FROM unnest(%s::integer[]) AS answered
    WHERE NOT EXISTS (SELECT FROM orders WHERE side = %s AND id = answered)
"""
_TWICE = "SELECT id FROM orders WHERE side = %s GROUP BY id HAVING count(*) > 1"
_STORED = "SELECT DISTINCT id FROM orders WHERE side = %s AND id = ANY(%s::integer[])"


@dataclass(frozen=True, slots=True)
class Audit:
    """Orders of one side, by number.

    A COMMIT whose outcome is unknown is looked up here by its id, as the app would do it when
    the server is back. Stored or not, it counts as neither lost nor written twice: its caller was
    told to look.

    Attributes:
        lost: Answered, but not in the database.
        twice: In the database more than once.
        unknown: Failed with ``OutcomeUnknown``.
        stored: In the database although the call failed, whatever the error said.
    """

    lost: frozenset[int] = frozenset()
    twice: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()
    stored: frozenset[int] = frozenset()


def audit(connection: psycopg.Connection, side: str, calls: Iterable[Call]) -> Audit:
    """Count in the database.

    Args:
        connection: To the database, after everything has ended.
        side: Whose orders.
        calls: All its calls.
    """
    answered = [call.number for call in calls if call.error is None]
    failed = [call.number for call in calls if call.error is not None]
    unknown = (call.number for call in calls if isinstance(call.error, tieline.OutcomeUnknown))
    with connection.cursor() as cursor:
        lost, twice, stored = (
            frozenset(number for (number,) in cursor.execute(query, parameters))
            for query, parameters in (
                (_LOST, (answered, side)),
                (_TWICE, (side,)),
                (_STORED, (side, failed)),
            )
        )
    return Audit(lost, twice, frozenset(unknown), stored)
