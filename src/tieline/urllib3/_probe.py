"""What a connection notes of an attempt, mixed into whatever class of connection there is."""

from __future__ import annotations

import http.client
import ssl
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from tieline.failure import Phase
from tieline.rules.http_native import not_connected
from tieline.urllib3 import _dial
from tieline.urllib3._span import Span, span_var
from tieline.urllib3._wire import Answer

if TYPE_CHECKING:
    import socket

_SEND = Phase.SEND

_FULL = (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError)
"""What a socket without a timeout says when the kernel can take nothing now."""


class Probe(HTTPConnection):
    """A connection that tells the attempt how far it is, and keeps to its time."""

    _tieline_span: Span | None = None

    def connect(self) -> None:
        """Connect, by way of a proxy where there is one."""
        span = self._tieline_span = span_var.get()
        if span is None:
            super().connect()
            return
        span.reused = False
        span.on_the_way = self.proxy is not None
        span.phase = Phase.CONNECT
        with span.connecting():
            super().connect()
        # What was said to a proxy is no part of the request.
        span.sent, span.answered, span.on_the_way = 0, False, False
        span.phase = _SEND
        sock = self.sock
        if sock is None:
            return
        if not hasattr(sock, "send"):  # pyOpenSSL, injected into urllib3
            self.__dict__["send"] = self._tieline_send_whole
        span.limit(sock, span.timing.send)

    def _new_conn(self) -> socket.socket:
        span = self._tieline_span
        if span is None:
            return super()._new_conn()
        try:
            sock = _dial.dial(self, span)
        except (OSError, UnicodeError) as error:
            raise not_connected(self, self._dns_host, error) from error
        sys.audit("http.client.connect", self, self.host, self.port)
        if isinstance(self, HTTPSConnection):
            span.phase = Phase.TLS
        try:
            # Else the next step has once more what this one had.
            span.limit(sock)
        except TimeoutError:
            sock.close()
            raise
        return sock

    def _tunnel(self) -> None:
        span = self._tieline_span
        if span is None:
            super()._tunnel()
            return
        span.phase = Phase.HANDSHAKE
        span.limit(self.sock)
        super()._tunnel()
        span.on_the_way = False
        span.phase = Phase.TLS
        span.limit(self.sock)

    def send(self, data: Any) -> None:
        """Send a piece of it, and count what the kernel has taken."""
        span, sock = self._tieline_span, self.sock
        if span is None or sock is None or span.sent or type(data) is not bytes or self.debuglevel:
            self._tieline_send(data)
            return
        sys.audit("http.client.send", self, data)
        try:
            span.sent = count = sock.send(data)
        except _FULL:
            count = 0
        if count < len(data):
            self._tieline_send_rest(memoryview(data)[count:], span)

    def _tieline_send(self, data: Any) -> None:
        """The same for what does not go the straight way."""
        if self.sock is None and self.auto_open:
            self.connect()
        span = self._tieline_span
        if span is None or self.sock is None:
            super().send(data)
        elif self.debuglevel or hasattr(data, "read") or not hasattr(self.sock, "send"):
            self._tieline_send_whole(data)
        else:
            sys.audit("http.client.send", self, data)
            self._tieline_send_rest(memoryview(data).cast("B"), span)

    def _tieline_send_whole(self, data: Any) -> None:
        """Send in urllib3's way, where what the kernel takes cannot be counted: it counts as sent."""
        span = self._tieline_span
        if span is not None and self.sock is not None:
            self.sock.settimeout(span.bound(span.timing.send, body=True))
            span.sent += 1
        super().send(data)

    def _tieline_send_rest(self, view: memoryview, span: Span) -> None:
        """Send, with a time limit for each piece that the kernel takes."""
        while view:
            allowed = span.bound(span.timing.send, body=True)
            if allowed is not None and allowed <= 0:
                raise TimeoutError("timed out")
            self.sock.settimeout(allowed)
            # Neither body has a total: what this takes is not taken from what follows.
            with span.paused():
                count = self.sock.send(view)
            span.sent += count
            view = view[count:]


_KEPT = ("request", "send", "endheaders", "_send_output", "getresponse")
"""Methods by which a request goes out: a class with its own may send what we would not count."""


@lru_cache(maxsize=64)
def probed(cls: Any) -> Any:
    """The class with a probe; the same class where it cannot take one."""
    if not issubclass(cls, HTTPConnection) or issubclass(cls, Probe):
        return cls
    if any(getattr(cls, name) is not getattr(HTTPConnection, name) for name in _KEPT):
        return cls
    body: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__}
    if cls.response_class is http.client.HTTPResponse:
        body["response_class"] = Answer
    if cls._new_conn is not HTTPConnection._new_conn:
        body["_new_conn"] = cls._new_conn
    return type(cls.__name__, (Probe, cls), body)
