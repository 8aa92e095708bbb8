"""An HTTP server on loopback that answers as its script says and keeps a ledger of what came."""

from __future__ import annotations

import os
import ssl
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tieline.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from tieline.testing.faults import Connection, Fault

CHUNK = 65536


@dataclass(slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        connection: Which connection it came on, from 0.
        method: Its method.
        path: Its target, as it stands in the request line.
        headers: Its headers, by names in lower case.
        body: What came of its body, decoded if it was chunked.
        complete: Whether all of it came.
    """

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    complete: bool = False


@dataclass(slots=True)
class Arrivals:
    """All that came on one connection, decrypted."""

    received: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)


class GoneError(ConnectionError):
    """The client ended the connection."""


class Exchange:
    """One request and what a reply does about it.

    Attributes:
        request: The request; its body is read by `read`.
        connection: What it came on.
    """

    def __init__(self, stream: Stream, request: Request) -> None:
        self.request = request
        self.connection = stream.connection
        self._stream = stream

    def read(self) -> None:
        """Read the body."""
        request, stream = self.request, self._stream
        if request.headers.get("transfer-encoding") == "chunked":
            while size := int(stream.line().split(b";")[0], 16):
                request.body += stream.exactly(size)
                stream.line()
            stream.line()
        else:
            stream.into(request, int(request.headers.get("content-length", "0")))
        request.complete = True

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.connection.send(data)


Reply: TypeAlias = "Callable[[Exchange], bool | None]"
"""Takes part in one exchange; returns whether the connection stays open for another."""


class Stream:
    """The bytes of one connection, in the pieces that HTTP is made of."""

    def __init__(self, connection: Connection, arrivals: Arrivals) -> None:
        self.connection = connection
        self.arrivals = arrivals
        self._buffer = bytearray()

    def _more(self) -> None:
        chunk = self.connection.socket.recv(CHUNK)
        if not chunk:
            raise GoneError
        self.arrivals.received += chunk
        self._buffer += chunk

    def line(self) -> bytes:
        """One line without its end."""
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, rest = bytes(self._buffer).partition(b"\r\n")
        self._buffer[:] = rest
        return line

    def exactly(self, size: int) -> bytes:
        """That many bytes."""
        while len(self._buffer) < size:
            self._more()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def into(self, request: Request, size: int) -> None:
        """That many bytes of a body, each of them noted as soon as it is here."""
        while len(request.body) < size:
            if not self._buffer:
                self._more()
            missing = size - len(request.body)
            request.body += bytes(self._buffer[:missing])
            del self._buffer[:missing]

    def request(self, number: int) -> Request:
        """The next request, up to the end of its headers."""
        method, path, _ = self.line().decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        request = Request(number, method, path, headers)
        self.arrivals.requests.append(request)
        return request


class Server:
    """Serves HTTP until its block ends; ask the ledger afterwards, when all has arrived.

    Args:
        *replies: What to do with the first requests; afterwards it is `otherwise`.
        tls: The context to speak TLS with; None for plain HTTP.
        otherwise: What to do with every further request; by default a plain 200.
        host: The address to bind.

    Attributes:
        faults: What to do with the next connections instead of serving them.
        otherwise: What to do with requests that no reply is left for.
    """

    def __init__(
        self,
        *replies: Reply,
        tls: ssl.SSLContext | None = None,
        otherwise: Reply | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.faults: deque[Fault] = deque()
        self.otherwise: Reply = otherwise or answer()
        self._replies = deque(replies)
        self._tls = tls
        self._arrivals: list[Arrivals] = []
        self._requests: list[Request] = []
        self._arrived = threading.Condition()
        self._server = FaultServer(self._serve, host=host)
        self.host, self.port = self._server.host, self._server.port

    @property
    def url(self) -> str:
        """Where it is, with a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/x"

    @property
    def requests(self) -> list[Request]:
        """Every request whose headers came, in the order of arrival."""
        return list(self._requests)

    @property
    def begun(self) -> int:
        """How many requests came, those cut off in their headers included."""
        cut = sum(bool(each.received) and not each.requests for each in self._arrivals)
        return len(self._requests) + cut

    @property
    def accepted(self) -> int:
        """How many connections were accepted."""
        return self._server.accepted

    def then(self, *replies: Reply) -> None:
        """Add to the script."""
        self._replies.extend(replies)

    def wait_requests(self, count: int, timeout: float = 5.0) -> None:
        """Wait until so many requests came."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests")

    def close(self) -> None:
        """End it."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, connection: Connection) -> None:
        with self._arrived:
            number = len(self._arrivals)
            self._arrivals.append(arrivals := Arrivals())
            fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            fault(connection)
            return
        if self._tls is not None:
            try:
                # A client that refuses our certificate ends the handshake; that is what it is for.
                connection.socket = self._tls.wrap_socket(connection.socket, server_side=True)
            except OSError:
                return
        stream = Stream(connection, arrivals)
        with suppress(ssl.SSLError):
            while self._exchange(stream, number):
                pass

    def _exchange(self, stream: Stream, number: int) -> bool | None:
        request = stream.request(number)
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
            reply = self._replies.popleft() if self._replies else self.otherwise
        return reply(Exchange(stream, request))


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Status line and headers of a response."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(
    status: int = 200,
    body: bytes = b"ok",
    headers: Mapping[str, str] | None = None,
    *,
    close: bool = False,
) -> Reply:
    """A whole response, after the whole request."""

    def reply(exchange: Exchange) -> bool:
        exchange.read()
        sent = {"Content-Length": str(len(body))} | dict(headers or {})
        content = b"" if exchange.request.method == "HEAD" else body
        exchange.send(head(status, sent | ({"Connection": "close"} if close else {})) + content)
        return not close

    return reply


def redirect(status: int, location: str) -> Reply:
    """The client is to ask elsewhere."""
    return answer(status, b"", {"Location": location})


def says(data: bytes, *, read: bool = True) -> Reply:
    """These bytes, then the end of the stream (FIN)."""

    def reply(exchange: Exchange) -> bool:
        if read:
            exchange.read()
        exchange.send(data)
        return False

    return reply


def cut() -> Reply:
    """The whole request is read, and the stream ends without an answer."""
    return says(b"")


def resets(data: bytes = b"") -> Reply:
    """The whole request is read, these bytes are sent, then an RST."""

    def reply(exchange: Exchange) -> None:
        exchange.read()
        if data:
            exchange.send(data)
        exchange.connection.reset()

    return reply


def stalls(data: bytes = b"", *, read: bool = True) -> Reply:
    """These bytes, then silence until the server is closed."""

    def reply(exchange: Exchange) -> None:
        if read:
            exchange.read()
        if data:
            exchange.send(data)
        exchange.connection.pause()

    return reply


def trickles(start: bytes, piece: bytes, interval: float = 0.02) -> Reply:
    """These bytes, then a piece again and again, for as long as the client listens."""

    def reply(exchange: Exchange) -> None:
        exchange.read()
        exchange.send(start)
        while True:
            exchange.connection.pause(interval)
            exchange.send(piece)

    return reply


def corrupts() -> Reply:
    """The whole request is read, and what comes back is no TLS record at all."""

    def reply(exchange: Exchange) -> None:
        exchange.read()
        os.write(exchange.connection.socket.fileno(), b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
        exchange.connection.pause()

    return reply
