"""Connecting, losing and cancelling leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.sockets import (
    FLAVOURS,
    ONCE,
    answers,
    closes,
    sockets,
    stays,
    upgrade,
    uri_of,
)
from tests.dropins.test_websockets_open import no_proxy as no_proxy  # noqa: PLC0414 - a fixture
from tieline.engine.target import target_state
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset, Silence
from tieline.websockets import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.dropins.sockets import Sockets
    from tieline.testing.faults import Fault

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """`tieline.websockets`, for threads and for asyncio."""
    with sockets(request.param) as client:
        yield client


def held() -> tuple[int, int]:
    """Descriptors and threads."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@linux
@pytest.mark.parametrize(
    "fault",
    [Refuse(), Fin(), Reset(after=16), Garbage(b"\0\xff\r\n\r\n"), answers(503)],
    ids=["refuse", "fin", "reset", "garbage", "503"],
)
def test_failed_openings(client: Sockets, fault: Fault) -> None:
    """A hundred of them hold as many descriptors and threads as one."""
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None)

    def fail(server: FaultServer) -> None:
        with pytest.raises(tieline.ConnectFailed):
            client.connect(uri_of(server), policy=policy)

    with FaultServer(fault) as server:
        fail(server)
    before = held()
    with FaultServer(fault) as server:
        for _ in range(100):
            fail(server)
    assert held() == before


@linux
@pytest.mark.parametrize("fault", [stays, closes(1012), upgrade], ids=["stays", "1012", "fin"])
def test_connections_that_ended(client: Sockets, fault: Fault) -> None:
    """However they ended, fifty of them leave what one leaves."""

    def use(server: FaultServer) -> None:
        with client.connect(uri_of(server)) as connection, suppress(tieline.ConnectionLost):
            if fault is not stays:
                connection.recv()

    with FaultServer(fault) as server:
        use(server)
    before = held()
    with FaultServer(fault) as server:
        for _ in range(50):
            use(server)
    assert held() == before


@linux
def test_a_loop_that_is_left(client: Sockets) -> None:
    """`break` closes the connection that the loop was at."""
    before = None
    for _ in range(3):
        with FaultServer(stays) as server:
            with client.looped(uri_of(server)) as connections:
                connection = next(connections)
            assert connection.protocol.state.name == "CLOSED"
        before = before or held()
    assert held() == before


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it, and see that no task is left."""

    async def checked() -> None:
        await main()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert others == set()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(checked())


@pytest.mark.parametrize("fault", [Silence(), answers(503)], ids=["opening", "waiting"])
def test_cancelling_an_opening(fault: Fault) -> None:
    """No socket, no task and no permit is left, whether it was connecting or waiting."""
    policy = tieline.Policy(
        backoff=tieline.Backoff(initial=30, max=60), call_timeout=None, attempt_timeout=None
    )

    async def main() -> None:
        with FaultServer(fault) as server:
            task = asyncio.create_task(connect(uri_of(server), policy=policy).connect())
            await asyncio.to_thread(server.wait_accepted, 1)
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)


def test_cancelling_a_probe_returns_its_permit() -> None:
    """A half-open breaker lets the next caller find out."""
    breaker = tieline.CircuitBreaker(failures=1, open_for=0.05, jitter=0)
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=breaker)

    async def main() -> None:
        with FaultServer(Refuse()) as server:
            uri = uri_of(server)
            with pytest.raises(tieline.Refused):
                await connect(uri, target="probed", policy=policy)
            await asyncio.sleep(0.1)
            server.fault = Silence()
            probe = asyncio.create_task(connect(uri, target="probed", policy=policy).connect())
            await asyncio.to_thread(server.wait_accepted, 1)
            with pytest.raises(tieline.CircuitOpen):
                await connect(uri, target="probed", policy=policy)
            probe.cancel()
            with pytest.raises(asyncio.CancelledError):
                await probe
            server.fault = stays
            async with connect(uri, target="probed", policy=policy):
                pass
        assert not target_state("probed", policy).unsettled

    run(main)


def test_cancelling_a_loop() -> None:
    """In the wait between two connections, and in the body."""

    async def main() -> None:
        async def follow(uri: str) -> None:
            async for connection in connect(uri):
                await connection.wait_closed()

        with FaultServer(stays) as server:
            task = asyncio.create_task(follow(uri_of(server)))
            await asyncio.to_thread(server.wait_accepted, 1)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with FaultServer(answers(503)) as server:
            task = asyncio.create_task(follow(uri_of(server)))
            await asyncio.to_thread(server.wait_accepted, 1)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # A generator that was left in its body is closed by the loop's own hook.
        await asyncio.sleep(0.05)

    run(main)


def test_a_task_group_ends_as_natively() -> None:
    """A failure next door cancels the block, and it is the only error of the group."""

    async def main() -> None:
        async def use(uri: str) -> None:
            async with connect(uri) as connection:
                await connection.recv()

        async def fail(server: FaultServer) -> None:
            await asyncio.to_thread(server.wait_accepted, 1)
            raise LookupError("next door")

        with FaultServer(stays) as server:
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(use(uri_of(server)))
                    group.create_task(fail(server))
            assert [type(error) for error in caught.value.exceptions] == [LookupError]

    run(main)


def test_asyncio_timeout_is_the_callers() -> None:
    """`asyncio.timeout` around it ends it with TimeoutError and nothing of ours."""

    async def main() -> None:
        with FaultServer(Silence()) as server:
            with pytest.raises(TimeoutError) as opening:
                async with asyncio.timeout(0.1):
                    await connect(uri_of(server))
            server.fault = stays
            async with connect(uri_of(server)) as connection:
                with pytest.raises(TimeoutError) as receiving:
                    async with asyncio.timeout(0.1):
                        await connection.recv()
                # Ours is far away, and does not take it for its own.
                with tieline.deadline(30), pytest.raises(TimeoutError) as inside:
                    async with asyncio.timeout(0.1):
                        await connection.recv()
        for caught in (opening, receiving, inside):
            assert not isinstance(caught.value, tieline.TielineError)

    run(main)


def refusals() -> int:
    """Errors that are alive in this process."""
    return sum(isinstance(item, tieline.Refused) for item in gc.get_objects())


def test_a_failed_opening_is_freed_at_once() -> None:
    """Without the help of the garbage collector."""
    gc.collect()
    before = refusals()  # other tests may keep some
    gc.disable()
    try:

        async def main() -> None:
            with FaultServer(Refuse()) as server:
                for _ in range(3):
                    with suppress(tieline.ConnectFailed):
                        await connect(uri_of(server), policy=ONCE)

        asyncio.run(main())
        left = refusals()
    finally:
        gc.enable()
    assert left == before
