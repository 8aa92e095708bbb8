"""One attempt: the time it has, and what its connection has seen."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from socket import getdefaulttimeout
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from urllib3.util.timeout import Timeout

from tieline.engine import clock as clock_module
from tieline.engine.context import deadline_var
from tieline.failure import Phase
from tieline.policy.deadline import earliest
from tieline.policy.defaults import HTTP_CONNECT, HTTP_READ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.policy.policy import Policy

UNSET = Timeout.DEFAULT_TIMEOUT
"""urllib3's sign that no timeout was given."""


class Timing(NamedTuple):
    """The timeouts of one call, in seconds; None for no limit.

    Attributes:
        connect: To connect, TLS included.
        send: For the other side to take the next piece of the request.
        read: For the next piece of the answer.
        total: For all of one attempt, where the caller gave that.
        call: For all attempts and waits, up to the head of the answer.
        allowed: For the first attempt, by the policy.
    """

    connect: float | None
    send: float | None
    read: float | None
    total: float | None
    call: float | None
    allowed: float | None


def timing(timeout: Any, policy: Policy, *, extend: bool) -> Timing:
    """What a timeout, as urllib3 takes it, comes to.

    Args:
        timeout: A number, None for no limit, a `Timeout`, or `UNSET`.
        policy: The settings.
        extend: Whether a longer timeout gives the call more time: not where the caller has said
            how long a call may take.
    """
    if not isinstance(timeout, Timeout):
        timeout = Timeout.from_float(timeout)
    return _timing(
        timeout._connect, timeout._read, timeout.total, getdefaulttimeout(), policy, extend
    )


@lru_cache(maxsize=256)
def _timing(
    connect: Any, read: Any, total: Any, default: float | None, policy: Policy, extend: bool
) -> Timing:
    send = connect
    if connect is UNSET:
        connect = HTTP_CONNECT if default is None else default
        send = HTTP_READ if default is None else default
        if total is not None and total is not UNSET:
            connect = total
    elif total is not None and total is not UNSET:
        connect = total if connect is None else min(connect, total)
    if read is UNSET:
        read = HTTP_READ if default is None else default
        if total is not None and total is not UNSET:
            read = None
    if total is UNSET:
        total = default
    call = policy.call_timeout
    if extend and call is not None:
        longest = (
            total if total is not None else None if None in (connect, read) else connect + read
        )
        call = None if longest is None else max(call, longest)
    return Timing(connect, send, read, total, call, earliest(call, policy.attempt_timeout))


_SEND = Phase.SEND


class Span(Timeout):
    """What one attempt may take, and what was seen of it.

    It is the ``timeout`` that urllib3 is given, so that urllib3 asks it in the right moments.

    Attributes:
        connect_timeout: Seconds to connect, as urllib3 asks for them.
        until: The end of the attempt up to the head of the answer, on the engine's clock.
        phase: How far it has come; None until a connection of ours says so.
        sent: Bytes of the request that were handed to the kernel.
        reused: Whether it goes over a kept connection.
        answered: Whether anything came back.
        on_the_way: Whether it has yet to get past a proxy.
    """

    _connect = None
    _read = None
    _start_connect = None
    total = None
    connect_timeout: float | None = None  # type: ignore[assignment]  # asked for twice an attempt
    phase: Phase | None = None
    sent = 0
    reused = False
    answered = False
    on_the_way = False
    _total_until: float | None = None

    until: float | None = None

    def __init__(self, timing: Timing, allowed: float | None, started: float) -> None:
        """Nothing was seen yet."""
        self.timing = timing
        self.allowed = allowed
        if allowed is not None:
            self.until = started + allowed
        connect = timing.connect
        if connect is None or (allowed is not None and connect > allowed):
            connect = allowed
        self.connect_timeout = connect

    def keep(self) -> None:
        """Go over a kept connection.

        There is room in the kernel for its first piece as a rule: so that one is tried without a
        timeout, which would cost a system call, and with one if there is not.
        """
        self.reused = True
        self.phase = _SEND
        self.connect_timeout = 0.0

    def bound(self, seconds: float | None, *, body: bool = False) -> float | None:
        """So many seconds, or what is left of the attempt and of the deadline around, if less.

        Args:
            seconds: None for no limit.
            body: Whether it is for a body, which the deadline alone bounds.
        """
        until = None if body else self.until
        deadline = deadline_var.get()
        if deadline is not None:
            until = earliest(until, deadline.at)
        if until is None:
            return seconds
        left = until - clock_module.active.now()
        if seconds is not None and seconds <= left:
            return seconds
        return left if left > 0 else 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block whose time is not taken from the attempt: it says nothing of the server."""
        begun = clock_module.active.now()
        try:
            yield
        finally:
            if self.until is not None:
                self.until += clock_module.active.now() - begun

    @property
    def read_timeout(self) -> float | None:
        """Seconds for the next piece of the answer; 0 when the time is up."""
        read = self.timing.read
        if self._total_until is not None:
            left = max(0.0, self._total_until - clock_module.active.now())
            read = left if read is None else min(read, left)
        return self.bound(read)

    def start_connect(self) -> float:
        """Begin to count a total."""
        if self.timing.total is not None:
            self._total_until = clock_module.active.now() + self.timing.total
        return 0.0

    def clone(self) -> Self:  # type: ignore[override]  # urllib3 wants a fresh one: it is fresh
        """Itself: there is one for each attempt."""
        return self


span_var: ContextVar[Span | None] = ContextVar("tieline.urllib3.span", default=None)
