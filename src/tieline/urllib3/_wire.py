"""Receiving: each piece in its time, and nothing cut short that passes for whole."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING, Any, cast

from tieline.failure import Phase
from tieline.rules.http_native import cut_short
from tieline.urllib3._span import span_var

if TYPE_CHECKING:
    from tieline.urllib3._span import Span

_SEND, _RECEIVE = Phase.SEND, Phase.RECEIVE


class Wire(socket.SocketIO):
    """What comes out of a socket, with a time limit for each receive.

    Attributes:
        span: The attempt.
        begun: Whether something was received: until then the socket's timeout is right, as urllib3
            sets it before it asks for an answer. It does not where a proxy is asked for a tunnel.
        allowed: The socket's timeout, once it was set here.
        ended: Whether the other side has ended the stream.
    """

    span: Span
    _sock: socket.socket
    _timeout_occurred: bool
    begun = False
    allowed: float | None = -1.0
    ended = False

    def readinto(self, b: Any) -> int | None:
        """Receive once."""
        span = self.span
        if self.begun:
            allowed = span.read_timeout
            if allowed != self.allowed:
                if allowed is not None and allowed <= 0:
                    raise TimeoutError("timed out")
                self._sock.settimeout(allowed)
                self.allowed = allowed
        else:
            self.begun = True
        # As SocketIO does it, whose looks at itself first take longer than ours at the time.
        try:
            count = self._sock.recv_into(b)
        except TimeoutError:
            self._timeout_occurred = True
            raise
        if count:
            span.answered = True
        else:
            self.ended = True
        return count


class Answer(http.client.HTTPResponse):
    """An answer as it is received."""

    _tieline_wire: Wire | None = None

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        """Receive by way of a `Wire`, where there is an attempt to keep the time of."""
        super().__init__(sock, debuglevel, method, url)
        span = span_var.get()
        raw: Any = self.fp.raw
        if span is None or type(raw) is not socket.SocketIO:
            return
        # Every way to make a file of a socket counts what it has made: so it is made that way.
        raw.__class__ = Wire
        self._tieline_wire = wire = cast("Wire", raw)
        wire.span = span
        if span.phase is _SEND:
            span.phase = _RECEIVE
        else:
            wire.begun = True

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException: The stream ended inside it, which http.client takes for an empty body.
        """
        super().begin()
        wire = self._tieline_wire
        if wire is not None:
            if wire.ended:
                self.close()
                raise cut_short()
            # A body has no total.
            wire.span.until = None
