"""`AsyncConnection`: the twin of `Connection` for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import Row

from tieline.engine.context import deadline_var, guard_var
from tieline.psycopg import _dial_aio
from tieline.psycopg._dial import Dial, configured, startup_var
from tieline.psycopg._parameters import completed
from tieline.psycopg._seam import Seam, mark_sent
from tieline.psycopg._startup import start
from tieline.psycopg._wait import WAKE, Bounded

if TYPE_CHECKING:
    from typing import Self

    from psycopg import AsyncCursor
    from psycopg.abc import AdaptContext, ConnParam, PQGen, PQGenConn
    from psycopg.rows import AsyncRowFactory

    from tieline.policy.policy import Policy

T = TypeVar("T")


class AsyncConnection(Seam[Row], psycopg.AsyncConnection[Row]):
    """A ``psycopg.AsyncConnection`` that connects as a policy says and names the true cause of failure.

    No statement is ever replayed. A connection that breaks raises `tieline.ConnectionLost`, or
    `tieline.OutcomeUnknown` where the statement may have been applied for good.
    """

    __module__ = "tieline.psycopg"

    @classmethod
    async def connect(  # type: ignore[override]  # adds two keywords
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: AsyncRowFactory[Row] | None = None,
        cursor_factory: type[AsyncCursor[Row]] | None = None,
        target: str | None = None,
        policy: Policy | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        """Connect, as ``psycopg.AsyncConnection.connect`` does, with a policy.

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
            native = await super().connect(conninfo, **{**options, **kwargs})
            native._tieline_acts = False
            return native
        dial = Dial(super().connect, conninfo, kwargs, options, target=found, dsn=dsn)
        connection: Self = await _dial_aio.connect(dial)
        connection._tieline_target = target
        return connection

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **kwargs: Any) -> PQGenConn[Self]:
        startup = startup_var.get()
        if startup is None:
            return (yield from super()._connect_gen(conninfo, **kwargs))
        startup.entered = True
        # The time limit of the attempt is kept around the whole of it.
        pgconn = yield from start(conninfo, startup.evidence)
        connection: Self = cls(pgconn)  # pyright: ignore[reportArgumentType]
        return connection

    async def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Drive one operation, as psycopg's ``wait`` does, within the deadline around it."""
        if not self._tieline_acts:
            return await super().wait(gen, *args, **kwargs)
        limit = deadline_var.get()
        if limit is not None:
            gen = self._tieline_bounded(gen, limit, blocking=False)
            if isinstance(gen, Bounded) and not args:
                kwargs["interval"] = min(kwargs.get("interval") or WAKE, gen.interval())
        try:
            result = await super().wait(gen, *args, **kwargs)
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
