"""Kept connections that turn out to be dead, and connections that are kept."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.server import Exchange, Server
from tests.dropins.http.told import KEYED, ONCE, POLICY, unified
from tieline.testing.faults import Fin, Reset

if TYPE_CHECKING:
    from tests.dropins.http.clients import Client
    from tieline.testing import ManualClock

BODIES = {"GET": None, "PUT": b"payload", "POST": b"payload"}


class Trap(str):
    """A header value that does something when it is encoded: after the choice of a connection."""

    __slots__ = ("spring",)

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        """Spring the trap."""
        self.spring()
        return super().encode(*args, **kwargs)


class Dying:
    """A reply after which the connection is kept, and ended when it is told to."""

    def __init__(self, *, reset: bool) -> None:
        self._reset = reset
        self.due = threading.Event()
        self.done = threading.Event()

    def __call__(self, exchange: Exchange) -> bool:
        """Answer, and wait for the end."""
        http.answer()(exchange)
        assert self.due.wait(5)
        if self._reset:
            exchange.connection.reset()
        else:
            exchange.connection.socket.shutdown(socket.SHUT_WR)
        self.done.set()
        return False

    def end(self) -> None:
        """End the connection now; it has happened when this returns."""
        self.due.set()
        assert self.done.wait(5)


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_closed_while_idle(either: Client, method: str, reset: bool) -> None:
    """A kept connection that was closed in the meantime is replaced, for every method."""
    dying = Dying(reset=reset)
    with Server(dying) as server, either.open() as sender:
        sender.get(server.url)
        dying.end()
        assert sender.send(method, server.url, BODIES[method]).body == b"ok"
    assert [request.method for request in server.requests] == ["GET", method]
    assert server.accepted == 2


@pytest.mark.parametrize("ending", [http.cut(), http.resets()], ids=["FIN", "RST"])
def test_dead_as_the_request_arrives(
    client: Client, ending: http.Reply, clock: ManualClock
) -> None:
    """The race that no look at a socket can avoid: a GET goes once more, at once."""
    with Server(http.answer(), ending) as server, client.open() as sender:
        sender.get(server.url)
        assert sender.get(server.url).body == b"ok"
    assert len(server.requests) == 3
    assert server.accepted == 2
    assert clock.sleeps == []


@pytest.mark.parametrize("ending", [http.cut(), http.resets()], ids=["FIN", "RST"])
def test_a_post_that_was_read_is_not_repeated(client: Client, ending: http.Reply) -> None:
    """The same race for a POST: the server had it, so that it is not sent again."""
    with Server(http.answer(), ending) as server, client.open(policy=POLICY) as sender:
        sender.get(server.url)
        with pytest.raises(tieline.ConnectionLost) as caught:
            sender.send("POST", server.url, b"payload")
        assert caught.value.maybe_applied
        assert unified(caught.value) in {"Aborted", "Reset"}
        # The pool is none the worse for it.
        assert sender.send("POST", server.url, b"more").body == b"ok"
    assert [request.body for request in server.requests] == [b"", b"payload", b"more"]


def test_a_keyed_post_is_repeated(client: Client, clock: ManualClock) -> None:
    """With an Idempotency-Key the server knows it again."""
    with Server(http.answer(), http.cut()) as server, client.open() as sender:
        sender.get(server.url)
        assert sender.send("POST", server.url, b"payload", KEYED).body == b"ok"
    assert [request.body for request in server.requests] == [b"", b"payload", b"payload"]
    assert clock.sleeps == []


def test_only_once_for_nothing(client: Client, clock: ManualClock) -> None:
    """A new connection that dies as well is a failure like any other, with waits between."""
    with (
        Server(http.answer(), otherwise=http.cut()) as server,
        client.open(policy=POLICY) as sender,
    ):
        sender.get(server.url)
        with pytest.raises(tieline.Aborted):
            sender.get(server.url)
    assert len(server.requests) <= 1 + 3
    assert len(clock.sleeps) >= 1


@pytest.mark.parametrize("method", BODIES)
def test_dead_before_anything_was_written(client: Client, method: str, clock: ManualClock) -> None:
    """Reset between the choice of the connection and the first byte: any method goes once more."""
    dying = Dying(reset=True)
    with Server(dying) as server, client.open() as sender:
        sender.get(server.url)
        value = Trap("x")
        value.spring = lambda: None if dying.done.is_set() else dying.end()
        answer = sender.send(method, server.url, BODIES[method], {"X-Trap": value})
        assert answer.body == b"ok"
    assert [request.method for request in server.requests] == ["GET", method]
    assert clock.sleeps == []


def keeping(client: Client, **options: Any) -> Any:
    """Pools that keep one connection and make callers wait for it."""
    if not client.is_requests:
        return client.open(maxsize=1, block=True, **options)
    return client.open(**options)


def narrow(sender: Any) -> None:
    """The same for requests, whose adapters hold the pools."""
    if sender.client.is_requests:
        adapter = sender.client.module.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True)
        sender.raw.mount("http://", adapter)


def test_one_connection_does_for_all(either: Client) -> None:
    """A pool of one reuses one connection."""
    with Server() as server, keeping(either) as sender:
        narrow(sender)
        for number in range(5):
            sender.send("POST", server.url, str(number).encode())
    assert server.accepted == 1
    assert [request.body for request in server.requests] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    "reply",
    [
        http.cut(),
        http.resets(),
        http.says(b"nonsense\r\n\r\n"),
        http.says(http.head(200, {"Content-Length": "100"}) + b"partial"),
        http.says(b"HTTP/1.1 200 OK\r\nConte"),
    ],
    ids=["FIN", "RST", "nonsense", "body", "headers"],
)
def test_a_blocking_pool_of_one_survives_failures(client: Client, reply: http.Reply) -> None:
    """A failure gives its place in the pool back: the next requests share one new connection."""
    with Server(reply) as server, keeping(client, policy=ONCE) as sender:
        narrow(sender)
        with pytest.raises(tieline.ConnectionLost):
            sender.send("POST", server.url, b"lost")
        for _ in range(3):
            assert sender.get(server.url).body == b"ok"
    assert server.accepted == 2


@pytest.mark.parametrize("fault", [Fin(), Reset(after=1)], ids=["FIN", "RST"])
def test_a_blocking_pool_of_one_survives_its_retries(
    client: Client, fault: Any, clock: ManualClock
) -> None:
    """Attempts inside of one call use the same place in the pool one after the other."""
    with Server() as server, keeping(client) as sender:
        narrow(sender)
        server.faults.extend([fault, fault])
        for _ in range(3):
            assert sender.get(server.url).body == b"ok"
    assert server.accepted == 3


def test_an_exhausted_pool(clock: ManualClock) -> None:
    """A full pool that blocks: urllib3's own EmptyPoolError, and nothing was sent."""
    from tieline import urllib3

    with (
        Server(http.stalls(http.head(200, {"Content-Length": "9"}))) as server,
        urllib3.HTTPConnectionPool(server.host, server.port, maxsize=1, block=True) as pool,
    ):
        held = pool.request("GET", "/x", preload_content=False)
        with pytest.raises(urllib3.exceptions.EmptyPoolError) as caught:
            pool.request("POST", "/x", pool_timeout=0.05)
        assert isinstance(caught.value, tieline.ConnectFailed)
        assert not caught.value.maybe_applied
        held.close()
    assert len(server.requests) == 1
