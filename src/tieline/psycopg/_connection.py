"""`Connection`: psycopg's, with the policy at `connect` and the true cause everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import Row

from tieline.engine.context import deadline_var, guard_var
from tieline.errors import ConnectTimeout
from tieline.psycopg import _dial_sync
from tieline.psycopg._dial import Dial, configured, startup_var
from tieline.psycopg._parameters import completed
from tieline.psycopg._seam import Seam, mark_sent
from tieline.psycopg._startup import start
from tieline.psycopg._wait import Bounded
from tieline.rules.libpq import native_error

if TYPE_CHECKING:
    from typing import Self

    from psycopg import Cursor
    from psycopg.abc import AdaptContext, ConnParam, PQGen, PQGenConn
    from psycopg.rows import RowFactory

    from tieline.policy.policy import Policy

T = TypeVar("T")


class Connection(Seam[Row], psycopg.Connection[Row]):
    """A ``psycopg.Connection`` that connects as a policy says and names the true cause of failure.

    No statement is ever replayed. A connection that breaks raises `tieline.ConnectionLost`, or
    `tieline.OutcomeUnknown` where the statement may have been applied for good.
    """

    __module__ = "tieline.psycopg"

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
                ``postgresql://db:5432``. Connections to one target share breaker and budget. What
                ``TIELINE_TARGETS__<NAME>__DSN`` says fills in what neither the conninfo nor a
                keyword does.
            policy: The settings; by default those of the environment, and where it says nothing
                25 s for everything, 5 s for an attempt (or ``connect_timeout``), 4 attempts.
            **kwargs: Connection parameters, which win over those of the conninfo.

        Raises:
            ConfigError: The parameters or variables make no sense; also a ``psycopg.ProgrammingError``.
            TielineError: Another of its classes; also a ``psycopg.OperationalError``.
        """
        options: dict[str, Any] = {
            "autocommit": autocommit,
            "prepare_threshold": prepare_threshold,
            "context": context,
            "row_factory": row_factory,
            "cursor_factory": cursor_factory,
        }
        found, dsn = configured(target, policy)
        if not found.enabled:
            conninfo = conninfo if dsn is None else completed(conninfo, kwargs, dsn)
            native = super().connect(conninfo, **{**options, **kwargs})
            native._tieline_acts = False
            return native
        dial = Dial(super().connect, conninfo, kwargs, options, target=found, dsn=dsn)
        connection = _dial_sync.connect(dial)
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
        """Drive one operation, as psycopg's ``wait`` does, within the deadline around it."""
        if not self._tieline_acts:
            return super().wait(gen, *args, **kwargs)
        limit = deadline_var.get()
        if limit is not None:
            gen = self._tieline_bounded(gen, limit, blocking=True)
        try:
            result = super().wait(gen, *args, **kwargs)
        except Exception as error:
            final = self._tieline_translated(error)
            if final is error:
                raise
        except BaseException:
            # Whoever turns an interruption into an error must not have the statement repeated.
            mark_sent()
            raise
        else:
            guard = guard_var.get()
            if guard is not None and guard.live:
                guard.mark_sent()
            return result
        raise final


def _connect_expired() -> Exception:
    return native_error(ConnectTimeout, "connection timeout expired")
