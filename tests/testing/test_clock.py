"""ManualClock: time that moves when told."""

from __future__ import annotations

import asyncio

import pytest

from tieline.engine import clock as clock_module
from tieline.testing import ManualClock


def test_sleep_moves_and_remembers() -> None:
    """Sleeping takes no time, moves the clock and is remembered."""
    clock = ManualClock(5)
    clock.sleep(2)
    clock.sleep(0.5)
    assert clock.now() == 7.5
    assert clock.sleeps == [2, 0.5]


def test_sleep_async() -> None:
    """In a coroutine too; other tasks get their turn once."""
    clock = ManualClock(5)
    seen = []

    async def other() -> None:
        seen.append(clock.now())

    async def main() -> None:
        task = asyncio.ensure_future(other())
        await clock.sleep_async(2)
        assert seen == [7]
        await task

    asyncio.run(main())
    assert clock.now() == 7
    assert clock.sleeps == [2]


def test_advance() -> None:
    """Advancing moves the clock and is no sleep."""
    clock = ManualClock()
    clock.advance(3)
    clock.advance(0)
    assert clock.now() == 1003
    assert clock.sleeps == []


def test_never_back() -> None:
    """A monotonic clock never goes back."""
    clock = ManualClock()
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-0.001)
    assert clock.now() == 1000


def test_takes_the_place_of_the_clock() -> None:
    """Inside the block it is the engine's clock, also nested, also after an exception."""
    before = clock_module.active
    with ManualClock() as outer:
        assert clock_module.active is outer
        with ManualClock() as inner, inner as again:
            assert clock_module.active is inner is again
        assert clock_module.active is outer
        with pytest.raises(LookupError), inner:
            raise LookupError
        assert clock_module.active is outer
    assert clock_module.active is before


def test_seed() -> None:
    """The same seed gives the same random numbers, another one others."""
    first, second, other = ManualClock(), ManualClock(seed=0), ManualClock(seed=1)
    draws = [first.draw() for _ in range(5)]
    assert draws == [second.draw() for _ in range(5)]
    assert draws != [other.draw() for _ in range(5)]
    assert all(0 <= draw < 1 for draw in draws)
