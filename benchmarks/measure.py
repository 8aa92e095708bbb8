"""How to measure: interleaved rounds, and the least or the median of them."""

from __future__ import annotations

import gc
import os
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

CHUNK = 0.008
"""Seconds of one chunk: long against the clock's resolution, short against a time slice."""


ASYNC_CALLS = 4000
"""Calls in one chunk of coroutines: some milliseconds of each."""


def least_nanoseconds(rows: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Nanoseconds per call of each row: the least of interleaved chunks.

    The least is what the code costs; whatever comes on top is the machine's other work.

    Args:
        rows: What to call, by name.
        rounds: Chunks of each row.
    """
    repeats = {name: _repeats(call) for name, call in rows.items()}
    best = dict.fromkeys(rows, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in rows.items():
                count = repeats[name]
                begun = time.perf_counter_ns()
                for _ in range(count):
                    call()
                best[name] = min(best[name], (time.perf_counter_ns() - begun) / count)
            gc.collect()
    finally:
        gc.enable()
    return best


async def least_nanoseconds_async(
    rows: Mapping[str, Callable[[], Awaitable[object]]], rounds: int
) -> dict[str, float]:
    """The same for coroutine functions, in the loop that runs.

    Args:
        rows: What to call and await, by name.
        rounds: Chunks of each row.
    """
    best = dict.fromkeys(rows, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in rows.items():
                begun = time.perf_counter_ns()
                for _ in range(ASYNC_CALLS):
                    await call()
                best[name] = min(best[name], (time.perf_counter_ns() - begun) / ASYNC_CALLS)
            gc.collect()
    finally:
        gc.enable()
    return best


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts, on one core.

    A client and its server process may share a core or not, and a round trip between two cores
    takes three times as long: which of two connections is luckier would be all that is measured.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def median_ratio(raw: Callable[[], object], ours: Callable[[], object], pairs: int) -> float:
    """Median of ours over raw, each pair called one after the other, in alternating order."""
    ratios: list[float] = []
    for index in range(pairs):
        first, second = (raw, ours) if index % 2 else (ours, raw)
        times = {}
        for call in (first, second):
            begun = time.perf_counter_ns()
            call()
            times[call] = time.perf_counter_ns() - begun
        ratios.append(times[ours] / times[raw])
    return statistics.median(ratios)


async def median_ratio_async(
    raw: Callable[[], Awaitable[object]], ours: Callable[[], Awaitable[object]], pairs: int
) -> float:
    """The same for coroutine functions, in the loop that runs."""
    ratios: list[float] = []
    for index in range(pairs):
        first, second = (raw, ours) if index % 2 else (ours, raw)
        times = {}
        for call in (first, second):
            begun = time.perf_counter_ns()
            await call()
            times[call] = time.perf_counter_ns() - begun
        ratios.append(times[ours] / times[raw])
    return statistics.median(ratios)


def _repeats(call: Callable[[], object]) -> int:
    call()  # the first one reads the settings
    count = 1
    while True:
        begun = time.perf_counter()
        for _ in range(count):
            call()
        if time.perf_counter() - begun > CHUNK / 2:
            return count
        count *= 2
