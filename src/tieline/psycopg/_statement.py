"""A connection that broke under a statement: what became of the statement."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from psycopg import pq

from tieline.endpoint import Endpoint
from tieline.errors import DeadlineExceeded, OutcomeUnknown, TielineError
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.psycopg._conninfo import SCHEME
from tieline.rules import sqlstate
from tieline.rules.classes import CLASSES
from tieline.rules.libpq import classify_loss, native_error
from tieline.rules.sql import FATES, Fate, ends_transaction
from tieline.rules.translate import lost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from psycopg import BaseConnection

STATEMENT_LOCALS: Final = {
    "_exec_command": "command",
    "_execute_gen": "pgq",
    "_stream_send_gen": "pgq",
    "_executemany_gen_no_pipeline": "pgq",
    "_executemany_gen_pipeline": "pgq",
}
"""Generator of psycopg -> its local variable that holds the statement (3.2 and 3.3)."""


LISTENING: Final = "notifies"
"""Generator of psycopg that waits for notifications and sends nothing (3.2 and 3.3)."""

_FATAL: Final = ("FATAL", "PANIC")
"""Severities after which the server ends the session (PostgreSQL manual, 'Message Severity')."""


class Expired(Exception):
    """Thrown into a statement's generator when the deadline has come."""


def connection_lost(
    connection: BaseConnection[Any], error: Exception, target: str | None
) -> BaseException:
    """The error of ours for a connection that is gone, or has to go.

    Args:
        connection: The connection; one whose deadline has come is still open.
        error: What psycopg raised, with its traceback.
        target: Name of the target, where it has one.
    """
    code = getattr(error, "sqlstate", None) or ""
    if isinstance(error, Expired):
        failure = Failure(Phase.RECEIVE, Kind.TIMEOUT, Safety.IF_IDEMPOTENT, hint="deadline")
    elif code:
        failure = sqlstate.lookup(code).failure(Phase.RECEIVE, code=code)
    else:
        failure = classify_loss(str(error))
    if _is_listening(error):
        failure = dataclasses.replace(failure, safety=Safety.ALWAYS)
    unsent = failure.safety is Safety.ALWAYS
    unknown = not unsent and _fate(connection, error) is Fate.UNKNOWN
    failure = dataclasses.replace(
        failure, maybe_applied=unknown, hint="outcome" if unknown else failure.hint
    )
    ours: type[TielineError] = CLASSES[failure.phase, failure.kind]
    if isinstance(error, Expired):
        ours = DeadlineExceeded
        error = native_error(ours, "deadline exceeded")
    elif unknown:
        ours = OutcomeUnknown
    ending = _ENDINGS[unknown, unsent]
    if ours is DeadlineExceeded:
        ending = f"{_TIME_IS_UP}; {ending}"
    facts = {"target": target, "maybe_applied": unknown}
    return lost(
        ours,
        failure,
        error,
        endpoint=endpoint_of(connection),
        facts=facts,
        ending=ending,
        client="psycopg",
    )


def already_lost(
    connection: BaseConnection[Any], error: Exception, target: str | None
) -> BaseException:
    """The error of ours for the use of a connection that broke before; nothing was sent."""
    failure = Failure(Phase.SEND, Kind.STALE, Safety.ALWAYS, hint="server-gone")
    return lost(
        CLASSES[failure.phase, failure.kind],
        failure,
        error,
        endpoint=endpoint_of(connection),
        facts={"target": target},
        ending=_ENDINGS[False, True],
        client="psycopg",
    )


def out_of_time(connection: BaseConnection[Any], target: str | None) -> BaseException:
    """The error of ours for a statement that the deadline leaves no time for; nothing was sent."""
    failure = Failure(Phase.SEND, Kind.TIMEOUT, Safety.ALWAYS, hint="deadline")
    error = native_error(DeadlineExceeded, "deadline exceeded")
    return lost(
        DeadlineExceeded,
        failure,
        error,
        endpoint=endpoint_of(connection),
        facts={"target": target},
        ending=f"{_TIME_IS_UP}; {_ENDINGS[False, True]}",
        client="psycopg",
    )


def ends_session(error: Exception) -> bool:
    """Whether the server said that it ends the session; libpq may not have seen the end yet."""
    severity = getattr(getattr(error, "diag", None), "severity_nonlocalized", None)
    return severity in _FATAL


_TIME_IS_UP: Final = "the deadline was exceeded"

_ENDINGS: Final = {
    (True, False): "the statement may have been applied",
    (False, False): "its transaction is rolled back",
    (False, True): "the statement was not run",
}


def endpoint_of(connection: BaseConnection[Any]) -> Endpoint:
    """Where a connection leads, also when it is gone."""
    pgconn = connection.pgconn
    try:
        host, port = pgconn.host.decode(), pgconn.port.decode()
    except Exception:  # noqa: BLE001 - a finished connection refuses in ways that vary
        known: Endpoint | None = getattr(connection, "_tieline_endpoint", None)
        return known or Endpoint(SCHEME, "the server", None)
    return Endpoint(SCHEME, host, int(port) if port.isdecimal() else None)


def _fate(connection: BaseConnection[Any], error: Exception) -> Fate:
    """What became of the statement.

    Without autocommit, psycopg itself opens a transaction before each first statement.
    """
    inside = not connection.autocommit or getattr(connection, "_num_transactions", 0) > 0
    pipelined = connection.pgconn.pipeline_status != pq.PipelineStatus.OFF
    ends = pipelined or any(map(ends_transaction, _statements(error.__traceback__)))
    return FATES[inside, ends]


def _is_listening(error: Exception) -> bool:
    return any(frame.f_code.co_name == LISTENING for frame in _frames(error.__traceback__))


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _statements(traceback: TracebackType | None) -> Iterator[bytes]:
    """The statements that psycopg's generators were busy with when the error passed them.

    A generator that has none yet was busy with that of a deeper one, such as the BEGIN before
    it. Where the deepest shows none, psycopg has changed: it might be a COMMIT.
    """
    found = [
        frame.f_locals.get(STATEMENT_LOCALS[frame.f_code.co_name])
        for frame in _frames(traceback)
        if frame.f_code.co_name in STATEMENT_LOCALS
    ]
    for statement in found[:-1]:
        if statement is not None:
            yield _as_bytes(statement)
    if found:
        yield _as_bytes(found[-1])


def _as_bytes(statement: object) -> bytes:
    statement = getattr(statement, "query", statement)
    if isinstance(statement, str):
        return statement.encode()
    return statement if isinstance(statement, bytes) else b"COMMIT"
