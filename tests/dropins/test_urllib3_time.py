"""How long a call through the urllib3 drop-in may take, and each piece of it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3 as native

import tieline
from tests.dropins.http_script import OK, Script, answer, read_request
from tieline import Policy, urllib3
from tieline.failure import Kind, Phase
from tieline.policy.defaults import DEFAULTS, HTTP_CONNECT, HTTP_READ
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Silence
from tieline.urllib3 import _dial, _wire
from tieline.urllib3._span import UNSET, Span, Timings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.testing.faults import Connection

DEFAULT = DEFAULTS["urllib3"]
Timeout = native.Timeout


def limits(timeout: Any, policy: Policy = DEFAULT, *, strict: bool = False) -> tuple[Any, ...]:
    """Connect, send, read and call."""
    found = Timings(policy, strict=strict).of(timeout)
    return found.connect, found.send, found.read, found.call


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (UNSET, (HTTP_CONNECT, HTTP_READ, HTTP_READ, 25.0)),
        (2.0, (2.0, 2.0, 2.0, 25.0)),
        (60, (60, 60, 60, 120)),
        (None, (None, None, None, None)),
        (Timeout(connect=2.0), (2.0, 2.0, HTTP_READ, 25.0)),
        (Timeout(connect=20.0), (20.0, 20.0, HTTP_READ, 25.0)),
        (Timeout(read=40.0), (HTTP_CONNECT, HTTP_READ, 40.0, 40.0)),
        (Timeout(read=2.0), (HTTP_CONNECT, HTTP_READ, 2.0, 25.0)),
        (Timeout(connect=1, read=None), (1, 1, None, None)),
        (Timeout(total=10), (10, HTTP_READ, None, 25.0)),
        (Timeout(connect=3, read=4, total=5), (3, 3, 4, 25.0)),
        (Timeout(connect=8, read=9, total=5), (5, 8, 9, 25.0)),
    ],
)
def test_timeouts(timeout: Any, expected: tuple[Any, ...]) -> None:
    """What is given counts, also None; where nothing is, ours does. A call has room for both."""
    assert limits(timeout) == expected


def test_a_policy_that_was_given_is_not_stretched() -> None:
    """Who says how long a call may take means it, whatever a timeout of the pool says."""
    policy = Policy(call_timeout=3.0, attempt_timeout=None)
    assert limits(60, policy, strict=True)[3] == 3.0
    assert limits(None, policy, strict=True)[3] == 3.0


def test_the_default_of_the_socket_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """`socket.setdefaulttimeout` is a timeout that somebody gave."""
    monkeypatch.setattr("tieline.urllib3._span.getdefaulttimeout", lambda: 7.0)
    assert limits(UNSET) == (7.0, 7.0, 7.0, 25.0)


def span(clock: ManualClock, timeout: Any = UNSET, allowed: float | None = 25.0) -> Span:
    """An attempt that begins now."""
    return Span(Timings(DEFAULT, strict=False).of(timeout), allowed, clock.now())


def test_each_piece_is_cut_to_what_is_left(clock: ManualClock) -> None:
    """The attempt's end bounds each receive, and after the head the deadline around alone."""
    one = span(clock)
    assert one.read_timeout == 25.0
    clock.advance(24.0)
    assert one.read_timeout == 1.0
    clock.advance(2.0)
    assert one.read_timeout == 0.0
    one.until = None
    assert one.read_timeout == HTTP_READ
    with tieline.deadline(3.0):
        assert one.read_timeout == 3.0
        assert one.bound(None) == 3.0
    assert one.bound(None) is None


def test_connecting_has_no_more_than_the_attempt(clock: ManualClock) -> None:
    """5 s by default, less where less is left, and nothing extra for a kept connection."""
    assert span(clock).connect_timeout == 5.0
    assert span(clock, allowed=2.0).connect_timeout == 2.0
    assert span(clock, None, None).connect_timeout is None
    assert span(clock, None, 2.0).connect_timeout == 2.0


def test_a_total_counts_from_the_connection(clock: ManualClock) -> None:
    """As urllib3 counts it."""
    one = span(clock, Timeout(total=10))
    one.start_connect()
    clock.advance(4.0)
    assert one.read_timeout == 6.0


def test_sending_takes_no_time_from_our_default(clock: ManualClock) -> None:
    """An upload has no total, unless somebody has said how long a call may take."""
    for strict, left in ((False, 25.0), (True, 5.0)):
        one = Span(Timings(DEFAULT, strict=strict).of(UNSET), 25.0, clock.now())
        with one.paused():
            clock.advance(20.0)
        assert one.read_timeout == left
        assert one.bound(None, body=True) == (left if strict else None)


