"""Driving psycopg's generators up to a point in time, and not beyond."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

WAKE = 0.1
"""Seconds after which psycopg's own waiting functions resume a generator although nothing
happened (``_WAIT_INTERVAL`` in psycopg 3.2 and 3.3); the last stretch is waited for here."""


def bounded(
    generator: Generator[Any, Any, T],
    until: float,
    expired: Callable[[], BaseException],
    fileno: Callable[[], int] | None = None,
) -> Generator[Any, Any, T]:
    """The same generator, ended when its time is up.

    Args:
        generator: Yields what to wait for, together with a file number unless ``fileno`` is given.
        until: The end, in ``time.monotonic()`` seconds.
        expired: Makes the exception to throw into it then.
        fileno: Tells the file number of a connection that is established.
    """
    try:
        request = next(generator)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                request = generator.throw(expired())
            elif left < WAKE:
                number, wanted = request if fileno is None else (fileno(), request)
                request = generator.send(_poll(number, wanted, left))
            else:
                request = generator.send((yield request))
    except StopIteration as stop:
        result: T = stop.value
        return result


def _poll(fileno: int, wanted: Wait, seconds: float) -> Ready:
    """Wait here for that long at most."""
    poll = select.poll()
    poll.register(
        fileno,
        (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0),
    )
    ready = 0
    for _, event in poll.poll(seconds * 1000):
        # An error condition makes both ready: whoever reads or writes then gets to know it.
        broken = event & ~(select.POLLIN | select.POLLOUT)
        if wanted & Wait.R and (event & select.POLLIN or broken):
            ready |= Ready.R
        if wanted & Wait.W and (event & select.POLLOUT or broken):
            ready |= Ready.W
    return Ready(ready)
