"""Time: defaults, the caller's own timeouts, and deadlines that nothing outlasts."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.clients import Client
from tests.dropins.http.rows import BIG, HEAD_100, tunnel_silent
from tests.dropins.http.server import Server
from tests.dropins.http.told import ONCE, POLICY
from tieline.testing import FaultServer
from tieline.testing.faults import Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 0.12
LATE = 4.0
"""Seconds after which a test has failed, on a machine as busy as you like."""


@contextmanager
def in_time(seconds: float = LATE) -> Iterator[None]:
    """It ends before then."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


@contextmanager
def full() -> Iterator[str]:
    """A URL whose server has no room for another connection: packets are dropped."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"


@contextmanager
def serving(reply: http.Reply, *, tls: bool = False) -> Iterator[str]:
    """The URL of a server."""
    with Server(otherwise=reply, tls=context() if tls else None) as server:
        yield server.url


@contextmanager
def tls_silence() -> Iterator[str]:
    """A server that never answers a TLS handshake."""
    with FaultServer(Silence()) as server:
        yield f"https://127.0.0.1:{server.port}/x"


TRICKLING_HEADERS = http.trickles(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n")
TRICKLING_LINE = http.trickles(b"HTTP/1.1 200 OK\r\nA: ", b"b")
TRICKLING_STATUS = http.trickles(b"HTTP/1.1 200 ", b"O")
TRICKLING_BODY = http.trickles(http.head(200, {"Content-Length": "1000000"}), b"x")
TRICKLING_CHUNKS = http.trickles(http.head(200, {"Transfer-Encoding": "chunked"}), b"1\r\nx\r\n")

HANGS: dict[str, Callable[[], Any]] = {
    "connect": full,
    "tls": tls_silence,
    "silence": lambda: serving(http.stalls()),
    "silence over TLS": lambda: serving(http.stalls(), tls=True),
    "trickling status line": lambda: serving(TRICKLING_STATUS),
    "trickling headers": lambda: serving(TRICKLING_HEADERS),
    "trickling header": lambda: serving(TRICKLING_LINE),
    "trickling headers over TLS": lambda: serving(TRICKLING_HEADERS, tls=True),
    "blocked send": lambda: serving(http.stalls(read=False)),
}
BODIES: dict[str, Callable[[], Any]] = {
    "silent body": lambda: serving(http.stalls(HEAD_100)),
    "trickling body": lambda: serving(TRICKLING_BODY),
    "trickling chunks": lambda: serving(TRICKLING_CHUNKS),
    "trickling body over TLS": lambda: serving(TRICKLING_BODY, tls=True),
}


def send(client: Client, hang: str, ca: str, *, policy: Any = POLICY, **options: Any) -> None:
    """Send a request there."""
    with (HANGS | BODIES)[hang]() as url, client.open(ca=ca, policy=policy) as sender:
        sender.send("PUT" if hang == "blocked send" else "GET", url, payload(hang), **options)


def payload(hang: str) -> bytes | None:
    """Something that does not fit into the buffers of the kernel, where it must not."""
    return BIG if hang == "blocked send" else None


@pytest.mark.parametrize("hang", [*HANGS, *BODIES])
@pytest.mark.parametrize("timeout", [{}, {"timeout": None}, {"timeout": 60}], ids=str)
def test_nothing_outlasts_a_deadline(
    client: Client, hang: str, timeout: dict[str, Any], ca: str
) -> None:
    """Whatever hangs or trickles, and whatever timeout was given, it ends with the deadline."""
    with in_time(), tieline.deadline(SOON), pytest.raises(tieline.DeadlineExceeded) as caught:
        send(client, hang, ca, **timeout)
    exceptions = client.module.exceptions
    base = exceptions.RequestException if client.is_requests else exceptions.HTTPError
    assert isinstance(caught.value, base)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("hang", HANGS)
def test_nothing_before_the_headers_outlasts_the_call(client: Client, hang: str, ca: str) -> None:
    """The call's own limit does the same up to the headers."""
    policy = tieline.Policy(call_timeout=SOON, attempt_timeout=None, breaker=None, budget=None)
    with in_time(), pytest.raises(tieline.DeadlineExceeded):
        send(client, hang, ca, policy=policy)


@pytest.mark.parametrize("hang", HANGS)
def test_nothing_before_the_headers_outlasts_an_attempt(
    client: Client, hang: str, ca: str
) -> None:
    """So does the limit of an attempt, which leaves time for another one."""
    policy = tieline.Policy(
        attempt_timeout=SOON, retry=tieline.Retry(max_attempts=1), breaker=None, budget=None
    )
    with in_time(), pytest.raises(tieline.TielineError) as caught:
        send(client, hang, ca, policy=policy)
    assert not isinstance(caught.value, tieline.DeadlineExceeded)
    assert caught.value.failure.kind is tieline.Kind.TIMEOUT


def test_a_body_has_no_total(client: Client) -> None:
    """A body may trickle for longer than a call may take: the limit counts up to the headers."""
    call = 0.4  # for the headers, on a busy machine
    policy = tieline.Policy(call_timeout=call, attempt_timeout=None, breaker=None, budget=None)

    def slow(exchange: http.Exchange) -> bool:
        exchange.read()
        exchange.send(http.head(200, {"Content-Length": "10"}))
        for _ in range(10):
            exchange.connection.pause(call / 5)
            exchange.send(b"x")
        return True

    with Server(slow) as server, client.open(policy=policy) as sender:
        answer = sender.send("GET", server.url, stream=True)
        response = answer.raw.raw if client.is_requests else answer.raw
        assert response.read() == b"x" * 10


