"""An event loop whose time is a ManualClock's: it jumps to the next timer and never waits."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tieline.testing import ManualClock


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list:
        """What is ready now; if nothing is, the timer that the loop waits for has come."""
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self._clock.advance(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """What the clock shows."""
        return self._clock.now()


def run(main: Coroutine, clock: ManualClock) -> object:
    """Run it as `asyncio.run` does, on the time of that clock."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(main)
