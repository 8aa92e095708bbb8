"""A loopback TCP proxy that breaks the way to a real server on purpose, and mends it again.

What sits behind it is real, so it fits where a `FaultServer` would have to speak a protocol::

    with FaultProxy(("127.0.0.1", 5432)) as proxy:
        ...  # proxy.address is as good as the server's own
        proxy.stall()
        ...  # connections stay open, and nothing comes any more
        proxy.heal()
        ...  # what was held back arrives
"""

from __future__ import annotations

import errno
import math
import selectors
import socket
import struct
import sys
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tieline.testing._lanes import READ, Direction, Lane, Link, Traffic
from tieline.testing.faults import _bind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


_BACKLOG = 1024
_PLUGS = 16
_PLUG_TIMEOUT = 0.05
_QUEUE = struct.Struct("24xII")  # Of TCP_INFO; a listener shows its queue and the limit there.
_TCP_INFO = (socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 0))


class FaultProxy:
    """A TCP proxy on the loopback interface, transparent until it is told to misbehave.

    What a method changes is in force when it returns and stays until `heal`; several changes add
    up. All of them may be called from any thread, while connections are busy; on a closed proxy
    they raise RuntimeError.

    It runs from its construction until `close`; as a context manager it closes at the end of the
    block. A client is accepted before the server is asked, so that a server which refuses shows
    as an RST, maybe while the client still connects.

    Attributes:
        host: The address it is bound to.
        port: Its port, the same one for its whole life, also while it refuses.
        address: Both, as `socket.create_connection` takes them.
        upstream: Address and port of the server.
    """

    def __init__(
        self, upstream: tuple[str, int], *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Bind the port and let connections through.

        Args:
            upstream: IP address and port of the server, which need not be up.
            host: A loopback address, of IPv4 or IPv6.
            port: The port to bind; 0 takes a free one.

        Raises:
            ValueError: The host is no loopback address, or that of the server no IP address.
            OSError: The port is taken, or the host has no such address.
        """
        if not ip_address(host).is_loopback:
            raise ValueError(f"host={host!r}: must be a loopback address")
        ip_address(upstream[0])
        # Listeners come and go. This socket never listens and keeps the port for them: the kernel
        # hands out no port that is bound.
        self._reservation = _bind(host, port)
        self.host: Final = host
        self.port: Final[int] = self._reservation.getsockname()[1]
        self.address: Final = (self.host, self.port)
        self.upstream: Final = upstream
        self._lock = Lock()
        self._closed = False
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._bell, self._ringing = socket.socketpair()
        # The rest belongs to the thread, once that runs.
        self._traffic = dict.fromkeys(Direction, Traffic())
        self._accepted = 0
        self._passed = dict.fromkeys(Direction, 0)
        self._links: set[Link] = set()
        self._waiting: dict[Link, float] = {}
        self._plugs: dict[object, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._dropping = False
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ringing, READ, self._obey)
        self._open()
        # Daemon: a proxy that nobody closed must not keep the interpreter from ending.
        self._thread = Thread(target=self._run, name=f"tieline-proxy-{self.port}", daemon=True)
        self._thread.start()

    @property
    def accepted(self) -> int:
        """How many connections were accepted, those it has not come to yet included."""
        return self._ask(self._accept)

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return self._ask(lambda: len(self._links))

    @property
    def bytes_up(self) -> int:
        """How many bytes went to the server."""
        return self._ask(lambda: self._count(Direction.UP))

    @property
    def bytes_down(self) -> int:
        """How many bytes went to clients."""
        return self._ask(lambda: self._count(Direction.DOWN))

    def refuse(self) -> None:
        """Refuse new connections; those that exist live on."""
        self._do(self._shut)

    def drop(self) -> None:
        """Leave new connections without an answer, as a firewall does; those that exist live on.

        The kernel drops their first packet (SYN), since the queue of the listener is full. Once
        healed, an attempt that is still under way succeeds with its next SYN, which clients send
        after 1, 3, 7 ... seconds.

        Raises:
            NotImplementedError: This is not Linux; elsewhere a full queue means other things.
            RuntimeError: The kernel answers nevertheless; new connections are accepted again.
        """
        if sys.platform != "linux":
            raise NotImplementedError("only Linux drops what a full queue has no room for")
        self._do(self._plug)

    def reset(self) -> None:
        """End all connections with an RST, to client and server; new ones are welcome."""
        self._do(self._reset)

    def stall(self, direction: Direction = Direction.BOTH) -> None:
        """Let bytes and ends stop where they are; connections stay open, new ones are accepted.

        As nothing is read either, a side that goes on sending is held up in the end.

        Args:
            direction: Which bytes.
        """
        self._set(direction, stalled=True)

    def delay(self, seconds: float, direction: Direction = Direction.BOTH) -> None:
        """Let each chunk arrive later, also those under way; 0 ends it.

        Args:
            seconds: By how much. At most 1 MiB of a connection and direction is under way.
            direction: Which bytes.

        Raises:
            ValueError: The delay is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds={seconds!r}: must be finite and not negative")
        self._set(direction, delay=seconds)

    def cut(
        self, after: int = 0, direction: Direction = Direction.DOWN, *, rst: bool = False
    ) -> None:
        """End each connection, to both sides, when so many more bytes have passed.

        Connections that exist count from now on, later ones from their start.

        Args:
            after: Bytes that still pass; 0 ends connections at once.
            direction: Which bytes count; of both directions, the first to get there.
            rst: Whether the end is an RST, which overtakes what the receiver has no room for, and
                not a FIN.

        Raises:
            ValueError: The number is negative.
        """
        if after < 0:
            raise ValueError(f"after={after!r}: must not be negative")
        self._set(direction, cut=after, rst=rst)

    def heal(self) -> None:
        """Be transparent again; what was held back goes on at once."""
        self._do(self._heal)

    def close(self) -> None:
        """End every connection, thread and socket. Closing again does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._bell.close()
        self._thread.join()

    def __enter__(self) -> Self:
        """The proxy itself, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the proxy."""
        self.close()

    def _do(self, command: Callable[[], T]) -> T:
        """Have the thread do it; only the thread touches connections."""
        done: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the fault proxy is closed")
            self._commands.append((command, done))
            self._bell.send(b"!")
        return done.result()

    def _set(self, direction: Direction, **changes: Any) -> None:
        self._do(partial(self._change, direction, changes))

    def _ask(self, question: Callable[[], int]) -> int:
        """Ask the thread, between two of its steps: who met a byte finds it in the counts."""
        try:
            return self._do(question)
        except RuntimeError:
            self._thread.join()
            return question()

    def _count(self, direction: Direction) -> int:
        passing = sum(link.lanes[direction].passed for link in self._links)
        return self._passed[direction] + passing

    def _run(self) -> None:
        try:
            while not self._stopped:
                due = min(self._waiting.values(), default=None)
                timeout = None if due is None else max(0.0, due - time.monotonic())
                for key, events in self._selector.select(timeout):
                    key.data(events)
                now = time.monotonic()
                for link in [link for link, due in self._waiting.items() if due <= now]:
                    self._serve(link)
        finally:
            with self._lock:
                self._closed = True
            for link in list(self._links):
                self._end(link, rst=False)
            self._shut()
            self._selector.close()
            for each in (self._bell, self._ringing, self._reservation, *self._plugs.values()):
                each.close()
            for _, done in self._commands:
                done.set_exception(RuntimeError("the fault proxy has crashed"))

    def _obey(self, _events: int) -> None:
        """Carry out the next command; the end of the bell is the command to stop."""
        if not self._ringing.recv(1):
            self._stopped = True
            return
        command, done = self._commands.popleft()
        try:
            result = command()
            for link in list(self._links):
                self._serve(link)
        except Exception as error:  # noqa: BLE001 - it is told to whoever gave the command
            done.set_exception(error)
        else:
            done.set_result(result)

    def _change(self, direction: Direction, changes: dict[str, Any]) -> None:
        for one in direction:
            self._traffic[one] = replace(self._traffic[one], **changes)
            for link in self._links:
                link.lanes[one].traffic = self._traffic[one]
                if "cut" in changes:
                    link.lanes[one].quota = changes["cut"]

    def _heal(self) -> None:
        self._change(Direction.BOTH, {"stalled": False, "delay": 0.0, "cut": None})
        self._open()

    def _reset(self) -> None:
        self._accept()
        for link in list(self._links):
            self._end(link, rst=True)

    def _open(self) -> None:
        """Listen and take in whoever is connected already."""
        if self._listener is None or self._dropping:
            self._listener = self._listener or _bind(self.host, self.port)
            self._listener.listen(_BACKLOG)
            self._selector.register(self._listener, READ, self._accept)
            self._dropping = False
        self._accept()

    def _shut(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._open()
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _plug(self) -> None:
        """Fill the queue of the listener with connections of our own."""
        if self._dropping:
            return
        self._open()
        listener = self._listener
        assert listener is not None  # noqa: S101 - open means listening
        self._selector.unregister(listener)
        self._dropping = True
        listener.listen(1)
        for _ in range(_PLUGS):
            if _is_full(listener):
                return
            plug = socket.socket(listener.family)
            plug.settimeout(_PLUG_TIMEOUT)
            try:
                plug.connect(self.address)
            except TimeoutError:
                plug.close()
            else:
                self._plugs[plug.getsockname()] = plug
        self._open()
        raise RuntimeError("the kernel takes connections although the queue of the port is full")

    def _accept(self, _events: int = 0) -> int:
        """Take in whoever is connected; returns how many have been so far."""
        while self._listener is not None and not self._dropping:
            try:
                client, address = self._listener.accept()
            except BlockingIOError:
                break
            except ConnectionError:
                continue
            plug = self._plugs.pop(address, None)
            if plug is not None:
                plug.close()
                client.close()
            else:
                self._accepted += 1
                self._link(client)
        return self._accepted

    def _link(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_INET6 if ":" in self.upstream[0] else socket.AF_INET)
        for end in (client, server):
            end.settimeout(0)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server, self._traffic)
        self._links.add(link)
        if server.connect_ex(self.upstream) in (0, errno.EINPROGRESS):
            self._serve(link)
        else:
            self._end(link, rst=True)

    def _serve(self, link: Link, lane: Lane | None = None, events: int = 0) -> None:
        if link.closed:
            return
        try:
            link.move(lane, events)
        except ConnectionResetError:
            self._end(link, rst=True)
            return
        lanes = link.lanes.values()
        if all(each.ended and each.done for each in lanes):
            self._end(link, rst=False)
            return
        now = time.monotonic()
        for each in lanes:
            self._watch(each, link.wanted(each, now), partial(self._serve, link, each))
        later = [each.due for each in lanes if now < each.due < math.inf]
        self._waiting.pop(link, None)
        if later:
            self._waiting[link] = min(later)

    def _end(self, link: Link, *, rst: bool) -> None:
        self._links.discard(link)
        self._waiting.pop(link, None)
        for direction, lane in link.lanes.items():
            self._passed[direction] += lane.passed
            self._watch(lane, 0)
        link.close(rst=rst)

    def _watch(self, lane: Lane, events: int, serve: Callable[[int], None] | None = None) -> None:
        if events == lane.watched:
            return
        if not events:
            # Not left there: the selector would go on telling of an end that nobody can take yet.
            self._selector.unregister(lane.source)
        elif lane.watched:
            self._selector.modify(lane.source, events, serve)
        else:
            self._selector.register(lane.source, events, serve)
        lane.watched = events


def _is_full(listener: socket.socket) -> bool:
    """Whether the kernel drops what else wants to be queued there."""
    waiting, limit = _QUEUE.unpack(listener.getsockopt(*_TCP_INFO, _QUEUE.size))
    return bool(waiting > limit)