@pytest.mark.parametrize("body", BODIES)
def test_a_stream_read_within_a_deadline(client: Client, body: str, ca: str) -> None:
    """A deadline around the reading bounds it, wherever the response came from."""
    with BODIES[body]() as url, client.open(ca=ca, policy=ONCE) as sender:
        answer = sender.send("GET", url, stream=True)
        with in_time(), tieline.deadline(SOON), pytest.raises(tieline.DeadlineExceeded) as caught:
            answer.raw.content if client.is_requests else answer.raw.read()  # noqa: B018
    if client.is_requests:
        assert isinstance(caught.value, client.module.exceptions.RequestException)
        assert caught.value.request is answer.raw.request
    else:
        assert isinstance(caught.value, client.module.exceptions.HTTPError)


def test_a_deadline_that_is_over_stops_nothing(client: Client) -> None:
    """A response made inside of a deadline is read after it as if there had been none."""
    with Server(otherwise=http.answer(200, b"x" * 100_000)) as server, client.open() as sender:
        with tieline.deadline(60):
            answer = sender.send("GET", server.url, stream=True)
        response = answer.raw.raw if client.is_requests else answer.raw
        assert len(response.read()) == 100_000
        assert sender.get(server.url).status == 200


def test_a_proxy_that_never_grants_a_tunnel(client: Client) -> None:
    """CONNECT without an answer ends with the deadline too."""
    with FaultServer(tunnel_silent) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        with (
            in_time(),
            tieline.deadline(SOON),
            client.open(proxy=url) as sender,
            pytest.raises(tieline.DeadlineExceeded),
        ):
            sender.send("GET", "https://origin.test/x", timeout=None)


def test_no_time_at_all(client: Client) -> None:
    """Nothing is sent where no time is left."""
    with Server() as server, client.open() as sender, tieline.deadline(0.001):
        time.sleep(0.01)  # noqa: TID251 - let it pass
        with pytest.raises(tieline.DeadlineExceeded):
            sender.get(server.url)
    assert server.requests == []


def in_two_parts() -> tuple[threading.Event, http.Reply]:
    """The head of an answer, and a part of its body when the event is set."""
    asked = threading.Event()

    def reply(exchange: http.Exchange) -> None:
        exchange.send(HEAD_100)
        assert asked.wait(5)
        exchange.send(b"x" * 10)
        exchange.connection.pause()

    return asked, reply


def between_bytes(client: Client, **options: Any) -> float | None:
    """The timeout of the socket while a body is read."""
    asked, reply = in_two_parts()
    with Server(reply) as server, client.open() as sender:
        answer = sender.send("GET", server.url, stream=True, **options)
        response = answer.raw.raw if client.is_requests else answer.raw
        asked.set()
        assert response.read(10) == b"x" * 10
        found: float | None = response.connection.sock.gettimeout()
        response.close()
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 30.0), ({"timeout": None}, None), ({"timeout": 7}, 7.0)],
    ids=["not given", "None", "7"],
)
def test_the_timeout_between_bytes(
    client: Client, options: dict[str, Any], expected: float | None
) -> None:
    """30 s by default, what is given if it is given, and None means none."""
    assert between_bytes(client, **options) == expected
    if options:
        assert between_bytes(client.alone, **options) == expected


def test_timeouts_of_the_constructor(ca: str) -> None:
    """A timeout given to a pool manager is kept, None included."""
    from tieline import urllib3

    for timeout, expected in ((None, None), (7, 7.0), (urllib3.Timeout(connect=1, read=9), 9.0)):
        asked, reply = in_two_parts()
        with Server(reply) as server, urllib3.PoolManager(timeout=timeout) as manager:
            response = manager.request("GET", server.url, preload_content=False)
            asked.set()
            assert response.read(10) == b"x" * 10
            assert response.connection.sock.gettimeout() == expected
            response.close()


def test_a_pair_of_timeouts() -> None:
    """requests' (connect, read) is kept, and each half may be None."""
    client = Client("requests", ours=True)
    for timeout, expected in (((3, 8), 8.0), ((3, None), None), ((None, 8), 8.0)):
        assert between_bytes(client, timeout=timeout) == expected


def test_a_read_timeout_counts_between_bytes(client: Client) -> None:
    """Headers that trickle faster than the read timeout do not run into it, as natively."""

    def slow(exchange: http.Exchange) -> bool:
        exchange.read()
        for piece in (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", b"Content-Length: 2\r\n", b"\r\nok"):
            exchange.connection.pause(0.1)
            exchange.send(piece)
        return True

    for one in (client.alone, client):
        with Server(slow) as server, one.open() as sender:
            assert sender.get(server.url, timeout=0.35).body == b"ok"


def test_a_total_timeout_keeps_its_meaning() -> None:
    """urllib3's Timeout(total=) bounds connect and read together, as natively."""
    from tieline import urllib3

    with (
        Server(otherwise=http.stalls()) as server,
        urllib3.PoolManager(policy=ONCE) as manager,
        in_time(),
        pytest.raises(tieline.ResponseTimeout),
    ):
        manager.request("GET", server.url, timeout=urllib3.Timeout(total=SOON))


def test_a_deadline_ends_the_waits(client: Client) -> None:
    """Between attempts no more is slept than is left."""
    with FaultServer(Silence()) as server, client.open() as sender:
        url = f"http://127.0.0.1:{server.port}/x"
        with in_time(), tieline.deadline(SOON), pytest.raises(tieline.TielineError):
            sender.get(url, timeout=SOON / 3)
