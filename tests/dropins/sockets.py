"""websockets in both flavours, used in one way, and servers that misbehave as a test says."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import inspect
import ssl
import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import trustme
import websockets.asyncio.client as native_aio
import websockets.sync.client as native_sync

from tieline import Policy, Retry
from tieline.websockets.asyncio import client as ours_aio
from tieline.websockets.sync import client as ours_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Self

    from tieline.testing import FaultServer
    from tieline.testing.faults import Connection, Fault

FLAVOURS = ("sync", "async")
ONCE = Policy(retry=Retry(max_attempts=1))
BRIEF = Policy(retry=Retry(max_attempts=1), attempt_timeout=0.3)


class Sockets:
    """The client of one flavour, as if all of it were sync.

    On asyncio, one event loop in a thread of its own runs all the time, so that what a connection
    does by itself goes on between two calls.

    Attributes:
        name: ``sync`` or ``async``.
        module: Our module.
        native_module: The one of websockets itself.
        native: The class of websockets itself for a loop; None where it has none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "async"
        self.module: Any = ours_aio if self.is_async else ours_sync
        self.native_module: Any = native_aio if self.is_async else native_sync
        native: Any = native_aio.connect if self.is_async else None
        self.native = native or getattr(native_sync, "reconnect", None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def connect(self, uri: str | None = None, **kwargs: Any) -> Session:
        """Open one connection."""
        return self.open(self.module.connect, uri, **kwargs)

    def unix_connect(self, **kwargs: Any) -> Session:
        """Open one connection over a Unix socket."""
        return self.open(self.module.unix_connect, **kwargs)

    def open(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Session:
        """What `connect` or its like comes to."""

        async def opened() -> Any:
            return await function(*args, **kwargs)

        return Session(self, self.run(opened()) if self.is_async else function(*args, **kwargs))

    @contextmanager
    def looped(self, uri: str | None = None, **kwargs: Any) -> Iterator[Iterator[Session]]:
        """A loop over connections, closed at the end of the block."""
        if not self.is_async:
            connections = iter(ours_sync.reconnect(uri, **kwargs))
            try:
                yield (Session(self, connection) for connection in connections)
            finally:
                connections.close()
            return

        async def made() -> Any:
            return aiter(ours_aio.connect(uri, **kwargs))

        generator = self.run(made())

        async def following() -> Any:
            return await anext(generator, None)

        async def closed() -> None:
            await generator.aclose()

        try:
            found = iter(lambda: self.run(following()), None)
            yield (Session(self, connection) for connection in found)
        finally:
            self.run(closed())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine comes to, in the context of here."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End the event loop."""
        if self._loop is not None and self._thread is not None:

            async def ended() -> None:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)

            self.run(ended())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class Session:
    """A connection whose coroutines are run where they are called."""

    def __init__(self, flavour: Sockets, connection: Any) -> None:
        self.flavour = flavour
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.connection, name)
        if not self.flavour.is_async or not inspect.ismethod(value):
            return value

        def called(*args: Any, **kwargs: Any) -> Any:
            async def awaited() -> Any:
                return await value(*args, **kwargs)

            return self.flavour.run(awaited())

        return called

    def __enter__(self) -> Self:
        if not self.flavour.is_async:
            self.connection.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def sockets(name: str) -> Iterator[Sockets]:
    """One flavour, until its event loop is closed."""
    made = Sockets(name)
    try:
        yield made
    finally:
        made.close()


def uri_of(server: FaultServer, scheme: str = "ws", path: str = "/") -> str:
    """Where a server is."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{host}:{server.port}{path}"


# --- what a server does ---------------------------------------------------------------------------


def request(connection: Connection) -> bytes:
    """The request of an opening."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = connection.read(1)
        if not got:
            raise ConnectionAbortedError("the client left")
        head += got
    return head


def upgrade(connection: Connection, headers: str = "") -> bytes:
    """Let a client in; its request."""
    head = request(connection)
    key = next(
        line.partition(b":")[2].strip()
        for line in head.splitlines()
        if line.lower().startswith(b"sec-websocket-key:")
    )
    token = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
    connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(token) + b"\r\n" + headers.encode() + b"\r\n"
    )
    return head


def upgraded(then: Callable[[Connection], object]) -> Fault:
    """Let clients in, and do something to them."""

    def fault(connection: Connection) -> None:
        upgrade(connection)
        then(connection)

    return fault


def frames(connection: Connection) -> Iterator[tuple[int, bytes]]:
    """What a client sends: opcode and payload of each frame, until it ends."""
    while len(head := connection.read(2)) == 2:
        size = head[1] & 0x7F
        if size > 125:
            size = int.from_bytes(connection.read(2 if size == 126 else 8), "big")
        mask, payload = connection.read(4), connection.read(size)
        yield head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def listens(connection: Connection) -> None:
    """Answer pings and the end, as a server does that has nothing to say."""
    for opcode, payload in frames(connection):
        if opcode == 9:
            connection.send(frame(10, payload))
        if opcode == 8:
            connection.send(frame(8, payload))
            return


def stays(connection: Connection) -> None:
    """Let a client in, and listen until it ends."""
    upgrade(connection)
    listens(connection)


def answers(status: int, headers: str = "", body: str = "") -> Fault:
    """Answer an opening like an ordinary request."""

    def fault(connection: Connection) -> None:
        request(connection)
        connection.send(
            f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    return fault


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A short frame from a server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


def text(message: str) -> bytes:
    """A message."""
    return frame(1, message.encode())


def close_frame(code: int, reason: str = "bye") -> bytes:
    """The end, in order."""
    return frame(8, code.to_bytes(2, "big") + reason.encode())


def closes(code: int, reason: str = "bye") -> Fault:
    """Let clients in, and close with a code."""

    def then(connection: Connection) -> None:
        connection.send(close_frame(code, reason))
        connection.read(8)

    return upgraded(then)


def secured(then: Callable[[Connection], object], certificate: str = "good") -> Fault:
    """The same behind TLS."""

    def fault(connection: Connection) -> None:
        # What breaks here is what the client is to notice.
        with suppress(ssl.SSLError, OSError):
            connection.socket = tls(certificate).wrap_socket(connection.socket, server_side=True)
            then(connection)

    return fault


@cache
def authority() -> trustme.CA:
    """The one that the clients trust."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """One that nobody trusts."""
    return trustme.CA()


@cache
def tls(certificate: str) -> ssl.SSLContext:
    """How a server speaks TLS: with a good certificate, or with one that is wrong somehow."""
    issuer = stranger() if certificate == "unknown-ca" else authority()
    names = ["other.example"] if certificate == "wrong-host" else ["127.0.0.1", "localhost"]
    expiry = None
    if certificate == "expired":
        expiry = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names, not_after=expiry).configure_cert(made)
    return made


@cache
def trusting() -> ssl.SSLContext:
    """How a client speaks TLS."""
    made = ssl.create_default_context()
    authority().configure_trust(made)
    return made
