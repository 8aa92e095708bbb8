"""Driving psycopg's generators up to a point in time, and not beyond."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

WAKE = 0.1
"""Seconds after which psycopg's own waiting functions resume a generator although nothing
happened (``_WAIT_INTERVAL`` in psycopg 3.2 and 3.3); the last stretch is waited for here."""


class Bounded(Generator[Any, Any, T]):
    """The same generator, ended when its time is up.

    An object and no generator function: a Ctrl-C that comes while it waits leaves the inner
    generator as it was. psycopg then cancels the statement and drives the generator once more,
    beginning with ``next``; from there on it is psycopg that bounds it.

    Args:
        generator: Yields what to wait for, together with a file number unless ``fileno`` is given.
        until: The end, in ``time.monotonic()`` seconds.
        expired: Makes the exception to throw into it then.
        fileno: Tells the file number of a connection that is established.
        blocking: Whether the last stretch may be waited for here; on an event loop it must not.
    """

    def __init__(
        self,
        generator: Generator[Any, Any, T],
        until: float,
        expired: Callable[[], BaseException],
        fileno: Callable[[], int] | None = None,
        *,
        blocking: bool = True,
    ) -> None:
        """Nothing runs before the first ``next``."""
        self._blocking = blocking
        self._generator = generator
        self._until = until
        self._expired = expired
        self._fileno = fileno
        self._begun = False

    def send(self, value: Any, /) -> Any:
        """Go on until it asks for a wait that is not the last."""
        if value is None and self._begun:
            self._until = math.inf
        self._begun = True
        request = self._generator.send(value)
        while True:
            left = self._until - time.monotonic()
            if left <= 0:
                request = self._generator.throw(self._expired())
            elif self._blocking and left < WAKE:
                number, wanted = request if self._fileno is None else (self._fileno(), request)
                request = self._generator.send(_poll(number, wanted, left))
            else:
                return request

    def interval(self) -> float:
        """Seconds after which to be resumed, so that one of the times is the end."""
        left = max(0.001, self._until - time.monotonic())
        return left / math.ceil(left / WAKE)

    def throw(self, *error: Any) -> Any:
        """Raise inside."""
        return self._generator.throw(*error)


def is_writable(fileno: int) -> bool:
    """Whether a connection attempt is over, one way or the other."""
    poll = select.poll()
    poll.register(fileno, select.POLLOUT)
    return bool(poll.poll(0))


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
