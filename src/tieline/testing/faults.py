"""A loopback TCP server that misbehaves on purpose.

A fault is anything that can be called with an accepted `Connection`: one of the values below, or
a function of your own for everything they do not cover::

    def without_tls(connection: Connection) -> None:
        connection.read(8)  # SSLRequest
        connection.send(b"N")


    with FaultServer(Refuse()) as server:
        ...  # connecting to server.address is refused
        server.fault = without_tls
        ...  # the very same port answers now
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_CHUNK = 65536
_JOIN_TIMEOUT = 1.0


class Connection:
    """One accepted connection, as a fault sees it.

    A fault that returns ends the connection with a FIN; what the client still sends is read until
    the client ends as well, because closing with unread bytes would make the kernel send an RST.

    Attributes:
        socket: The accepted socket. A fault that speaks TLS replaces it by the wrapped one.
    """

    def __init__(self, accepted: socket.socket, closing: Event) -> None:
        """Take over an accepted socket.

        Args:
            accepted: The socket, blocking.
            closing: Set when the server closes.
        """
        self.socket = accepted
        self._closing = closing
        self._received = bytearray()
        # Without it the abort of another thread could hit a descriptor number already reused.
        self._lock = Lock()

    @property
    def received(self) -> bytes:
        """Everything read from the client so far."""
        return bytes(self._received)

    def read(self, size: int | None = None) -> bytes:
        """Read from the client.

        Args:
            size: How many bytes to wait for; None reads until the client ends.

        Returns:
            The bytes, fewer than asked for only if the client ended before.

        Raises:
            ConnectionError: The client reset the connection.
        """
        start = len(self._received)
        while size is None or len(self._received) - start < size:
            missing = _CHUNK if size is None else size - (len(self._received) - start)
            chunk = self.socket.recv(min(missing, _CHUNK))
            if not chunk:
                break
            self._received += chunk
        return bytes(self._received[start:])

    def send(self, data: bytes) -> None:
        """Send all of the bytes.

        Raises:
            ConnectionError: The client is gone or the server closes.
        """
        self.socket.sendall(data)

    def pause(self, seconds: float | None = None) -> None:
        """Do nothing for a while.

        Args:
            seconds: How long; None waits until the server closes.

        Raises:
            ConnectionAbortedError: The server closes, which ends the fault.
        """
        if self._closing.wait(seconds):
            raise ConnectionAbortedError("the fault server is closing")

    def reset(self) -> None:
        """End the connection with an RST."""
        with self._lock, suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()

    def _serve(self, fault: Fault) -> None:
        try:
            fault(self)
            # A server that closes shuts it down as well, and then this fails; what the client has
            # sent can be read all the same.
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                self.read()
        except ConnectionError:
            pass  # The client left or the server closes: there is nobody to misbehave to.
        finally:
            with self._lock:
                self.socket.close()

    def _abort(self) -> None:
        # Closing alone would not wake a thread that is blocked in recv or send.
        with self._lock, suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


Fault: TypeAlias = Callable[[Connection], None]
"""What a `FaultServer` does with a connection it accepted."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nobody listens: connecting is refused, while the port stays reserved for the server."""

    def __call__(self, connection: Connection) -> None:
        """Reset a connection that was accepted in the very moment the port closed."""
        connection.reset()


@dataclass(frozen=True, slots=True)
class Fin:
    """Accept, then end the connection in order (FIN).

    Attributes:
        after: Bytes to read before.
    """

    after: int = 0

    def __call__(self, connection: Connection) -> None:
        """Read what is to be read; returning sends the FIN."""
        connection.read(self.after)


@dataclass(frozen=True, slots=True)
class Reset:
    """Accept, then abort the connection (RST).

    An RST at once can be so fast that the client meets it while it still connects; one after the
    first byte cannot.

    Attributes:
        after: Bytes to read before.
    """

    after: int = 0

    def __call__(self, connection: Connection) -> None:
        """Read what is to be read and reset."""
        connection.read(self.after)
        connection.reset()


@dataclass(frozen=True, slots=True)
class Silence:
    """Accept, then neither read nor say anything until the server closes."""

    def __call__(self, connection: Connection) -> None:
        """Hold the connection."""
        connection.pause()


@dataclass(frozen=True, slots=True)
class Garbage:
    """Accept, send bytes the client does not expect, then FIN.

    Attributes:
        data: The bytes, for example an SSH banner or an HTTP answer.
        after: Bytes to read before.
    """

    data: bytes
    after: int = 0

    def __call__(self, connection: Connection) -> None:
        """Read what is to be read and send the bytes."""
        connection.read(self.after)
        connection.send(self.data)


@dataclass(frozen=True, slots=True)
class Slow:
    """Accept, send bytes one by one, then FIN.

    Attributes:
        data: The bytes.
        interval: Seconds between two bytes; the first one is sent at once.
        after: Bytes to read before.
    """

    data: bytes
    interval: float
    after: int = 0

    def __call__(self, connection: Connection) -> None:
        """Read what is to be read and send the bytes."""
        connection.read(self.after)
        for index in range(len(self.data)):
            if index:
                connection.pause(self.interval)
            connection.send(self.data[index : index + 1])


