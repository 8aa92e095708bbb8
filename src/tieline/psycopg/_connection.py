"""`Connection`: psycopg's, with the policy at `connect` and the true cause everywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.rows import Row

from tieline.engine import clock as clock_module
from tieline.engine.context import deadline_var, guard_var
from tieline.errors import ConnectTimeout, TielineError
from tieline.psycopg._dial import Dial, startup_var
from tieline.psycopg._startup import start
from tieline.psycopg._statement import (
    Expired,
    already_lost,
    connection_lost,
    endpoint_of,
    ends_session,
    out_of_time,
)
from tieline.psycopg._wait import Bounded
from tieline.rules.libpq import native_error
from tieline.rules.natives import native_class

if TYPE_CHECKING:
    from typing import Self

    from psycopg import Cursor
    from psycopg.abc import AdaptContext, ConnParam, PQGen, PQGenConn
    from psycopg.rows import RowFactory

    from tieline.endpoint import Endpoint
    from tieline.policy.policy import Policy

T = TypeVar("T")


class Connection(psycopg.Connection[Row]):
    """A ``psycopg.Connection`` that connects as a policy says and names the true cause of failure.

    No statement is ever replayed. A connection that breaks raises `tieline.ConnectionLost`, or
    `tieline.OutcomeUnknown` where the statement may have been applied for good.
    """

    __module__ = "tieline.psycopg"

    _tieline_target: str | None = None
    _tieline_endpoint: Endpoint | None = None

    @classmethod
    def connect(  # type: ignore[override]  # adds two keywords
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: RowFactory[Row] | None = None,
        cursor_factory: type[Cursor[Row]] | None = None,
        target: str | None = None,
        policy: Policy | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        """Connect, as ``psycopg.Connection.connect`` does, with a policy.

        Args:
            conninfo: A connection string or URL.
            autocommit: As psycopg's.
            prepare_threshold: As psycopg's.
            context: As psycopg's.
            row_factory: As psycopg's.
            cursor_factory: As psycopg's.
            target: Name of the target; by default its endpoints, such as
                ``postgresql://db:5432``. Connections to one target share breaker and budget.
            policy: The settings; by default 25 s for everything, 5 s for an attempt (or
                ``connect_timeout``), 4 attempts.
            **kwargs: Connection parameters, which win over those of the conninfo.

        Raises:
            ConfigError: The parameters make no sense; also a ``psycopg.ProgrammingError``.
            TielineError: Another of its classes; also a ``psycopg.OperationalError``.
        """
        options = {
            "autocommit": autocommit,
            "prepare_threshold": prepare_threshold,
            "context": context,
            "row_factory": row_factory,
            "cursor_factory": cursor_factory,
        }
        dial = Dial(super().connect, conninfo, kwargs, options, target=target, policy=policy)
        connection = dial.connect()
        connection._tieline_target = target
        return connection

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **kwargs: Any) -> PQGenConn[Self]:
        startup = startup_var.get()
        if startup is None:
            return (yield from super()._connect_gen(conninfo, **kwargs))
        startup.entered = True
        generator = start(conninfo, startup.evidence)
        if startup.until is not None:
            generator = Bounded(generator, startup.until, _connect_expired)
        connection: Self = cls((yield from generator))  # pyright: ignore[reportArgumentType]
        return connection

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Drive one operation, as psycopg's ``wait`` does, within the deadline around it.

        An operation that the deadline leaves no time for is not begun. The connection stays as it
        is only outside a transaction: what becomes of one must not depend on later statements.
        """
        was_broken = self.broken
        limit = deadline_var.get()
        if limit is not None and limit.at is not None:
            left = limit.at - clock_module.active.now()
            if left <= 0 and not self.closed:
                raise self._out_of_time()
            gen = self._bounded(gen, left)
        try:
            result = super().wait(gen, *args, **kwargs)
        except Exception as error:
            final = self._translated(error, was_broken=was_broken)
            if final is None:
                _mark_sent()
                raise
            if final is error:
                raise
        else:
            _mark_sent()
            return result
        raise final

    def _translated(self, error: Exception, *, was_broken: bool) -> BaseException | None:
        """What to raise in place of an error; None for one that says nothing of the connection."""
        if isinstance(error, TielineError):
            return error
        if was_broken:
            unusable = isinstance(error, native_class("psycopg", TielineError))
            return already_lost(self, error, self._tieline_target) if unusable else error
        over = isinstance(error, Expired) or ends_session(error)
        if not over and not self.broken:
            return None
        final = connection_lost(self, error, self._tieline_target)
        if isinstance(final, TielineError) and final.failure and final.failure.sent:
            _mark_sent()
        if over:
            # What the server sent later would be taken for the answer to the next statement.
            self._finish()
        return final

    def _out_of_time(self) -> BaseException:
        final = out_of_time(self, self._tieline_target)
        idle = self.pgconn.transaction_status == pq.TransactionStatus.IDLE
        if not idle or self.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            self._finish()
        return final

    def _finish(self) -> None:
        self._tieline_endpoint = endpoint_of(self)
        self.pgconn.finish()

    def _check_connection_ok(self) -> None:
        try:
            super()._check_connection_ok()
        except Exception as error:
            if not self.broken:
                raise
            final = already_lost(self, error, self._tieline_target)
        else:
            return
        raise final

    def _bounded(self, gen: PQGen[T], seconds: float) -> PQGen[T]:
        until = time.monotonic() + seconds
        return Bounded(gen, until, Expired, fileno=lambda: self.pgconn.socket)


def _mark_sent() -> None:
    guard = guard_var.get()
    if guard is not None and guard.live:
        guard.mark_sent()


def _connect_expired() -> Exception:
    return native_error(ConnectTimeout, "connection timeout expired")