def fin(_connection: Connection) -> bool:
    """End the connection instead of an answer."""
    return True


# --- on the wire -----------------------------------------------------------------------------------


def trickle(pieces: list[bytes], clock: ManualClock, seconds: float) -> Any:
    """Send the pieces one after the other, as if so much time passed between them."""

    def serve(connection: Connection) -> None:
        read_request(connection)
        for piece in pieces:
            connection.send(piece)
            received.acquire(timeout=5.0)
            clock.advance(seconds)
        connection.pause()

    received = threading.Semaphore(0)
    serve.received = received  # type: ignore[attr-defined]
    return serve


HEAD = [b"HTTP/1.1 200 OK\r\n", b"A: 1\r\n", b"B: 2\r\n", b"C: 3\r\n", b"D: 4\r\n"]


@pytest.mark.parametrize("limit", ["call", "deadline"])
def test_a_head_that_trickles_ends_in_time(
    limit: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No receive by itself takes long, and all of them together end with the time that is left."""
    serve = trickle(HEAD, clock, 1.0)
    original = _wire.Wire.readinto

    def readinto(self: Any, b: Any) -> Any:
        count = original(self, b)
        serve.received.release()
        return count

    monkeypatch.setattr(_wire.Wire, "readinto", readinto)
    policy = Policy(call_timeout=2.5, attempt_timeout=None)
    with FaultServer(serve) as server:
        given = policy if limit == "call" else None
        pool = urllib3.HTTPConnectionPool(server.host, server.port, policy=given)
        with (
            tieline.deadline(2.5 if limit == "deadline" else None),
            pytest.raises(tieline.DeadlineExceeded) as caught,
        ):
            pool.request("GET", "/x")
        serve.received.release(len(HEAD))
    assert isinstance(caught.value, urllib3.exceptions.HTTPError)
    assert caught.value.failure.phase is Phase.RECEIVE
    assert server.accepted == 1


def test_a_body_has_no_total(clock: ManualClock) -> None:
    """The time of the call ends with the head."""

    def serve(connection: Connection) -> None:
        read_request(connection)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nda")
        head.wait(5.0)
        connection.send(b"ta")

    head = threading.Event()
    policy = Policy(call_timeout=2.5, attempt_timeout=None)
    with FaultServer(serve) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, policy=policy)
        response = pool.request("GET", "/x", preload_content=False)
        clock.advance(100.0)
        head.set()
        assert response.read() == b"data"


def test_no_time_for_an_attempt(clock: ManualClock) -> None:
    """A deadline that is over lets nothing be sent."""
    with Script(OK) as server, tieline.deadline(1.0):
        clock.advance(1.0)
        with pytest.raises(tieline.DeadlineExceeded) as caught:
            urllib3.PoolManager().request("GET", f"{server.url}/x")
    assert isinstance(caught.value, urllib3.exceptions.HTTPError)
    assert not caught.value.attempts
    assert not server.requests


def test_a_silent_server(clock: ManualClock) -> None:
    """A read timeout of the caller's is a ResponseTimeout, and urllib3's ReadTimeoutError."""
    with FaultServer(Silence()) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, timeout=0.05)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError) as caught:
            pool.request("POST", "/x")
    assert isinstance(caught.value, tieline.ResponseTimeout)
    assert caught.value.pool is pool


def test_a_silent_handshake(clock: ManualClock) -> None:
    """urllib3 calls it a read timeout; nothing was sent, so any method is tried again."""
    with FaultServer(Silence()) as server:
        pool = urllib3.HTTPSConnectionPool(server.host, server.port, timeout=0.05)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError) as caught:
            pool.request("POST", "/x")
    assert isinstance(caught.value, tieline.TLSFailed)
    assert caught.value.failure.kind is Kind.TIMEOUT
    assert len(caught.value.attempts) == 3


def test_a_send_that_blocks(clock: ManualClock) -> None:
    """A server that does not read: the time for a piece ends it, and it may have been applied."""
    with FaultServer(Silence()) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, timeout=0.1)
        with pytest.raises(urllib3.exceptions.ProtocolError) as caught:
            pool.request("POST", "/x", body=b"x" * 20_000_000)
    assert isinstance(caught.value, tieline.ResponseTimeout)
    assert caught.value.failure.phase is Phase.SEND
    assert caught.value.maybe_applied


@pytest.fixture
def receives(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The socket's timeout at each receive."""
    seen: list[float | None] = []
    original = _wire.Wire.readinto

    def readinto(self: Any, b: Any) -> Any:
        count = original(self, b)
        seen.append(self._sock.gettimeout())
        assert self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == bytes(16)
        return count

    monkeypatch.setattr(_wire.Wire, "readinto", readinto)
    return seen


def test_each_call_has_its_own_read_timeout(
    receives: list[float | None], clock: ManualClock
) -> None:
    """Also over a kept connection: nothing of one call's timeouts is left for the next."""
    with Script(OK) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        for timeout in (UNSET, None, 5.0, UNSET):
            pool.request("GET", "/x", timeout=timeout)
        with tieline.deadline(2.0):
            pool.request("GET", "/x", timeout=None)
    assert receives == [25.0, None, 5.0, 25.0, 2.0]
    assert server.server.accepted == 1


def test_signals_do_not_prolong_a_receive(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that interrupts a receive again and again, as a profiler's does, adds no time."""
    monkeypatch.setattr("tieline.urllib3._span.HTTP_READ", 0.1)
    over = threading.Event()
    main = threading.get_ident()

    def disturb() -> None:
        while not over.wait(0.03):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=disturb)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Script(OK, lambda connection: connection.pause(5.0)) as server:
            pool = urllib3.HTTPConnectionPool(server.host, server.port)
            pool.request("GET", "/x")
            thread.start()
            with pytest.raises(tieline.ResponseTimeout):
                pool.request("POST", "/x")
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_deadline_is_kept_on_a_kept_connection(clock: ManualClock) -> None:
    """What is left of it is less than a read timeout."""
    with Script(OK, lambda connection: connection.pause()) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        pool.request("GET", "/x")
        with tieline.deadline(0.05), pytest.raises(tieline.ResponseTimeout):
            pool.request("POST", "/x")


# --- connecting ------------------------------------------------------------------------------------


@contextmanager
def soon(seconds: float = 3.0) -> Iterator[None]:
    """It ends before then."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


CONNECTING = pytest.mark.parametrize(
    ("deadline", "taken"), [(None, HTTP_CONNECT - 0.1), (4.0, 3.9)], ids=["connect", "deadline"]
)
"""0.1 s are left of the time to connect, or of the deadline around."""


@CONNECTING
@pytest.mark.parametrize("granted", [True, False])
def test_a_tunnel_and_tls_have_one_time(
    granted: bool, deadline: float | None, taken: float, clock: ManualClock
) -> None:
    """What it took until a proxy said something is not there for the rest, nor for TLS."""

    def serve(connection: Connection) -> None:
        read_request(connection)
        clock.advance(taken)
        connection.send(b"HTTP/1.1 200 OK\r\n" + b"\r\n" * granted)
        connection.pause()

    with FaultServer(serve) as proxy, soon():
        manager = urllib3.ProxyManager(f"http://{proxy.host}:{proxy.port}", retries=False)
        with tieline.deadline(deadline), pytest.raises(tieline.TielineError) as caught:
            manager.request("GET", "https://origin.test/x")
    assert caught.value.failure.kind is Kind.TIMEOUT
    assert caught.value.failure.phase is (Phase.TLS if granted else Phase.HANDSHAKE)


@CONNECTING
def test_connecting_and_tls_have_one_time(
    deadline: float | None, taken: float, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a slow connection took is not there for the handshake."""
    original = native.util.connection.create_connection

    def slow(*args: Any, **kwargs: Any) -> Any:
        clock.advance(taken)
        return original(*args, **kwargs)

    monkeypatch.setattr(native.util.connection, "create_connection", slow)
    with FaultServer(Silence()) as server, soon():
        pool = urllib3.HTTPSConnectionPool(server.host, server.port, retries=False)
        with tieline.deadline(deadline), pytest.raises(tieline.TLSFailed) as caught:
            pool.request("GET", "/x")
    assert caught.value.failure.kind is Kind.TIMEOUT


def test_nothing_is_sent_after_a_connection_that_took_all(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where connecting has used the time up, the request does not go out."""
    original = native.util.connection.create_connection

    def slow(*args: Any, **kwargs: Any) -> Any:
        clock.advance(2.0)
        return original(*args, **kwargs)

    monkeypatch.setattr(native.util.connection, "create_connection", slow)
    with Script(OK) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        with tieline.deadline(1.0), pytest.raises(tieline.DeadlineExceeded) as caught:
            pool.request("POST", "/x")
    assert not caught.value.maybe_applied
    assert not server.requests


# --- answers that are left -------------------------------------------------------------------------

STALLED = b"HTTP/1.1 503 X\r\nContent-Length: 9\r\nRetry-After: 0\r\n\r\nabc"


def test_a_body_that_stalls_delays_no_attempt(clock: ManualClock) -> None:
    """Its connection is given up where the rest does not come at once."""

    def stall(connection: Connection) -> None:
        connection.send(STALLED)
        connection.pause()

    with Script(stall, OK) as server, soon():
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        assert pool.request("GET", "/x", preload_content=False).data == b"ok"
    assert server.server.accepted == 2


def test_a_body_that_stalls_delays_no_error(clock: ManualClock) -> None:
    """The same where a last answer becomes an error."""

    def stall(connection: Connection) -> None:
        connection.send(STALLED)
        connection.pause()

    retry = native.Retry(1, status_forcelist=[503], allowed_methods=None)
    with Script(fin, stall) as server, soon():
        pool = urllib3.HTTPConnectionPool(server.host, server.port, retries=retry)
        with pytest.raises(tieline.TielineError):
            pool.request("GET", "/x", preload_content=False)


def test_reading_an_answer_to_its_end_takes_from_what_follows(
    receives: list[float | None], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It and the next attempt share what the call has left."""
    original = native.HTTPResponse.drain_conn

    def slow(self: Any) -> None:
        clock.advance(2.0)
        original(self)

    monkeypatch.setattr(native.HTTPResponse, "drain_conn", slow)
    policy = Policy(call_timeout=3.0, attempt_timeout=None)
    begun = clock.now()
    with Script(answer(503, "Retry-After: 0", body=b"later"), OK) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, policy=policy)
        assert pool.request("GET", "/x", preload_content=False).data == b"ok"
    assert receives[1] == pytest.approx(3.0 - (clock.now() - begun))


# --- names and addresses ---------------------------------------------------------------------------


def test_names_are_resolved_in_time(names: dict[str, Any], clock: ManualClock) -> None:
    """The caller leaves a name service that does not answer."""
    wait = threading.Event()
    names["slow.test"] = lambda: wait.wait(5.0) and []
    pool = urllib3.HTTPConnectionPool("slow.test", 80, timeout=0.05, retries=False)
    try:
        with pytest.raises(tieline.NameNotResolved) as caught:
            pool.request("GET", "/x")
    finally:
        wait.set()
    assert isinstance(caught.value, urllib3.exceptions.ConnectTimeoutError)
    assert caught.value.failure.kind is Kind.TIMEOUT


def test_addresses_are_tried_in_one_attempt(names: dict[str, Any], clock: ManualClock) -> None:
    """A dead address costs no attempt; the one that answered comes first the next time."""
    with Script(OK) as server:
        names["two.test"] = ["127.0.0.2", "127.0.0.1"]
        for _ in range(2):
            pool = urllib3.HTTPConnectionPool("two.test", server.port, retries=False)
            assert pool.request("GET", "/x").status == 200
    assert _dial.addresses.in_order("two.test", server.port, names["two.test"])[0] == "127.0.0.1"


def test_ipv4_alone(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications set `allowed_gai_family` to keep to one family."""
    tried: list[str] = []

    def create(address: tuple[str, int], *_args: Any, **_kwargs: Any) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(_dial, "_CREATE", create)
    monkeypatch.setattr(native.util.connection, "create_connection", create)
    monkeypatch.setattr(native.util.connection, "allowed_gai_family", lambda: socket.AF_INET)
    names["both.test"] = ["::1", "127.0.0.1"]
    with pytest.raises(tieline.Refused):
        urllib3.HTTPConnectionPool("both.test", 80, retries=False).request("GET", "/x")
    assert tried == ["127.0.0.1"]


def test_a_create_connection_of_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who puts a function in the place of `create_connection` gets the name, and is asked."""
    original = native.util.connection.create_connection
    with Script(OK) as server:
        monkeypatch.setattr(
            native.util.connection,
            "create_connection",
            lambda address, *args, **kwargs: original((server.host, address[1]), *args, **kwargs),
        )
        pool = urllib3.HTTPConnectionPool("no.such.test", server.port)
        assert pool.request("GET", "/x").status == 200


def test_a_name_that_cannot_be_one(names: dict[str, Any]) -> None:
    """urllib3 raises LocationParseError, without counting an attempt."""
    pool = urllib3.HTTPConnectionPool("a" * 70 + ".test", 80)
    with pytest.raises(urllib3.exceptions.LocationParseError) as caught:
        pool.request("GET", "/x")
    assert isinstance(caught.value, tieline.NameNotResolved)
    assert len(caught.value.attempts) == 1


def test_a_full_pool_is_not_waited_for_past_the_deadline() -> None:
    """`block=True` waits for a connection: inside a deadline no longer than that."""
    with Script(OK) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, maxsize=1, block=True)
        held = pool.request("GET", "/x", preload_content=False, release_conn=False)
        with tieline.deadline(0.05), pytest.raises(urllib3.exceptions.EmptyPoolError) as caught:
            pool.request("GET", "/x")
        held.read()
        held.release_conn()
    assert isinstance(caught.value, tieline.ConnectFailed)
