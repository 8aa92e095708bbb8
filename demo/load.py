"""A steady load: calls begin when they are due, whatever became of the ones before."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from demo.heard import Heard


class UnfinishedError(Exception):
    """The call was still waiting when the demo ended."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the app.

    Attributes:
        number: The same on both sides for calls that began together.
        started: When it began, in ``time.monotonic()`` seconds, like all instants of the demo.
        ended: When it was answered or failed.
        error: What its caller got; None if it was answered.
    """

    number: int
    started: float
    ended: float
    error: Exception | None

    @property
    def wait(self) -> float:
        """Seconds that the caller waited."""
        return self.ended - self.started

    def overlaps(self, begin: float, end: float) -> bool:
        """Whether it was under way at some instant between the two."""
        return self.started <= end and self.ended >= begin


class Side(ABC):
    """One of the apps that are compared.

    A slow call delays no other, so all sides get the same calls at the same instants.

    Args:
        name: How it is called in the output and in the database.
        heard: What the client tells of its attempts; None for one that tells nothing.

    Attributes:
        calls: The finished calls, in the order in which they ended.
        most_waiting: How many calls were under way at once, at most.
    """

    def __init__(self, name: str, heard: Heard | None) -> None:
        """No calls yet."""
        self.name = name
        self.heard = heard
        self.calls: list[Call] = []
        self.most_waiting = 0
        self._running: dict[int, float] = {}

    @property
    def waiting(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    def launch(self, number: int) -> None:
        """Begin a call and do not wait for it."""
        self._running[number] = time.monotonic()
        self.most_waiting = max(self.most_waiting, self.waiting)
        self._begin(number)

    @abstractmethod
    def _begin(self, number: int) -> None:
        """Make the call of that number elsewhere, and record how it ended."""

    def finish(self, grace: float) -> None:
        """Wait for the calls under way; those that take longer are recorded as unfinished.

        Args:
            grace: Seconds to wait at most.
        """
        end = time.monotonic() + grace
        while self._running and time.monotonic() < end:
            time.sleep(0.01)
        for number in list(self._running):
            self._record(number, UnfinishedError("it did not end"))

    def _record(self, number: int, error: Exception | None) -> None:
        ended = time.monotonic()
        # Popping decides between `finish` and a call that ends just then.
        started = self._running.pop(number, None)
        if started is not None:
            self.calls.append(Call(number, started, ended, error))


class ThreadSide(Side):
    """Each call has a thread of its own, as in a server with a thread a request.

    Args:
        name: How it is called.
        act: Makes the call of that number, and raises what its caller would get.
        heard: What the client tells of its attempts; None for one that tells nothing.
    """

    def __init__(self, name: str, act: Callable[[int], None], heard: Heard | None = None) -> None:
        """No calls yet."""
        super().__init__(name, heard)
        self._act = act

    def _begin(self, number: int) -> None:
        # A daemon: a call that hangs must not keep the demo from ending.
        threading.Thread(target=self._call, args=(number,), daemon=True).start()

    def _call(self, number: int) -> None:
        error: Exception | None = None
        try:
            self._act(number)
        except Exception as raised:  # noqa: BLE001 - whatever the caller gets is what is compared
            error = raised
        self._record(number, error)


class LoopSide(Side):
    """All calls are tasks on one event loop.

    Args:
        name: How it is called.
        act: Makes the call of that number, and raises what its caller would get.
        heard: What the client tells of its attempts; None for one that tells nothing.
    """

    def __init__(
        self, name: str, act: Callable[[int], Awaitable[None]], heard: Heard | None = None
    ) -> None:
        """No calls yet; the loop runs for as long as the process."""
        super().__init__(name, heard)
        self._act = act
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def _begin(self, number: int) -> None:
        asyncio.run_coroutine_threadsafe(self._call(number), self._loop)

    async def _call(self, number: int) -> None:
        error: Exception | None = None
        try:
            await self._act(number)
        except Exception as raised:  # noqa: BLE001 - whatever the caller gets is what is compared
            error = raised
        self._record(number, error)


class Load:
    """Launches calls on all sides at once until the block ends.

    Args:
        sides: Who calls.
        rate: Calls per second of each side.
    """

    def __init__(self, sides: Sequence[Side], rate: float) -> None:
        """Nothing is launched yet."""
        self._sides = sides
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        """Begin."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """Launch no more; calls under way go on."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begin = time.monotonic()
        number = 0
        while not self._stop.wait(max(0.0, begin + number / self._rate - time.monotonic())):
            # They take turns at being first, so that neither always has the quieter machine.
            for side in self._sides if number % 2 else reversed(self._sides):
                side.launch(number)
            number += 1
