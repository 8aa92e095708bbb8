"""The websockets drop-in over websockets itself, against a real server in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import websockets.asyncio.client as native_aio
import websockets.sync.client as native_sync

from benchmarks.measure import median_ratio, median_ratio_async, one_core
from tieline.websockets.asyncio import client as ours_aio
from tieline.websockets.sync import client as ours_sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

MESSAGE = "m" * 64

SERVER = """
import asyncio, sys
from websockets.asyncio.server import serve

async def echo(connection):
    async for message in connection:
        await connection.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def echo_server() -> Iterator[str]:
    """The URI of a server that sends back what it gets."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        process.stdin.close()


def ratios(rounds: int, pairs: int) -> Iterator[tuple[str, list[float]]]:
    """Name and median ratios, one a round, of each kind of call.

    Args:
        rounds: Medians to take.
        pairs: Interleaved pairs of calls in each.
    """
    with one_core(), echo_server() as uri:
        for name, found in asyncio.run(_on_asyncio(uri, rounds, pairs)):
            yield f"asyncio: {name}", found
        for name, found in _in_threads(uri, rounds, pairs):
            yield f"threads: {name}", found


async def _on_asyncio(uri: str, rounds: int, pairs: int) -> list[tuple[str, list[float]]]:
    def echo(connection: Any) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            await connection.send(MESSAGE)
            await connection.recv()

        return call

    def opening(module: Any) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            async with module.connect(uri):
                pass

        return call

    found = []
    async with native_aio.connect(uri) as raw, ours_aio.connect(uri) as wrapped:
        medians = [
            await median_ratio_async(echo(raw), echo(wrapped), pairs * 5) for _ in range(rounds)
        ]
        found.append(("echo round trip", medians))
    medians = [
        await median_ratio_async(opening(native_aio), opening(ours_aio), pairs)
        for _ in range(rounds)
    ]
    found.append(("open and close", medians))
    return found


def _in_threads(uri: str, rounds: int, pairs: int) -> Iterator[tuple[str, list[float]]]:
    def echo(connection: Any) -> Callable[[], object]:
        def call() -> None:
            connection.send(MESSAGE)
            connection.recv()

        return call

    def opening(module: Any) -> Callable[[], object]:
        def call() -> None:
            with module.connect(uri):
                pass

        return call

    with native_sync.connect(uri) as raw, ours_sync.connect(uri) as wrapped:
        yield (
            "echo round trip",
            [median_ratio(echo(raw), echo(wrapped), pairs * 5) for _ in range(rounds)],
        )
    yield (
        "open and close",
        [median_ratio(opening(native_sync), opening(ours_sync), pairs) for _ in range(rounds)],
    )
