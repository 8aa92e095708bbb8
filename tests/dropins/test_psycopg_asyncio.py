"""What is special to `tieline.psycopg.AsyncConnection`: the loop goes on, and tasks are cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.test_psycopg_connect import ONCE, accepts, begin, message
from tests.engine.test_twins import stripped
from tieline import psycopg
from tieline.psycopg import _dial_aio, _dial_sync
from tieline.psycopg._wait import WAKE
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Fin, Refuse, Silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tieline.testing.faults import Connection

SINGLE = tieline.Policy(retry=tieline.Retry(max_attempts=1))


def connect(server: FaultServer, **arguments: Any) -> Awaitable[psycopg.AsyncConnection[Any]]:
    """A coroutine that connects, by default once."""
    arguments = {"sslmode": "disable", "policy": ONCE} | arguments
    return psycopg.AsyncConnection.connect(host=server.host, port=server.port, **arguments)


async def longest_pause(work: Awaitable[object]) -> tuple[float, object]:
    """The longest time for which nothing else ran, and what the work came to."""
    task = asyncio.ensure_future(work)
    last, longest = asyncio.get_running_loop().time(), 0.0
    while not task.done():
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        last, longest = now, max(longest, now - last)
    return longest, task.exception() or task.result()


async def within(seconds: float, work: Callable[[], Awaitable[object]]) -> object:
    """The work inside a deadline."""
    with tieline.deadline(seconds):
        return await work()


class Arrivals:
    """A fault that tells the event loop of each connection, and says nothing to it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.arrived = asyncio.Event()

    def __call__(self, connection: Connection) -> None:
        """Hold it."""
        self._loop.call_soon_threadsafe(self.arrived.set)
        connection.pause()


def test_the_loop_goes_on_while_connecting() -> None:
    """A server that is silent holds up one task, and no other."""
    with FaultServer(Silence()) as server:
        pause, error = asyncio.run(longest_pause(within(0.4, lambda: connect(server))))
    assert isinstance(error, tieline.DeadlineExceeded)
    assert pause < 0.2


def test_the_loop_goes_on_while_resolving(names: dict[str, Any]) -> None:
    """So does a name service that hangs."""
    answered = threading.Event()
    names["hangs.test"] = lambda: answered.wait(10) and ["127.0.0.1"]
    resolving = within(0.4, lambda: psycopg.AsyncConnection.connect(host="hangs.test"))
    try:
        pause, error = asyncio.run(longest_pause(resolving))
    finally:
        answered.set()
    assert isinstance(error, tieline.DeadlineExceeded)
    assert pause < 0.2


def test_the_loop_goes_on_during_a_statement() -> None:
    """The deadline of a statement is waited for by the loop, to the end, and kept."""

    async def main() -> tuple[float, object, float]:
        connection = await connect(server)
        began = asyncio.get_running_loop().time()
        pause, error = await longest_pause(within(0.4, lambda: connection.execute("SELECT 1")))
        return pause, error, asyncio.get_running_loop().time() - began

    with FaultServer(accepts) as server:
        pause, error, elapsed = asyncio.run(main())
    assert isinstance(error, tieline.DeadlineExceeded)
    assert pause < 0.9 * WAKE
    assert 0.4 <= elapsed < 0.6


def test_a_deadline_shorter_than_a_wake_up() -> None:
    """The loop wakes up when the time is over, and not at psycopg's next interval."""

    async def main() -> float:
        connection = await connect(server)
        began = asyncio.get_running_loop().time()
        with pytest.raises(tieline.DeadlineExceeded), tieline.deadline(0.02):
            await connection.execute("SELECT 1")
        return asyncio.get_running_loop().time() - began

    with FaultServer(accepts) as server:
        assert 0.02 <= asyncio.run(main()) < 0.9 * WAKE


