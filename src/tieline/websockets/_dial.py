"""One opening: where it goes, how long it may take, and what is seen of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import parse_proxy  # type: ignore[attr-defined]  # all have it

from tieline.endpoint import Proxy
from tieline.engine import addresses, simulation
from tieline.engine import clock as clock_module
from tieline.engine.context import (
    deadline_var,
    guard_var,
    restore,
    surrounding_guard,
    time_limit,
)
from tieline.engine.target import target_state
from tieline.errors import TielineError
from tieline.failure import Phase
from tieline.policy.call import Call
from tieline.policy.outcome import EFFECTS
from tieline.rules.classes import CLASSES
from tieline.rules.natives import native_class
from tieline.rules.phrases import describe
from tieline.rules.websockets import Evidence, classify_open, hide_secrets, is_reset
from tieline.websockets._given import CLIENT, Given, place_of
from tieline.websockets._proxies import proxy_for
from tieline.websockets._seam import Seam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from websockets.uri import WebSocketURI

    from tieline.endpoint import Endpoint
    from tieline.failure import Failure
    from tieline.policy.decision import Decision, Proceed
    from tieline.policy.policy import Policy

NATIVELY: Final = frozenset(
    {"sock", "unix", "family", "proto", "flags", "happy_eyeballs_delay", "interleave", "all_errors"}
)
"""Keywords with which the client itself looks up the name and chooses among the addresses."""


class Opening:
    """One native attempt that is under way, and what is seen of it.

    Args:
        until: Its end, in ``time.monotonic()`` seconds; None for no limit.

    Attributes:
        place: Where it is, if not at the target itself: at a proxy, or where a redirect led.
        name: The host to look up; None where that is left to the client.
        port: The port there.
    """

    __slots__ = ("_connection", "_evidence", "_own", "name", "place", "port", "until")

    def __init__(self, until: float | None) -> None:
        """Nothing was seen yet."""
        self.until = until
        self.place: Endpoint | None = None
        self.name: str | None = None
        self.port: int | None = None
        self._connection: Any = None
        self._own: Exception | None = None
        self._evidence = Evidence(Phase.CONNECT)

    def hop(self, given: Given, uri: WebSocketURI, proxy: Any, keywords: Mapping[str, Any]) -> Any:
        """Begin to connect: at first, and after each redirect; the proxy to go through, or None.

        Args:
            given: What the client is to do.
            uri: Where to, now.
            proxy: As given to the client.
            keywords: What the client hands on to what connects.
        """
        self._connection = None
        self._evidence = Evidence(Phase.CONNECT, secure=uri.secure)
        place = place_of(uri, keywords)
        self.place = None if place == given.place else place
        self.name = None
        natively = any(keywords.get(name) is not None for name in NATIVELY)
        proxied = None if keywords.get("unix") or keywords.get("sock") is not None else proxy
        if proxied is True:
            proxied = proxy_for(uri)
        if proxied is not None:
            parts = parse_proxy(proxied)
            self.place = Proxy(parts.scheme, parts.host, parts.port)
            self._evidence.proxied = True
        elif not natively:
            self.name, self.port = place.host, place.port
            self._evidence.phase = Phase.RESOLVE
        return proxied

    def resolved(self) -> None:
        """The name has addresses."""
        self._evidence.phase = Phase.CONNECT

    def secures(self) -> None:
        """A connection is there, and TLS begins."""
        self._evidence.phase = Phase.TLS

    def made(self, connection: Any) -> None:
        """The client has made its connection object, in the course of connecting.

        In threads that is after TLS. On asyncio it is before, and a transport follows.
        """
        self._connection = connection
        if self._evidence.proxied:
            # The tunnel is there: from here on it is the server that answers.
            self._evidence.proxied = False
            self.place = None

    def not_made(self, error: Exception) -> None:
        """The caller's ``create_connection`` raised: whatever it is, it is none of connecting."""
        self._own = error

    def left(self) -> float | None:
        """Seconds until its end."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())

    def shares(self, found: Sequence[str]) -> Iterator[tuple[str, float | None, bool]]:
        """Each address of the name, seconds to try it, and whether it is the last.

        What is left of the time is shared among those that are left, so that a dead one costs
        its share and no more.
        """
        ordered = addresses.in_order(self.name or "", self.port, found)
        for remaining in range(len(ordered), 0, -1):
            self._connection = None
            left = self.left()
            share = None if left is None or remaining == 1 else left / remaining
            yield ordered[-remaining], share, remaining == 1

    def answered(self, address: str) -> None:
        """An address of the name answered."""
        addresses.remember(self.name or "", self.port, address)

    def failure(self, error: Exception) -> Failure | None:
        """What an error means, in the light of what was seen; None for one of the caller's own."""
        if self._own is not None and self._own in (error, error.__cause__):
            return None
        return classify_open(error, self.evidence())

    def evidence(self) -> Evidence:
        """What was seen."""
        evidence, connection = self._evidence, self._connection
        if connection is None:
            return evidence
        state = vars(connection)
        open_for_frames = "transport" in state or "socket" in state
        evidence.phase = Phase.HANDSHAKE if open_for_frames or not evidence.secure else Phase.TLS
        evidence.answer = getattr(connection.protocol, "handshake_exc", None)
        broken = state.get("connection_exc") or state.get("recv_exc")
        evidence.reset = state.get("_tieline_reset", False) or is_reset(broken)
        return evidence

    def forget(self) -> None:
        """Hold the connection no longer.

        The transport's callbacks keep the context that they were made in, and with it this: a
        closed connection would wait for the garbage collector, with the buffers of its compressor.
        """
        self._connection = self._own = None

    def goes_on(self, error: Exception) -> bool:
        """Whether another address may do better."""
        failure = self.failure(error)
        return failure is not None and EFFECTS[failure.kind].elsewhere


