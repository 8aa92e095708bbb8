"""A server that restarts loses all its clients at once: how they come back."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import serve

from tests.dropins.test_websockets_open import no_proxy as no_proxy  # noqa: PLC0414 - a fixture
from tieline import Policy, Reconnect
from tieline.engine import clock as clock_module
from tieline.events import AttemptFailed
from tieline.testing import RecordingListener
from tieline.websockets import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 200


class SharedClock:
    """Virtual time for many tasks: it moves to the next moment that any of them waits for.

    It moves only when every client waits for time, and none for a socket.
    """

    def __init__(self, clients: int) -> None:
        self._now = 1000.0
        self._random = random.Random(3)
        self._clients = clients
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []
        self.settled = 0

    def now(self) -> float:
        """The time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Nobody here sleeps in a thread."""
        raise AssertionError(seconds)

    def draw(self) -> float:
        """A random number."""
        return self._random.random()

    async def sleep_async(self, seconds: float) -> None:
        """Wait for the others to have come as far."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self._now + seconds, future))
        self.turn()
        await future

    def turn(self) -> None:
        """Move on, if all clients that are not connected wait."""
        if self._waiting and len(self._waiting) + self.settled == self._clients:
            self._waiting.sort(key=lambda entry: entry[0])
            moment, future = self._waiting.pop(0)
            self._now = max(self._now, moment)
            future.set_result(None)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedClock]:
    """The clock of this process."""
    clock = SharedClock(CLIENTS)
    monkeypatch.setattr(clock_module, "active", clock)
    return clock


class Restart:
    """A server with all its clients, which restarts once.

    Args:
        clock: Theirs.
        down_for: Seconds for which it turns them down.

    Attributes:
        returned: Seconds from the loss until each client was back.
    """

    def __init__(self, clock: SharedClock, down_for: float) -> None:
        self.returned: list[float] = []
        self._clock = clock
        self._down_for = down_for
        self._first: set[Any] = set()
        self._all_in = asyncio.Event()
        self._lost_at = 0.0
        self._up = True

    async def run(self) -> None:
        """From the first connection to the last one that is back."""
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._admit) as server:
            uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    # Each is a process of its own: it shares no breaker and no budget.
                    group.create_task(self._follow(connect(uri, target=f"client-{number}")))
                await self._all_in.wait()
                self._lost_at = self._clock.now()
                self._up = self._down_for == 0
                await asyncio.gather(*(connection.close(1012) for connection in self._first))
                while not self._up:
                    await asyncio.sleep(0.001)
                    self._up = self._clock.now() >= self._lost_at + self._down_for

    async def _handle(self, connection: Any) -> None:
        if len(self._first) < CLIENTS:
            self._first.add(connection)
            if len(self._first) == CLIENTS:
                self._all_in.set()
        await connection.wait_closed()

    def _admit(self, connection: Any, _request: Any) -> Any:
        return None if self._up else connection.respond(503, "restarting\n")

    async def _follow(self, connections: connect) -> None:
        again = False
        async for connection in connections:
            if again:
                self.returned.append(self._clock.now() - self._lost_at)
                self._clock.settled += 1
                self._clock.turn()
                return
            again = True
            await connection.wait_closed()


@pytest.mark.parametrize("down_for", [0.0, 3.0], ids=["at-once", "three-seconds"])
def test_two_hundred_clients_of_a_server_that_restarts(
    shared: SharedClock, down_for: float
) -> None:
    """They spread over the windows, none twice in the first one, and all of them come back."""

    async def restarted() -> list[float]:
        restart = Restart(shared, down_for)
        await restart.run()
        return restart.returned

    with RecordingListener() as heard:
        returned = asyncio.run(restarted())
    assert len(returned) == CLIENTS
    # Who came while the server was down has had its opening of the first window, and comes back
    # in the second one.
    failed = [event.target for event in heard.of(AttemptFailed)]
    early = len(failed)
    assert len(set(failed)) == early
    assert sum(moment >= 5 for moment in returned) == early
    assert max(returned) <= 5 + (10 if down_for else 0)
    assert (early > 0) == (down_for > 0)
    if not down_for:
        shares = [sum(second <= moment < second + 1 for moment in returned) for second in range(5)]
        assert max(shares) <= CLIENTS / 5 * 1.5
        assert min(shares) >= CLIENTS / 5 * 0.5


def test_two_hundred_real_connections() -> None:
    """On the system's clock and real sockets: everybody is back, and nobody asked twice."""
    opened: list[float] = []

    async def main() -> None:
        first: set[Any] = set()
        everybody = asyncio.Event()
        back = asyncio.Event()

        async def handler(connection: Any) -> None:
            opened.append(asyncio.get_running_loop().time())
            if len(opened) <= CLIENTS:
                first.add(connection)
            if len(opened) == CLIENTS:
                everybody.set()
            if len(opened) == 2 * CLIENTS:
                back.set()
            await connection.wait_closed()

        policy = Policy(reconnect=Reconnect(initial=0.5))
        async with serve(handler, "127.0.0.1", 0, backlog=CLIENTS) as server:
            uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

            async def client() -> None:
                async for connection in connect(uri, policy=policy):
                    await connection.wait_closed()

            tasks = [asyncio.create_task(client()) for _ in range(CLIENTS)]
            await everybody.wait()
            await asyncio.gather(*(connection.close(1012) for connection in first))
            await asyncio.wait_for(back.wait(), 20)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert len(opened) == 2 * CLIENTS
