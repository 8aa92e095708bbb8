"""A server that answers request after request as a test says, and tells what it was sent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tieline.testing import FaultServer

if TYPE_CHECKING:
    from typing import Self

    from tieline.testing.faults import Connection, Fault

Step = "bytes | Callable[[Connection], None]"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_request(connection: Connection) -> bytes:
    """One request with its body; empty at the end of the stream."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.read(1)
        if not byte:
            return head
        head += byte
    lines = head.lower().split(b"\r\n")
    lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
    if b"transfer-encoding: chunked" in lines:
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.read(1)
        return head + body
    return head + (connection.read(lengths[0]) if lengths else b"")


class Script:
    """Answers with each step in turn, and with the last of them ever after.

    A step is what to send, or a function that is given the connection; after one that returns
    True the connection is over.

    Attributes:
        requests: Each request, as it came.
    """

    def __init__(self, *steps: Step) -> None:
        self.requests: list[bytes] = []
        self.faults: deque[Fault] = deque()
        self._steps = deque(steps or (OK,))
        self.server = FaultServer(self._serve)
        self.host, self.port = self.server.address
        self.url = f"http://{self.host}:{self.port}"

    def _serve(self, connection: Connection) -> None:
        if self.faults:
            self.faults.popleft()(connection)
            return
        while request := read_request(connection):
            self.requests.append(request)
            step = self._steps.popleft() if len(self._steps) > 1 else self._steps[0]
            if isinstance(step, bytes):
                connection.send(step)
            elif step(connection):
                return

    @property
    def bodies(self) -> list[bytes]:
        """What follows the head of each request."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
