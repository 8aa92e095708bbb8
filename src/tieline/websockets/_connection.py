"""`ClientConnection` for threads: websockets' own, with deadlines and the true cause of an end."""

from __future__ import annotations

import socket
import struct
import sys
import warnings
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, overload

from websockets.exceptions import ConnectionClosed
from websockets.protocol import OPEN
from websockets.sync import client as native

from tieline.engine.context import deadline_var, guard_var
from tieline.failure import Phase
from tieline.websockets._seam import Seam, left_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from websockets.typing import Data, DataLike

    from tieline.policy.deadline import Deadline

LEGACY: Final = (
    "connect() must be used as a context manager: with connect(...) as websocket: ...; "
    "alternatively, use websocket = connect(..., legacy=True) to connect directly"
)
"""As websockets has it: nobody is told a second time, of a line in here."""


class OutOfTurnError(TimeoutError):
    """The deadline came while another thread had the lock."""


class Turns:
    """The lock of a connection, which nobody waits for beyond the deadline around them.

    Args:
        lock: The lock itself, which somebody may hold by now.
    """

    def __init__(self, lock: threading.Lock) -> None:
        """It is as it was."""
        self._lock = lock
        self.acquire, self.release, self.locked = lock.acquire, lock.release, lock.locked

    def __enter__(self) -> None:
        """Wait for it.

        Raises:
            OutOfTurnError: The deadline came first.
        """
        left = left_of(deadline_var.get())
        if left is None:
            self._lock.acquire()
        elif not self._lock.acquire(timeout=max(0.0, left)):
            raise OutOfTurnError

    def __exit__(self, *_error: object) -> None:
        """Let the next one have it."""
        self._lock.release()


