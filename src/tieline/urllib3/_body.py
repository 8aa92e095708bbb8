"""A body that is read after the call: what breaks it is told like what breaks the call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from urllib3.response import HTTPResponse

from tieline.engine import clock as clock_module
from tieline.engine.context import mark_sent, time_limit
from tieline.errors import TielineError
from tieline.rules import http

if TYPE_CHECKING:
    from collections.abc import Generator

    from urllib3.response import BaseHTTPResponse

    from tieline.urllib3._origin import Origin
    from tieline.urllib3._span import Span


class Watch:
    """Where a body comes from.

    Args:
        origin: The server.
        pool: The pool.
        url: The URL as urllib3 was given it.
        span: The attempt that was answered.
    """

    __slots__ = ("_generation", "_origin", "_pool", "_span", "_started", "_url")

    def __init__(self, origin: Origin, pool: Any, url: str, span: Span) -> None:
        """Note when it began."""
        self._origin = origin
        self._pool = pool
        self._url = url
        self._span = span
        self._generation = origin.healthy.breaker.generation
        self._started = clock_module.active.now()

    def broken(self, error: Exception) -> BaseException:
        """The error of ours for what a read has raised; the same for what says nothing of the server."""
        failure = None if isinstance(error, TielineError) else http.classify(error, self._span)
        if failure is None:
            return error
        # Not before a body breaks.
        from tieline.policy.call import Call
        from tieline.policy.decision import Raise
        from tieline.urllib3._ending import Ending
        from tieline.urllib3._settings import CLIENT, for_body

        origin = self._origin
        call = Call(
            origin.state.name,
            for_body(origin.settings.policy),
            (origin.lane,),
            origin.state.budget,
            started=self._started,
            deadline=time_limit(),
        )
        call.begun(self._generation)
        # A body is never read twice: part of it is with the caller.
        decision = origin.state.step(call, partial(call.failed, http.unrepeatable(failure)))
        assert isinstance(decision, Raise)  # noqa: S101 - nothing else is left
        mark_sent()
        ending = Ending(call, decision, self._pool, self._url)
        return ending.error(error, origin.settings._replace(client=CLIENT))


class Body(HTTPResponse):
    """An answer whose body tells why it broke."""

    _tieline_watch: Watch

    def _raw_read(self, amt: int | None = None, *, read1: bool = False) -> bytes:
        try:
            return super()._raw_read(amt, read1=read1)
        except Exception as error:
            final = self._tieline_watch.broken(error)
            if final is error:
                raise
        raise final

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """As urllib3's."""
        try:
            yield from super().read_chunked(amt, decode_content)
        except Exception as error:
            final = self._tieline_watch.broken(error)
            if final is error:
                raise
        else:
            return
        raise final


Body.__name__, Body.__qualname__, Body.__module__ = (
    "HTTPResponse",
    "HTTPResponse",
    "urllib3.response",
)


def watch(response: BaseHTTPResponse, origin: Origin, pool: Any, url: str, span: Span) -> None:
    """Have the rest of its body watched; a class of somebody else's is left as it is."""
    if type(response) is HTTPResponse and not response._body:
        watched = cast("Body", response)
        watched.__class__ = Body
        watched._tieline_watch = Watch(origin, pool, url, span)
