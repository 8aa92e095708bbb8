"""Followers of a WebSocket service that restarts and then crashes: plain, and on tieline."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import websockets as plain

from demo.feed import RETRY_AFTER
from tieline import Policy, Reconnect
from tieline import websockets as ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.console import Console

FOLLOWERS: Final = 40
"""On each side."""

WINDOW: Final = 1.0
"""Seconds of the first window of ours: 5 by default, which is long for a demonstration."""

LIFE: Final = 1.5
"""Seconds of a healthy service before and after each outage."""

DOWN: Final = 0.5
"""Seconds without a service after the crash."""

PATIENCE: Final = 15.0
"""Seconds after which a side that is not back has lost."""

BUSY: Final = 0.1
"""Seconds of the interval in which openings are counted."""

SIDES: Final = {"websockets": plain, "tieline.websockets": ours}
POLICY: Final = Policy(reconnect=Reconnect(initial=WINDOW, reset_after=LIFE / 2))


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening, as the service saw it."""

    at: float
    client: str
    status: int


@dataclass(slots=True)
class Side:
    """One side, and what it did.

    Attributes:
        name: Of the client.
        following: Its clients that have a connection.
        errors: What ended a client.
        back: Seconds from each loss until everybody was back.
    """

    name: str
    following: set[int] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    back: list[float] = field(default_factory=list)

    async def follow(self, number: int, port: int) -> None:
        """Follow the service for as long as it takes."""
        uri = f"ws://127.0.0.1:{port}/{self.name}/{number}"
        keywords = {}
        if SIDES[self.name] is ours:
            # Each stands for a process of its own, and shares no circuit breaker.
            keywords = {"policy": POLICY, "target": f"follower-{number}"}
        try:
            async for connection in SIDES[self.name].connect(uri, **keywords):
                self.following.add(number)
                try:
                    async for _ in connection:
                        pass
                except plain.ConnectionClosed:
                    pass
                finally:
                    self.following.discard(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, this client is gone
            self.errors.append(error)


class Service:
    """The process of the service, and its log."""

    def __init__(self, log: Path) -> None:
        """Start it on a free port."""
        self._log = log
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, again on the same port."""
        command = [sys.executable, "-m", "demo.feed", str(self.port), str(self._log)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def restart(self) -> None:
        """Send its clients away, and turn them down for a while."""
        assert self._process.stdin is not None
        self._process.stdin.write("restart\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def openings(self, side: str) -> list[Opening]:
        """What one side has asked for, in order."""
        found = []
        for line in self._log.read_text().splitlines():
            at, path, status = line.split()
            _, name, number = path.split("/")
            if name == side:
                found.append(Opening(float(at), number, int(status)))
        return found


def compare_ticks(console: Console) -> int:
    """Play it and print the table; the exit code: 0 all promises held, 1 one was broken."""
    for name in ("tieline", "websockets"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    console.print(
        f"\nA WebSocket service with {FOLLOWERS} followers a side: it restarts (1012, then 503 with "
        f"Retry-After: {RETRY_AFTER}), and later it is killed."
    )
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "openings")
        try:
            sides, lost = asyncio.run(_play(service))
        finally:
            service.kill()
        rows = [(side, service.openings(side.name)) for side in sides]
    console.print(
        f"  {'':20} {'openings':>9} {'too early':>10} {f'most in {BUSY} s':>14} "
        f"{'back: restart':>14} {'crash':>8}"
    )
    for side, openings in rows:
        back = [f"{seconds:.1f} s" if seconds < PATIENCE else "never" for seconds in side.back]
        console.print(
            f"  {side.name:20} {len(openings):>9} {too_early(openings):>10} "
            f"{most(openings, lost):>14} {back[0]:>14} {back[1]:>8}"
        )
    sentences = [sentence for side, openings in rows for sentence in broken(side, openings)]
    for sentence in sentences:
        console.print(f"BROKEN: {sentence}")
    return int(bool(sentences))


async def _play(service: Service) -> tuple[list[Side], list[float]]:
    sides = [Side(name) for name in SIDES]
    tasks = [
        asyncio.create_task(side.follow(number, service.port))
        for side in sides
        for number in range(FOLLOWERS)
    ]
    await _everybody(sides, None)
    lost = []
    for fail, mend in ((service.restart, None), (service.kill, service.start)):
        await asyncio.sleep(LIFE)
        lost.append(time.monotonic())
        fail()
        if mend is not None:
            await asyncio.sleep(DOWN)
            await asyncio.to_thread(mend)
        else:
            # The last of them is told that it has to leave.
            while any(  # noqa: ASYNC110 - two sides, and no event of theirs
                len(side.following) == FOLLOWERS for side in sides
            ):
                await asyncio.sleep(0.005)
        await _everybody(sides, lost[-1])
    await asyncio.sleep(LIFE / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sides, lost


async def _everybody(sides: Sequence[Side], since: float | None) -> None:
    """Wait until each side follows with all its clients, or is late beyond hope."""
    begun = time.monotonic() if since is None else since
    waiting = list(sides)
    while waiting:
        spent = time.monotonic() - begun
        for side in waiting.copy():
            if len(side.following) == FOLLOWERS or spent > PATIENCE:
                waiting.remove(side)
                if since is not None:
                    side.back.append(spent)
        await asyncio.sleep(0.005)


def too_early(openings: Sequence[Opening]) -> int:
    """Openings of clients that had been asked to wait longer."""
    return sum(
        earlier.status == 503 and later.at - earlier.at < RETRY_AFTER
        for earlier, later in _of_one_client(openings)
    )


def _of_one_client(openings: Sequence[Opening]) -> Iterator[tuple[Opening, Opening]]:
    """Two openings of one client that follow each other."""
    ordered = sorted(openings, key=lambda opening: (opening.client, opening.at))
    for earlier, later in pairwise(ordered):
        if earlier.client == later.client:
            yield earlier, later


def most(openings: Sequence[Opening], lost: Sequence[float]) -> int:
    """Openings in the busiest interval after the first loss."""
    moments = [opening.at for opening in openings if opening.at >= lost[0]]
    return max(
        (sum(begin <= moment < begin + BUSY for moment in moments) for begin in moments), default=0
    )


def broken(side: Side, openings: Sequence[Opening]) -> Iterator[str]:
    """One sentence for each promise that tieline broke; nothing of the plain client."""
    if SIDES[side.name] is not ours:
        return
    early = too_early(openings)
    if early:
        yield f"{side.name}: openings before Retry-After was over: {early}"
    if side.errors:
        yield f"{side.name}: a follower ended: {side.errors[0]!r}"
    # The window in which it was turned down, what it was asked to wait, and the next window.
    for name, seconds, most_of in zip(
        ("restart", "crash"),
        side.back,
        (3 * WINDOW + RETRY_AFTER, 3 * WINDOW + DOWN),
        strict=True,
    ):
        if seconds > most_of + 1:
            yield f"{side.name}: everybody was back {seconds:.1f} s after the {name}"