class FaultServer:
    """A TCP server on the loopback interface that shows one fault to every client.

    It runs from its construction until `close`; as a context manager it closes at the end of the
    block. All its methods may be called from any thread.

    Attributes:
        host: The address it is bound to.
        port: Its port, the same one for its whole life, also while it refuses.
        address: Both, as `socket.create_connection` takes them.
    """

    def __init__(self, fault: Fault, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port and show the fault.

        Args:
            fault: What to do with connections.
            host: A loopback address, of IPv4 or IPv6.
            port: The port to bind; 0 takes a free one.

        Raises:
            ValueError: The host is no loopback address.
            OSError: The port is taken, or the host has no such address.
        """
        if not ip_address(host).is_loopback:
            raise ValueError(f"host={host!r}: must be a loopback address")
        self._socket = _bind(host, port)
        self.host: Final = host
        self.port: Final[int] = self._socket.getsockname()[1]
        self.address: Final = (self.host, self.port)
        self._lock = Lock()
        self._closing = Event()
        self._acceptor: tuple[Thread, socket.socket] | None = None
        self._arrived = Condition()
        self._served: list[tuple[Connection, Thread]] = []
        self.fault = fault

    @property
    def fault(self) -> Fault:
        """What the server does with connections; may be assigned at any time.

        Once the assignment returns, every new connection meets the new fault. Connections that
        were accepted before stay with the old one. Assigning to a closed server raises
        RuntimeError.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the fault server is closed")
            self._fault = fault
            if not isinstance(fault, Refuse):
                self._listen()
            elif self._acceptor:
                self._stop_listening()
                # A socket cannot stop listening; its successor takes over the port at once. A
                # port that is bound is never handed out by the kernel, so neither a stranger nor
                # the client's own end of a connection can come to sit on it.
                self._socket = _bind(self.host, self.port)

    @property
    def accepted(self) -> int:
        """How many connections were accepted."""
        return len(self._served)

    @property
    def received(self) -> list[bytes]:
        """What was read from each connection so far, in the order of their arrival."""
        return [connection.received for connection, _ in self._served]

    def wait_accepted(self, count: int, timeout: float = 5.0) -> None:
        """Wait until so many connections were accepted.

        A client is connected as soon as the kernel has queued it, which is before it counts here.

        Args:
            count: Connections since the construction.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: There were fewer.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.accepted >= count, timeout):
                raise TimeoutError(f"{self.accepted} of {count} connections after {timeout} s")

    def close(self) -> None:
        """End every connection, thread and socket. Closing again does nothing.

        Raises:
            RuntimeError: A fault of your own went on although its connection was ended.
        """
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            self._stop_listening()
        for connection, _ in self._served:
            connection._abort()
        deadline = time.monotonic() + _JOIN_TIMEOUT
        for _, thread in self._served:
            thread.join(max(0.0, deadline - time.monotonic()))
        if stuck := [thread.name for _, thread in self._served if thread.is_alive()]:
            raise RuntimeError(f"still running after {_JOIN_TIMEOUT} s: {', '.join(stuck)}")

    def __enter__(self) -> Self:
        """The server itself, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the server."""
        self.close()

    def _listen(self) -> None:
        if self._acceptor:
            return
        self._socket.listen()
        # Closing a socket does not wake a thread that waits for it; a second one to wait for does.
        stop, stopped = socket.socketpair()
        thread = self._thread(self._accept, self._socket, stopped)
        thread.start()
        self._acceptor = (thread, stop)

    def _stop_listening(self) -> None:
        if self._acceptor:
            thread, stop = self._acceptor
            stop.close()
            thread.join()
            self._acceptor = None
        self._socket.close()

    def _accept(self, listener: socket.socket, stopped: socket.socket) -> None:
        with stopped, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(stopped, selectors.EVENT_READ)
            while not any(key.fileobj is stopped for key, _ in selector.select()):
                # A client that is gone again would leave a blocking accept waiting for the next.
                with suppress(BlockingIOError, ConnectionError):
                    accepted, _ = listener.accept()
                    accepted.settimeout(None)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection = Connection(accepted, self._closing)
                    thread = self._thread(connection._serve, self._fault)
                    # Counted before it is served: who met the fault finds it in the counts.
                    with self._arrived:
                        self._served.append((connection, thread))
                        self._arrived.notify_all()
                    thread.start()

    def _thread(self, target: Callable[..., None], *args: object) -> Thread:
        name = f"tieline-fault-{self.port}"
        # Daemon: a fault of one's own that hangs must not keep the interpreter from ending.
        return Thread(target=target, args=args, name=name, daemon=True)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that owns the port: until it listens, the kernel refuses connections to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of the past (TIME_WAIT) and of the previous fault must not hold the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.settimeout(0)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