def test_a_deadline_over_a_chatty_answer() -> None:
    """Messages that keep coming put off the end by no more than one wake-up."""

    def chatty(connection: Connection) -> None:
        begin(connection)
        connection.send(message(b"R", bytes(4)) + message(b"Z", b"I"))
        connection.read(1)
        while True:
            connection.send(message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0"))
            connection.pause(0.005)

    async def main() -> float:
        connection = await connect(server)
        began = asyncio.get_running_loop().time()
        with pytest.raises(tieline.DeadlineExceeded), tieline.deadline(0.3):
            await connection.execute("SELECT 1")
        return asyncio.get_running_loop().time() - began

    with FaultServer(chatty) as server:
        assert 0.3 <= asyncio.run(main()) < 0.3 + WAKE + 0.1


@pytest.mark.parametrize("seconds", [None, 20.0])
def test_a_cancelled_connect(clock: ManualClock, seconds: float | None) -> None:
    """CancelledError passes as it is, and the permit of a probe is given back."""

    async def main() -> None:
        for _ in range(5):
            with pytest.raises(tieline.HandshakeFailed):
                await connect(server, policy=SINGLE)
        with pytest.raises(tieline.CircuitOpen) as caught:
            await connect(server, policy=SINGLE)
        assert caught.value.retry_after is not None
        clock.advance(caught.value.retry_after)
        server.fault = arrivals = Arrivals()
        with tieline.deadline(seconds):
            task = asyncio.ensure_future(connect(server, policy=SINGLE))
            await arrivals.arrived.wait()
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
        assert type(cancelled.value) is asyncio.CancelledError
        assert cancelled.value.args == ("enough",)
        assert task.cancelled()
        server.fault = accepts
        await (await connect(server, policy=SINGLE)).close()

    with FaultServer(Fin()) as server:
        asyncio.run(main())


def test_a_connect_that_is_closed_from_outside() -> None:
    """A coroutine that is closed in another context, as the garbage collector may, just ends."""

    async def main() -> None:
        coroutine: Any = connect(server)
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()

    with FaultServer(Silence()) as server:
        asyncio.run(main())


@pytest.mark.parametrize("attempt", [0.3, 5.0])
@pytest.mark.parametrize("whole", [None, 5.0])
def test_the_callers_timeout(attempt: float, whole: float | None) -> None:
    """A timeout of the caller's own is a TimeoutError and nothing of ours, and ours is ours."""

    async def main() -> BaseException:
        with pytest.raises(Exception) as caught, tieline.deadline(whole):
            async with asyncio.timeout(0.3 if attempt > 1 else 5):
                await connect(server, connect_timeout=attempt)
        return caught.value

    with FaultServer(Silence()) as server:
        error = asyncio.run(main())
    expected = tieline.HandshakeFailed if attempt < 1 else TimeoutError
    assert isinstance(error, expected)
    assert isinstance(error, tieline.TielineError) == (attempt < 1)


def test_a_timeout_of_somebody_elses() -> None:
    """A TimeoutError that comes out of a subclass is not taken for the end of our limit."""

    class Mine(psycopg.AsyncConnection[Any]):
        @classmethod
        async def _get_connection_params(cls, conninfo: str, **kwargs: Any) -> Any:
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match=r"mine") as caught:
        asyncio.run(Mine.connect(host="127.0.0.1"))
    assert type(caught.value) is TimeoutError


def test_both_timeouts_at_once() -> None:
    """When both are over in one turn of the loop, the caller's counts: their block has ended."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server.fault = arrivals = Arrivals()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5) as limit:
                task = asyncio.current_task()
                assert task

                async def expire() -> None:
                    await arrivals.arrived.wait()
                    limit.reschedule(loop.time())

                both = asyncio.ensure_future(expire())
                await connect(server, connect_timeout=5)
        await both
        assert not isinstance(caught.value, tieline.TielineError)
        assert not task.cancelling()

    with FaultServer(Silence()) as server:
        asyncio.run(main())


def test_many_connects_on_one_loop() -> None:
    """Connects that run side by side have each their own evidence."""

    async def one(server: FaultServer) -> str:
        try:
            await (await connect(server)).close()
        except tieline.TielineError as error:
            return type(error).__name__
        return "ok"

    async def main() -> list[str]:
        return await asyncio.gather(*(one(server) for server in (dead, alive, cut) * 10))

    with FaultServer(Refuse()) as dead, FaultServer(accepts) as alive, FaultServer(Fin()) as cut:
        assert asyncio.run(main()) == ["Refused", "ok", "HandshakeFailed"] * 10


def test_loops_in_threads_share_a_target() -> None:
    """A breaker counts what fails on any loop and in any thread, and stops all of them."""

    async def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(tieline.Refused):
                await connect(server, policy=SINGLE, target="shared-db")

    with FaultServer(Refuse()) as server, ThreadPoolExecutor(2) as pool:
        for failing in [pool.submit(asyncio.run, fail(times)) for times in (2, 3)]:
            failing.result()
        with pytest.raises(tieline.CircuitOpen):
            asyncio.run(fail(1))
        with pytest.raises(tieline.CircuitOpen):
            psycopg.connect(host=server.host, port=server.port, policy=SINGLE, target="shared-db")


def test_a_guarded_coroutine_repeats_a_connect(clock: ManualClock) -> None:
    """A refused connect sent nothing, so the guard repeats, and connect leaves that to it."""
    calls = []

    @tieline.guard("guarded-aio", policy=tieline.Policy(retry=tieline.Retry(max_attempts=3)))
    async def work() -> None:
        calls.append(1)
        await connect(server, policy=None)

    with FaultServer(Fin()) as server:
        with pytest.raises(tieline.HandshakeFailed):
            asyncio.run(work())
        assert len(calls) == server.accepted == 3


def test_a_stream_of_our_own_class() -> None:
    """`async with await connect()` and `async for` work as psycopg's do."""

    async def nothing() -> AsyncIterator[int]:
        async with await connect(server) as connection:
            assert isinstance(connection, native.AsyncConnection)
            yield 1
        assert connection.closed

    async def main() -> list[int]:
        return [number async for number in nothing()]

    with FaultServer(accepts) as server:
        assert asyncio.run(main()) == [1]


@pytest.mark.parametrize("name", ["connect", "_attempt", "_resolve", "_connect"])
def test_twins(name: str) -> None:
    """Dialling on asyncio is dialling in threads, word for word, but for `await`."""
    assert stripped(getattr(_dial_sync, name)) == stripped(getattr(_dial_aio, name))


def test_nothing_else_is_different() -> None:
    """Both modules have these functions and two more: how to resolve, and how to keep time."""
    for module in (_dial_sync, _dial_aio):
        own = [name for name, value in vars(module).items() if _is_own(value, module)]
        assert own == ["connect", "_attempt", "_resolve", "_connect", "resolve", "within"]


def _is_own(value: object, module: object) -> bool:
    return callable(value) and getattr(value, "__module__", "") == getattr(module, "__name__", None)
