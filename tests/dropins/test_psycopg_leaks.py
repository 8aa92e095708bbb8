"""Connecting leaves nothing behind."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tieline
from tests.dropins.test_psycopg_connect import ONCE, accepts, attempt, declines
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset

if TYPE_CHECKING:
    from tests.dropins.flavours import Flavour
    from tieline.testing.faults import Fault

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def fail(client: Flavour, server: FaultServer) -> None:
    """One failed connect."""
    with pytest.raises(tieline.ConnectFailed):
        attempt(client, server)


@linux
@pytest.mark.parametrize(
    "fault",
    [Refuse(), Fin(), Reset(after=8), Garbage(b"\0\xff nonsense"), declines("57P03")],
    ids=["refuse", "fin", "reset", "garbage", "57P03"],
)
def test_failures_leave_no_descriptor_and_no_thread(client: Flavour, fault: Fault) -> None:
    """Two hundred failed connects hold as many descriptors and threads as one."""
    for _ in range(2):
        with FaultServer(fault) as server:
            fail(client, server)
    gc.collect()  # what other tests have left must not go meanwhile
    before = descriptors(), threading.active_count()
    with FaultServer(fault) as server:
        for _ in range(200):
            fail(client, server)
    # What fails is freed at once, without the help of the garbage collector.
    assert (descriptors(), threading.active_count()) == before


@linux
def test_successes_leave_no_descriptor_and_no_thread(client: Flavour) -> None:
    """Fifty connections that were closed leave nothing either, and an open one holds one."""
    with FaultServer(accepts) as server, attempt(client, server):
        pass
    gc.collect()
    before = descriptors(), threading.active_count()
    with FaultServer(accepts) as server:
        for _ in range(50):
            with attempt(client, server):
                pass
    assert (descriptors(), threading.active_count()) == before


def refusals() -> int:
    """Errors that are alive in this process; other tests may keep some."""
    return sum(isinstance(item, tieline.Refused) for item in gc.get_objects())


def swallow(client: Flavour, server: FaultServer) -> None:
    """One refused connect whose error goes no further, as in an application that handles it.

    An error that leaves its event loop is held by the frames of the loop, from Python 3.13 on.
    """

    async def refused() -> None:
        with suppress(tieline.Refused):
            await client.connection.connect(host=server.host, port=server.port, policy=ONCE)

    if client.is_async:
        client.run(refused())
    else:
        with suppress(tieline.Refused):
            attempt(client, server)


def test_failures_leave_no_cycles(client: Flavour) -> None:
    """An error that nobody keeps is gone with its frames, its connection and its history."""
    with FaultServer(Refuse()) as server:
        swallow(client, server)
        gc.collect()
        before = refusals()
        gc.disable()
        try:
            for _ in range(20):
                swallow(client, server)
            assert refusals() == before
        finally:
            gc.enable()


def test_failures_leave_no_memory(client: Flavour) -> None:
    """Python's memory does not grow with the number of failed connects."""
    with FaultServer(Refuse()) as server:
        for _ in range(50):
            fail(client, server)
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(200):
                fail(client, server)
            gc.collect()
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown < 100_000
