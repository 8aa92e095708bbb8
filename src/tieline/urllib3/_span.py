"""One attempt: the time it has, and what its connection has seen."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
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

MAX_KNOWN = 256
"""Timeouts that are remembered; beyond it, all are forgotten."""

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
        strict: Whether that time runs while a body is sent, as it does where somebody has said
            how long a call may take. Our default is for answers: an upload has no total.
    """

    connect: float | None
    send: float | None
    read: float | None
    total: float | None
    call: float | None
    allowed: float | None
    strict: bool


class Timings:
    """What timeouts, as urllib3 takes them, come to under one policy.

    Args:
        policy: The settings.
        strict: Whether somebody has said how long a call may take: then a longer timeout does not
            make it longer.
    """

    def __init__(self, policy: Policy, *, strict: bool) -> None:
        """Remember what was asked for: an application uses the same few again and again."""
        self._policy = policy
        self._strict = strict
        self._known: dict[object, Timing] = {}

    def of(self, timeout: Any) -> Timing:
        """The timeouts of a call.

        Args:
            timeout: A number, None for no limit, or a `Timeout`.

        Raises:
            ValueError: It is none of them.
        """
        if not isinstance(timeout, Timeout):
            timeout = Timeout.from_float(timeout)
        key = timeout._connect, timeout._read, timeout.total, getdefaulttimeout()
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[key] = self._timing(*key)
        return found

    def _timing(self, connect: Any, read: Any, total: Any, default: float | None) -> Timing:
        if total is UNSET:
            total = default
        given = [each for each in (connect, read) if each is not UNSET]
        given = given if total is None else [total]
        send = HTTP_READ if default is None else default
        if connect is UNSET:
            connect = HTTP_CONNECT if default is None else default
            connect = connect if total is None else total
        else:
            send = connect
            connect = earliest(connect, total)
        if read is UNSET:
            read = (HTTP_READ if default is None else default) if total is None else None
        call = self._policy.call_timeout
        if not self._strict and call is not None:
            call = None if None in given else max(call, sum(given))
        allowed = earliest(call, self._policy.attempt_timeout)
        return Timing(connect, send, read, total, call, allowed, self._strict)


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
        counted: Whether urllib3 has shown its error to the `Retry`; others it raises as they are.
    """

    _connect = None
    _read = None
    _start_connect = None
    total = None
    connect_timeout: float | None = None
    phase: Phase | None = None
    sent = 0
    reused = False
    answered = False
    on_the_way = False
    counted = False
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

        A timeout costs a system call for each send. There is room in the kernel for a first piece
        as a rule: so that one is tried without, and with one if there is not.
        """
        self.reused = True
        self.phase = _SEND
        self.connect_timeout = 0.0  # pyright: ignore[reportIncompatibleMethodOverride]

    def bound(self, seconds: float | None, *, body: bool = False) -> float | None:
        """So many seconds, or what is left of the attempt and of the deadline around, if less.

        Args:
            seconds: None for no limit.
            body: Whether it is for a body that is sent.
        """
        until = None if body and not self.timing.strict else self.until
        deadline = deadline_var.get()
        if deadline is not None:
            until = earliest(until, deadline.at)
        if until is None:
            return seconds
        left = until - clock_module.active.now()
        if seconds is not None and seconds <= left:
            return seconds
        return left if left > 0 else 0.0

    def has_time_for(self, wait: float) -> bool:
        """Whether so many seconds are less than a call may take, and than the deadline leaves."""
        allowed = self.bound(self.timing.call)
        return allowed is None or wait < allowed

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """A block that connects: all it does has the time to connect, and no more."""
        until, connect = self.until, self.timing.connect
        if connect is not None:
            self.until = earliest(until, clock_module.active.now() + connect)
        try:
            yield
        finally:
            self.until = until

    def limit(self, sock: Any, seconds: float | None = None) -> None:
        """Give a socket what is left for what comes next.

        Args:
            sock: A socket of any kind.
            seconds: Its own limit; None for no other than the attempt's.

        Raises:
            TimeoutError: Nothing is left.
        """
        allowed = self.bound(seconds)
        if allowed is not None and allowed <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(allowed)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block whose time is not taken from the attempt."""
        begun = clock_module.active.now()
        try:
            yield
        finally:
            if self.until is not None and not self.timing.strict:
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

    def clone(self) -> Self:
        """Itself: there is one for each attempt."""
        return self


span_var: ContextVar[Span | None] = ContextVar("tieline.urllib3.span", default=None)
