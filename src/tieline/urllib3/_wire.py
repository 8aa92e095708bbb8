"""Receiving: each piece in its time, and nothing cut short that passes for whole."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING, Any

from tieline.failure import Phase
from tieline.urllib3._span import span_var

if TYPE_CHECKING:
    from tieline.urllib3._span import Span

_SEND, _RECEIVE = Phase.SEND, Phase.RECEIVE


class Wire(socket.SocketIO):
    """What comes out of a socket, with a time limit for each receive.

    Attributes:
        span: The attempt.
        begun: Whether something was received; the socket's timeout is right for the first time.
        allowed: The socket's timeout, once it was set here.
        ended: Whether the other side has ended the stream.
    """

    span: Span
    begun = False
    allowed: float | None = 0.0
    ended = False

    def readinto(self, buffer: Any, /) -> int | None:
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
        count = super().readinto(buffer)
        if count:
            span.answered = True
        elif count == 0:
            self.ended = True
        return count


class Answer(http.client.HTTPResponse):
    """An answer as it is received."""

    _tieline_wire: Wire | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Receive by way of a `Wire`, where there is an attempt to keep the time of."""
        super().__init__(*args, **kwargs)
        span = span_var.get()
        raw = self.fp.raw
        if span is None or type(raw) is not socket.SocketIO:
            return
        if span.phase is _SEND:
            span.phase = _RECEIVE
        # Every way to make a file of a socket counts what it has made: so it is made that way.
        raw.__class__ = Wire
        raw.span = span
        self._tieline_wire = raw

    def begin(self) -> None:
        """Read the head.

        Raises:
            IncompleteRead: The stream ended inside it, which http.client takes for an empty body.
        """
        super().begin()
        wire = self._tieline_wire
        if wire is not None:
            if wire.ended:
                self.close()
                raise http.client.IncompleteRead(b"")
            # A body has no total.
            wire.span.until = None