class ClientConnection(Seam, native.ClientConnection):
    """A ``websockets.sync.client.ClientConnection`` that names the true cause of its end.

    What is sent is never sent again. A connection that breaks raises `tieline.ConnectionLost`,
    which is the ``ConnectionClosed`` that websockets raises, too.
    """

    __module__ = "tieline.websockets.sync.client"

    _tieline_cut = False

    def maybe_raise_legacy_warning(self) -> None:
        """Warn as websockets does, of the line that called one of the methods below."""
        if self.pending_legacy_warning:
            self.pending_legacy_warning = False
            warnings.warn(LEGACY, DeprecationWarning, stacklevel=4)

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
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data: ...

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """Receive the next message, as ``recv`` of websockets does, within the deadline around it.

        Raises:
            ConnectionLost: The connection broke; also a ``ConnectionClosed``.
            DeadlineExceeded: The deadline came first; the connection is as it was.
            TimeoutError: The ``timeout`` came first.
        """
        limit = deadline_var.get()
        left = None
        if limit is not None:
            left = self._tieline_left(limit, Phase.RECEIVE)
            if left is not None and (timeout is None or left < timeout):
                timeout = left
            else:
                left = None
        try:
            return self._tieline_next_recv(timeout, decode)  # type: ignore[no-any-return]
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.RECEIVE)
            if final is error:
                raise
        except TimeoutError:
            if left is None:
                raise
            final = self._tieline_out_of_time(Phase.RECEIVE)
        raise final

    @overload
    def recv_streaming(self, decode: Literal[True]) -> Iterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> Iterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """Receive the next message piece by piece; a deadline is looked at before each."""
        pieces = super().recv_streaming(decode)
        try:
            while True:
                limit = deadline_var.get()
                if limit is not None:
                    self._tieline_left(limit, Phase.RECEIVE)
                piece = next(pieces, None)
                if piece is None:
                    return
                yield piece
        except ConnectionClosed as error:
            final = self._tieline_translated(error, Phase.RECEIVE)
            if final is error:
                raise
        raise final

    def send(  # pyright: ignore[reportIncompatibleMethodOverride]  # as in websockets 15
        self, message: DataLike | Iterable[DataLike], text: bool | None = None
    ) -> None:
        """Send a message, as ``send`` of websockets does, within the deadline around it.

        Raises:
            ConnectionLost: The connection broke; also a ``ConnectionClosed``.
            DeadlineExceeded: The deadline came first. A message that was sent in part closes the
                connection.
        """
        limit = deadline_var.get()
        if limit is not None:
            self._tieline_take_turn(limit)
        if self.protocol.state is OPEN:
            self._tieline_sent = monotonic()
            guard = guard_var.get()
            if guard is not None and guard.live:
                guard.mark_sent()
        try:
            if text is None:
                return self._tieline_next_send(message)  # type: ignore[no-any-return]
            return super().send(message, text=text)
        except ConnectionClosed as error:
            final = self._tieline_not_sent(error)
            if final is error:
                raise
        except OutOfTurnError:
            final = self._tieline_out_of_time(
                Phase.SEND, sent=self._tieline_cut or self.send_in_progress
            )
        raise final

    def ping(self, data: DataLike | None = None, *, ack_on_close: bool = False) -> threading.Event:
        """Send a ping, as ``ping`` of websockets does, within the deadline around it."""
        limit = deadline_var.get()
        if limit is not None:
            self._tieline_take_turn(limit)
        try:
            return super().ping(data, ack_on_close=ack_on_close)
        except ConnectionClosed as error:
            final = self._tieline_not_sent(error)
            if final is error:
                raise
        except OutOfTurnError:
            final = self._tieline_out_of_time(
                Phase.SEND, sent=self._tieline_cut or self.send_in_progress
            )
        raise final

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong, as ``pong`` of websockets does, within the deadline around it."""
        limit = deadline_var.get()
        if limit is not None:
            self._tieline_take_turn(limit)
        try:
            return super().pong(data)
        except ConnectionClosed as error:
            final = self._tieline_not_sent(error)
            if final is error:
                raise
        except OutOfTurnError:
            final = self._tieline_out_of_time(
                Phase.SEND, sent=self._tieline_cut or self.send_in_progress
            )
        raise final

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, as ``close`` of websockets does; a deadline around it shortens its timeout."""
        left = left_of(deadline_var.get())
        if left is not None:
            if self.close_timeout is None or left < self.close_timeout:
                self.close_timeout = max(0.0, left)
            self._tieline_bound()
        try:
            super().close(code, reason)
        except OutOfTurnError:
            # Another thread is stuck sending: this ends it, and the connection with it.
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def _tieline_send_data(self) -> None:
        """As ``send_data``, which it stands in for while somebody sends within a deadline.

        The lock of the connection is held. Who comes by without a deadline is let through.
        """
        limit = deadline_var.get()
        if left_of(limit) is None or self.close_deadline is not None:
            return super().send_data()
        try:
            for data in self.protocol.data_to_send():
                if data:
                    self._tieline_send_all(data)
                else:
                    with suppress(OSError):
                        self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._tieline_cut = (left_of(limit) or 0.0) <= 0
            raise
        finally:
            with suppress(OSError):
                _limit_sending(self.socket, 0.0)

    def _tieline_send_all(self, data: bytes) -> None:
        # A timeout of the socket itself would bound the thread that reads, too.
        unsent = memoryview(data)
        while unsent:
            left = left_of(deadline_var.get())
            if left is not None:
                if left <= 0:
                    raise TimeoutError("deadline exceeded")
                _limit_sending(self.socket, left)
            unsent = unsent[self.socket.send(unsent) :]

    def _tieline_take_turn(self, limit: Deadline) -> None:
        """See to it that nobody is waited for, and nothing sent, beyond the deadline.

        Raises:
            DeadlineExceeded: It has passed; nothing was sent.
        """
        if self._tieline_left(limit, Phase.SEND) is not None:
            self._tieline_bound()

    def _tieline_bound(self) -> None:
        # From here on for good: it costs little, and healthy messages do without.
        lock: Any = self.protocol_mutex
        if not isinstance(lock, Turns):
            self.protocol_mutex = Turns(lock)  # type: ignore[assignment]
            self.send_data = self._tieline_send_data  # type: ignore[method-assign]

    def _tieline_not_sent(self, error: Exception) -> BaseException:
        if self._tieline_cut:
            return self._tieline_out_of_time(Phase.SEND, error, sent=True)
        return self._tieline_translated(error, Phase.SEND)


def _limit_sending(sock: socket.socket, seconds: float) -> None:
    """Let the kernel give up sending after so long; 0 for never."""
    if sys.platform == "win32":
        value: int | bytes = max(1, int(seconds * 1000)) if seconds else 0
    else:
        whole = int(seconds)
        value = struct.pack("@ll", whole, max(1, int((seconds - whole) * 1e6)) if seconds else 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
