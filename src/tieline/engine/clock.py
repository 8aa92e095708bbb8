"""Time and chance, as the engine sees them."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Clock(Protocol):
    """The engine's only access to time and randomness, so that tests own both."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...

    async def sleep_async(self, seconds: float, /) -> None:
        """Wait, and let other tasks run."""
        ...

    def draw(self) -> float:
        """A random number, uniform in [0, 1)."""
        ...


class SystemClock:
    """The machine's monotonic clock, and the random module's generator.

    That generator, unlike one of our own, is seeded anew in every forked child: workers of one
    server must not wait the same "random" times.
    """

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    draw = staticmethod(random.random)

    async def sleep_async(self, seconds: float, /) -> None:
        """Wait, and let other tasks run."""
        import asyncio

        await asyncio.sleep(seconds)


active: Clock = SystemClock()
"""The clock that new calls use; `tieline.testing.ManualClock` puts itself here for a while."""
