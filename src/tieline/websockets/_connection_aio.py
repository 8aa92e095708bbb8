"""`ClientConnection` for asyncio: websockets' own, with deadlines and the true cause of an end."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, overload

from websockets.asyncio import client as native
from websockets.exceptions import ConnectionClosed
from websockets.protocol import OPEN

from tieline.engine.context import deadline_var, guard_var
from tieline.failure import Phase
from tieline.websockets._seam import Seam, left_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Coroutine, Iterable
    from typing import Literal

    from websockets.typing import Data, DataLike

T = TypeVar("T")

WHOLE = (str, bytes, bytearray, memoryview)
"""Messages that are handed over at once; others go out in fragments."""


class ClientConnection(Seam, native.ClientConnection):
    """A ``websockets.asyncio.client.ClientConnection`` that names the true cause of its end.

    What is sent is never sent again. A connection that breaks raises `tieline.ConnectionLost`,
    which is the ``ConnectionClosed`` that websockets raises, too.
    """

    __module__ = "tieline.websockets.asyncio.client"

    # Each method spells the healthy path out: it is what a message costs. These two are what
    # `super()` would find, which takes a tenth of all we add.
    _tieline_next_recv: Any = native.ClientConnection.recv
    _tieline_next_send: Any = native.ClientConnection.send

    def __init_subclass__(cls) -> None:
        """Find what comes next for a class that other ones were mixed into."""
        super().__init_subclass__()
        following: Any = super()
        cls._tieline_next_recv, cls._tieline_next_send = following.recv, following.send

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """Receive the next message, as ``recv`` of websockets does, within the deadline around it.

        Raises:
            ConnectionLost: The connection broke; also a ``ConnectionClosed``.
            DeadlineExceeded: The deadline came first; the connection is as it was.
        """
        try:
            limit = deadline_var.get()
            if limit is None:
                return await self._tieline_next_recv(decode)  # type: ignore[no-any-return]
            left = self._tieline_left(limit, Phase.RECEIVE)
            return await self._tieline_within(left, super().recv(decode), Phase.RECEIVE)
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.RECEIVE)
            if final is error:
                raise
        raise final

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive the next message piece by piece, within the deadline around it."""
        pieces = super().recv_streaming(decode)
        try:
            while True:
                limit = deadline_var.get()
                left = None if limit is None else self._tieline_left(limit, Phase.RECEIVE)
                piece = await self._tieline_within(left, _next(pieces), Phase.RECEIVE)
                if piece is None:
                    return
                yield piece
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.RECEIVE)
            if final is error:
                raise
        raise final

    async def send(  # pyright: ignore[reportIncompatibleMethodOverride]  # as in websockets 15
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        text: bool | None = None,
    ) -> None:
        """Send a message, as ``send`` of websockets does, within the deadline around it.

        Raises:
            ConnectionLost: The connection broke; also a ``ConnectionClosed``.
            DeadlineExceeded: The deadline came first; the message may still go out. One that was
                sent in part closes the connection.
        """
        try:
            limit = deadline_var.get()
            left = None if limit is None else self._tieline_left(limit, Phase.SEND)
            if self.protocol.state is OPEN:
                self._tieline_sent = monotonic()
                guard = guard_var.get()
                if guard is not None and guard.live:
                    guard.mark_sent()
            if left is None:
                if text is None:
                    return await self._tieline_next_send(message)  # type: ignore[no-any-return]
                return await super().send(message, text=text)
            sending = super().send(message, text=text)
            breaks = not isinstance(message, WHOLE)
            return await self._tieline_within(left, sending, Phase.SEND, breaks=breaks)
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.SEND)
            if final is error:
                raise
        raise final

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping, as ``ping`` of websockets does, within the deadline around it."""
        try:
            limit = deadline_var.get()
            if limit is None:
                return await super().ping(data)
            left = self._tieline_left(limit, Phase.SEND)
            return await self._tieline_within(left, super().ping(data), Phase.SEND)
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.SEND)
            if final is error:
                raise
        raise final

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong, as ``pong`` of websockets does, within the deadline around it."""
        try:
            limit = deadline_var.get()
            if limit is None:
                return await super().pong(data)
            left = self._tieline_left(limit, Phase.SEND)
            return await self._tieline_within(left, super().pong(data), Phase.SEND)
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.SEND)
            if final is error:
                raise
        raise final

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, as ``close`` of websockets does, and cut the connection when a deadline comes."""
        left = left_of(deadline_var.get())
        if left is None:
            return await super().close(code, reason)
        cut = asyncio.timeout(max(0.0, left))
        try:
            async with cut:
                return await super().close(code, reason)
        except TimeoutError:
            if not cut.expired():
                raise
        # Not even the goodbye could be handed over.
        self.transport.abort()
        return await self.wait_closed()

    def terminate_pending_pings(self) -> None:
        """Tell those who wait for a pong what became of the connection."""
        self._tieline_fail_pings(self.pending_pings)
        super().terminate_pending_pings()

    def abort_pings(self) -> None:
        """The same in websockets 15 and 16."""
        self._tieline_fail_pings(vars(self)["pong_waiters"])
        super().abort_pings()  # type: ignore[misc]  # of the older releases

    def _tieline_fail_pings(
        self, pending: dict[bytes, tuple[asyncio.Future[float], float]]
    ) -> None:
        for waiter, _ in pending.values():
            if not waiter.done():
                waiter.set_exception(
                    self._tieline_translated(self.protocol.close_exc, Phase.RECEIVE)
                )

    async def _tieline_within(
        self,
        left: float | None,
        action: Coroutine[Any, Any, T],
        phase: Phase,
        *,
        breaks: bool = False,
    ) -> T:
        """Do something up to a deadline.

        Args:
            left: Seconds until it comes; None for no limit.
            action: What to do.
            phase: Whether we send or receive.
            breaks: Whether the connection is of no use after it was cut.
        """
        cut = asyncio.timeout(left)
        try:
            async with cut:
                return await action
        except TimeoutError:
            if not cut.expired():
                raise
        if breaks:
            self.transport.abort()
        raise self._tieline_out_of_time(phase, sent=phase is Phase.SEND)


async def _next(pieces: AsyncIterator[T]) -> T | None:
    return await anext(pieces, None)
