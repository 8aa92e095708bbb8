"""One proxied connection: two lanes, one in each direction, that can be slowed, held and cut."""

from __future__ import annotations

import math
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import Flag, auto
from typing import TypeVar

T = TypeVar("T")

_CHUNK = 65536
_WINDOW = 1 << 20
_RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends no FIN and keeps nothing to send.
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Direction(Flag):
    """A way that bytes go, or both of them."""

    UP = auto()
    """From the client to the server."""
    DOWN = auto()
    """From the server to the client."""
    BOTH = UP | DOWN


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the bytes of one direction meet."""

    stalled: bool = False
    delay: float = 0.0
    cut: int | None = None
    rst: bool = False


class Lane:
    """One direction of one connection: what it reads from one socket it sends to the other."""

    def __init__(self, source: socket.socket, sink: socket.socket, traffic: Traffic) -> None:
        self.source, self.sink = source, sink
        self.traffic = traffic
        self.quota = traffic.cut
        self.passed = 0
        self.ended = False  # The source has nothing more to say.
        self.done = False  # The sink gets nothing more; what is still read is thrown away.
        self.watched = 0  # What the selector watches the source for.
        self._broken = False
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._held = 0

    @property
    def hungry(self) -> bool:
        """Whether the source is to be read."""
        free = self.done or not (self.traffic.stalled or self._held >= _WINDOW)
        return free and not self.ended

    @property
    def due(self) -> float:
        """When the next chunk may go on, in ``time.monotonic()`` seconds; infinity if never."""
        if not self._queue or self.traffic.stalled:
            return math.inf
        return self._queue[0][0] + self.traffic.delay

    def read(self) -> None:
        """Queue what the source has: bytes, empty ones for a FIN, None for an RST."""
        try:
            data: bytes | None = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = None
        self.ended = not data
        if not self.done:
            self._queue.append((time.monotonic(), None if self._broken and not data else data))
            self._held += len(data or b"")

    def write(self, reverse: Lane) -> None:
        """Send what may go on.

        Raises:
            ConnectionResetError: It is the turn of an RST.
        """
        while self.quota != 0 and self.due <= time.monotonic():
            arrived, data = self._queue.popleft()
            if data is None:
                raise ConnectionResetError
            try:
                if not data:
                    self.done = True
                    self.sink.shutdown(socket.SHUT_WR)
                    break
                sent = self.sink.send(data[: self.quota])
            except BlockingIOError:
                self._queue.appendleft((arrived, data))
                break
            except OSError:
                self.discard()
                reverse.lose()
                break
            self.passed += sent
            self._held -= sent
            if self.quota is not None:
                self.quota -= sent
            if sent < len(data):
                self._queue.appendleft((arrived, data[sent:]))

    def lose(self) -> None:
        """Note that the source is gone, as sending to it has shown.

        What it said before is still to be read. The error is not: the kernel tells it once, and
        what comes after would look like a FIN.
        """
        self._broken = True
        if self.ended:
            raise ConnectionResetError

    def discard(self) -> None:
        """Let nothing more through."""
        self.done = True
        self.quota = None
        self._queue.clear()


class Link:
    """One connection: the client's socket, the server's, and the two lanes between them."""

    def __init__(
        self, client: socket.socket, server: socket.socket, traffic: dict[Direction, Traffic]
    ) -> None:
        self.up = Lane(client, server, traffic[Direction.UP])
        self.down = Lane(server, client, traffic[Direction.DOWN])
        self.lanes = {Direction.UP: self.up, Direction.DOWN: self.down}
        self.connected = False
        self.closed = False

    def move(self, lane: Lane | None, events: int) -> None:
        """Read if told so, and send what may go on.

        Raises:
            ConnectionResetError: The connection is to end with an RST, to both sides.
        """
        if not self.connected and lane is self.down:
            # Connected or not: if not, reading tells. SO_ERROR could not tell a server that
            # refused from one that spoke and reset at once, whose words are still to be read.
            self.connected = True
        elif lane and events & READ and lane.hungry:
            lane.read()
        if self.connected:
            self.up.write(self.down)
            self.down.write(self.up)
        for each in self.lanes.values():
            if each.quota == 0:
                self._cut(rst=each.traffic.rst)

    def wanted(self, lane: Lane, now: float) -> int:
        """The events to watch the lane's source for."""
        if not self.connected:
            return WRITE if lane is self.down else 0
        reverse = self.up if lane is self.down else self.down
        # What is due and was not sent waits for room.
        return (READ if lane.hungry else 0) | (WRITE if reverse.due <= now else 0)

    def close(self, *, rst: bool) -> None:
        """Close both sockets."""
        self.closed = True
        for lane in self.lanes.values():
            if rst:
                with suppress(OSError):
                    lane.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            lane.source.close()

    def _cut(self, *, rst: bool) -> None:
        if rst:
            raise ConnectionResetError
        self.connected = True
        for lane in self.lanes.values():
            lane.discard()
            # Closing would make the kernel answer what comes in later with an RST.
            with suppress(OSError):
                lane.sink.shutdown(socket.SHUT_WR)
