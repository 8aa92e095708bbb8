"""A WebSocket service in a process of its own: ``python -m demo.feed PORT LOG``.

It writes each opening to the log, and obeys a line on its standard input: ``restart`` sends its
clients away with the code 1012, and turns them down for a second; it is killed by a signal.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from typing import TextIO

RETRY_AFTER = 1
"""Seconds that it asks its clients to wait while it restarts."""

TICK = 0.1
"""Seconds between two messages."""


class Feed:
    """The service.

    Args:
        log: Gets a line for each opening: when, whose, and how it was answered.
    """

    def __init__(self, log: TextIO) -> None:
        """Let everybody in."""
        self._log = log
        self._clients: set[Any] = set()
        self._closed_until = 0.0

    def admit(self, connection: Any, request: Any) -> Any:
        """Let a client in, or turn it down."""
        now = time.monotonic()
        status = 503 if now < self._closed_until else 101
        self._log.write(f"{now} {request.path} {status}\n")
        if status == 101:
            return None
        response = connection.respond(503, "restarting\n")
        response.headers["Retry-After"] = str(RETRY_AFTER)
        return response

    async def talk(self, connection: Any) -> None:
        """Send a client the ticks."""
        self._clients.add(connection)
        try:
            while True:
                await connection.send("tick")
                await asyncio.sleep(TICK)
        except ConnectionClosed:
            self._clients.discard(connection)

    async def obey(self) -> None:
        """Restart when told."""
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            self._closed_until = time.monotonic() + RETRY_AFTER
            await asyncio.gather(*(client.close(1012, "restart") for client in self._clients))


async def main(port: int, log: Path) -> None:
    """Serve until the input ends."""
    with log.open("a", buffering=1) as lines:
        feed = Feed(lines)
        async with serve(
            feed.talk, "127.0.0.1", port, process_request=feed.admit, backlog=1024
        ) as server:
            print(next(iter(server.sockets)).getsockname()[1], flush=True)
            await feed.obey()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
