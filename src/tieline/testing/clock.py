"""A clock that moves when told."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tieline.engine import clock as clock_module

if TYPE_CHECKING:
    from typing import Self

    from tieline.engine.clock import Clock


class ManualClock:
    """Time and chance in the hands of a test.

    ``with ManualClock() as clock:`` puts it in place of the system's clock for every call that
    tieline makes in this process, in all threads, until the block ends. Sleeping moves it
    forward and takes no time. Real sockets go on in real time.

    Args:
        start: What it shows at first, in seconds.
        seed: Of its random numbers: the same seed gives the same jitter.

    Attributes:
        sleeps: Seconds of every sleep so far, in order.
    """

    def __init__(self, start: float = 1000.0, *, seed: int = 0) -> None:
        """Show the start."""
        self._now = start
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._replaced: list[Clock] = []
        self.sleeps: list[float] = []

    def now(self) -> float:
        """What it shows, in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move forward at once, and remember."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Move forward at once, remember, and let other tasks run once."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def draw(self) -> float:
        """The next random number of its seed, uniform in [0, 1)."""
        return self._random.random()

    def advance(self, seconds: float) -> None:
        """Move forward.

        Args:
            seconds: How far; 0 or more.

        Raises:
            ValueError: Negative seconds: a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds!r}): a monotonic clock never goes back")
        self._now += seconds

    def __enter__(self) -> Self:
        """Take the place of the clock in use."""
        self._replaced.append(clock_module.active)
        clock_module.active = self
        return self

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        clock_module.active = self._replaced.pop()
