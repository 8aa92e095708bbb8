"""What both kinds of connection share: losses told as they are, deadlines kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from psycopg import BaseConnection, pq
from psycopg.rows import Row

from tieline.engine import clock as clock_module
from tieline.engine.context import guard_var
from tieline.errors import TielineError
from tieline.psycopg._statement import (
    Expired,
    already_lost,
    connection_lost,
    endpoint_of,
    ends_session,
    out_of_time,
)
from tieline.psycopg._wait import Bounded
from tieline.rules.natives import native_class

if TYPE_CHECKING:
    from psycopg.abc import PQGen

    from tieline.endpoint import Endpoint
    from tieline.policy.deadline import Deadline

T = TypeVar("T")


class Seam(BaseConnection[Row]):
    """The part of our connection classes that does not wait."""

    _tieline_target: str | None = None
    _tieline_endpoint: Endpoint | None = None
    _tieline_lost = False
    _tieline_acts = True

    def _check_connection_ok(self) -> None:
        try:
            super()._check_connection_ok()
        except Exception as error:
            if not self.broken or not self._tieline_acts:
                raise
            final = already_lost(self, error, self._tieline_target)
        else:
            return
        raise final

    def _tieline_bounded(self, gen: PQGen[T], limit: Deadline, *, blocking: bool) -> PQGen[T]:
        """The same operation within a deadline; one that it leaves no time for is not begun.

        The connection stays as it is only outside a transaction: what becomes of one must not
        depend on later statements.
        """
        at = limit.at
        if at is None:
            return gen
        left = at - clock_module.active.now()
        if left <= 0 and not self.closed:
            final = out_of_time(self, self._tieline_target)
            idle = self.pgconn.transaction_status == pq.TransactionStatus.IDLE
            if not idle or self.pgconn.pipeline_status != pq.PipelineStatus.OFF:
                self._tieline_finish()
            raise final
        until = time.monotonic() + left
        return Bounded(gen, until, Expired, lambda: self.pgconn.socket, blocking=blocking)

    def _tieline_translated(self, error: Exception) -> BaseException:
        """What to raise in place of an error; the same for one that says nothing of the connection."""
        if isinstance(error, TielineError):
            return error
        if self._tieline_lost:
            unusable = isinstance(error, native_class("psycopg", TielineError))
            return already_lost(self, error, self._tieline_target) if unusable else error
        over = isinstance(error, Expired) or ends_session(error)
        if not over and not self.broken:
            mark_sent()
            return error
        self._tieline_lost = True
        final = connection_lost(self, error, self._tieline_target)
        if isinstance(final, TielineError) and final.failure and final.failure.sent:
            mark_sent()
        if over:
            # What the server sent later would be taken for the answer to the next statement.
            self._tieline_finish()
        return final

    def _tieline_finish(self) -> None:
        self._tieline_endpoint = endpoint_of(self)
        self._tieline_lost = True
        self.pgconn.finish()


def mark_sent() -> None:
    """Tell the guarded function around that something was sent."""
    guard = guard_var.get()
    if guard is not None and guard.live:
        guard.mark_sent()