opening_var: ContextVar[Opening | None] = ContextVar("tieline.websockets.opening", default=None)


def note(connection: Any) -> None:
    """Tell the opening that is under way of the connection object."""
    opening = opening_var.get()
    if opening is not None:
        opening.made(connection)


def note_error(error: Exception) -> None:
    """Tell the opening that is under way that there is no connection object."""
    opening = opening_var.get()
    if opening is not None:
        opening.not_made(error)


@lru_cache(maxsize=256)
def is_literal(name: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Opener(Call):
    """The state machine of one opening, which may fail on its way to the endpoint."""

    place: Endpoint | None = None

    def failed(
        self, failure: Failure, now: float, draw: Callable[[], float], **more: Any
    ) -> Decision:
        """The attempt failed."""
        return super().failed(failure, now, draw, place=self.place, **more)


class Dial:
    """Everything that one opening needs to know.

    Args:
        given: What the client is to do.
        policy: The settings, where they are not those.
    """

    def __init__(self, given: Given, policy: Policy | None = None) -> None:
        """Nothing is sent."""
        self._given = given
        self._policy = given.policy if policy is None else policy
        self.state = target_state(given.target or str(given.place), self._policy)
        self._failure: Failure | None = None
        outer = surrounding_guard()
        self.call = Opener(
            self.state.name,
            self._policy,
            (self.state.lane(given.place),),
            self.state.budget,
            started=clock_module.active.now(),
            deadline=time_limit(),
            # It is safe to repeat: nothing is requested yet.
            idempotent=True,
            outer_repeats=None if outer is None else outer.may_repeat,
        )

    def start(self) -> Decision:
        """Begin with every question asked."""
        return self.state.step(self.call, self.call.start)

    def begin(self, proceed: Proceed) -> Opening:
        """Begin an attempt."""
        self._failure = simulation.next_failure(CLIENT)
        if self._failure is not None:
            self.call.place = None
            ours = CLASSES[self._failure.phase, self._failure.kind]
            said = f"simulated: {describe(self._failure, proceed.endpoint)}"
            raise native_class(CLIENT, ours)(said)
        until = None if proceed.timeout is None else time.monotonic() + proceed.timeout
        return Opening(until)

    def failed(self, error: Exception, opening: Opening) -> Exception:
        """Remember what an attempt failed of; the error to raise for it."""
        evidence = opening.evidence()
        self._failure = opening.failure(error)
        opening.forget()
        hide_secrets(error)
        self.call.place = opening.place
        base = native_class(CLIENT, TielineError)
        if evidence.answer is None or isinstance(error, (OSError, base)):
            return error
        # An assertion of the client's own that did not hold; the answer is what is wrong.
        return evidence.answer if isinstance(evidence.answer, Exception) else error

    def opened(self, connection: Any, opening: Opening) -> None:
        """Let a connection know what it is called in messages."""
        opening.forget()
        if isinstance(connection, Seam):
            connection._tieline_target = self._given.target
            connection._tieline_place = self.call.endpoint

    def classify(self, _error: Exception) -> Failure | None:
        """What the last attempt failed of."""
        return self._failure


@contextmanager
def under_way(opening: Opening) -> Iterator[None]:
    """A block in which the client connects.

    What the client starts meanwhile, a task or a thread, inherits no deadline: a session outlives
    the block that it was opened in.
    """
    token, limit, guard = opening_var.set(opening), deadline_var.set(None), guard_var.set(None)
    try:
        yield
    finally:
        restore(guard_var, guard)
        restore(deadline_var, limit)
        restore(opening_var, token)
