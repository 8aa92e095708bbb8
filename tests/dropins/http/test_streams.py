"""A body that breaks while it is read, after the call proper has returned."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.clients import Client
from tests.dropins.http.rows import CHUNK, HEAD_100, HEAD_CHUNKED, PARTIAL
from tests.dropins.http.server import Server
from tests.dropins.http.told import POLICY, check_number, unified
from tieline import Kind, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def timeout_for(fault: str) -> float:
    """Short where it has to pass, and else so long that a busy machine does not matter."""
    return 0.1 if fault.startswith("silence") else 10


FAULTS: dict[str, tuple[http.Reply, str, Kind]] = {
    "FIN, length": (http.says(HEAD_100 + PARTIAL), "BadAnswer", Kind.PROTOCOL),
    "RST, length": (http.resets(HEAD_100 + PARTIAL), "Reset", Kind.RESET),
    "silence, length": (http.stalls(HEAD_100 + PARTIAL), "ResponseTimeout", Kind.TIMEOUT),
    "FIN, chunked": (http.says(HEAD_CHUNKED + CHUNK), "BadAnswer", Kind.PROTOCOL),
    "RST, chunked": (http.resets(HEAD_CHUNKED + CHUNK), "Reset", Kind.RESET),
    "silence, chunked": (http.stalls(HEAD_CHUNKED + CHUNK), "ResponseTimeout", Kind.TIMEOUT),
}


def pieces(items: Any) -> Iterator[bytes]:
    """Any iterable of bytes."""
    yield from items


def whole(read: Callable[[], bytes]) -> Iterator[bytes]:
    """One read."""
    yield read()


READS: dict[str, Callable[[Any], Iterator[bytes]]] = {
    "requests .content": lambda r: whole(lambda: r.content),
    "requests .text": lambda r: whole(lambda: r.text.encode()),  # noqa: PLW0108 - read late
    "requests iter_content": lambda r: pieces(r.iter_content(4)),
    "requests iter_content(None)": lambda r: pieces(r.iter_content(None)),
    "requests iter_lines": lambda r: pieces(r.iter_lines()),
    "requests iteration": pieces,
    "requests .raw.read": lambda r: whole(r.raw.read),
    "requests .raw.stream": lambda r: pieces(r.raw.stream(4)),
    "urllib3 .read": lambda r: whole(r.read),
    "urllib3 .data": lambda r: whole(lambda: r.data),
    "urllib3 .stream": lambda r: pieces(r.stream(4)),
    "urllib3 iteration": pieces,
    "urllib3 .read(20)": lambda r: whole(lambda: r.read(20)),
}


def consume(
    client: Client, read: Callable[[Any], Iterator[bytes]], fault: str, **options: Any
) -> tuple[bytes, BaseException, Any, Server]:
    """What came of the body, how it ended, the response, and the server."""
    got = b""
    with Server(FAULTS[fault][0]) as server, client.open(**options) as sender:
        url = server.url + "?token=s3cret"
        answer = sender.send("GET", url, stream=True, timeout=timeout_for(fault))
        assert answer.status == 200
        with pytest.raises(Exception) as caught:
            for piece in read(answer.raw):
                got += piece
        again = sender.get(server.url)
        assert again.body == b"ok"
    return got, caught.value, answer.raw, server


@pytest.mark.parametrize("reading", READS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_body_that_breaks(fault: str, reading: str) -> None:
    """It gives as much, and the same class, as natively; ours as well, with all the facts."""
    _, cls, kind = FAULTS[fault]
    name, read = reading.split(maxsplit=1)[0], READS[reading]
    had, natively, _, _ = consume(Client(name, ours=False), read, fault)
    got, error, response, server = consume(Client(name, ours=True), read, fault, policy=POLICY)
    assert got == had
    assert isinstance(error, type(natively)), (type(error).__mro__, natively)
    assert isinstance(error, tieline.TielineError)
    assert unified(error) == cls
    assert error.failure is not None
    assert (error.failure.phase, error.failure.kind) == (Phase.RECEIVE, kind)
    check_number(error, errno.ECONNRESET if kind is Kind.RESET else None)
    assert error.maybe_applied
    assert error.endpoint is not None
    assert error.endpoint.port == server.port
    assert f"127.0.0.1:{server.port}" in str(error)
    assert "s3cret" not in str(error)
    # The one that broke, and the one after it: a body is never asked for again.
    assert [request.path for request in server.requests] == ["/x?token=s3cret", "/x"]
    assert server.accepted == 2
    if name == "requests" and ".raw" not in reading:
        assert error.request is response.request


@pytest.mark.parametrize("fault", FAULTS)
def test_content_read_by_requests_itself(fault: str) -> None:
    """Without stream=True the body breaks inside of the call: .request is set, nothing repeated."""
    reply, cls, _ = FAULTS[fault]
    native, ours = Client("requests", ours=False), Client("requests", ours=True)
    errors = []
    for client, options in ((native, {}), (ours, {"policy": POLICY})):
        with (
            Server(reply) as server,
            client.open(**options) as sender,
            pytest.raises(Exception) as caught,
        ):
            sender.get(server.url, timeout=timeout_for(fault))
        errors.append(caught.value)
        assert len(server.requests) == 1
    natively, error = errors
    assert isinstance(error, type(natively))
    assert unified(error) == cls
    assert error.request.url == server.url


def test_content_asked_for_twice() -> None:
    """A body that broke stays broken, as natively."""
    reply, _, _ = FAULTS["FIN, length"]
    found = []
    for ours in (False, True):
        with Server(reply) as server, Client("requests", ours=ours).open() as sender:
            response = sender.send("GET", server.url, stream=True).raw
            outcomes = []
            for _ in range(2):
                try:
                    outcomes.append(response.content)
                except Exception as error:  # noqa: BLE001 - compared below
                    outcomes.append(error)
            found.append(outcomes)
    natively, got = found
    for mine, theirs in zip(got, natively, strict=True):
        if isinstance(theirs, Exception):
            assert isinstance(mine, type(theirs))
        else:
            assert mine == theirs


def test_truncated_headers(client: Client) -> None:
    """Headers that end too early are no 200 with an empty body, as both clients have it."""
    truncated = http.says(b"HTTP/1.1 200 OK\r\nContent-")
    with Server(truncated) as server, client.alone.open() as sender:
        assert sender.get(server.url).body == b""
    for method, seen in (("GET", 3), ("POST", 1)):
        with (
            Server(otherwise=truncated) as server,
            client.open(policy=POLICY) as sender,
            pytest.raises(tieline.ConnectionLost) as caught,
        ):
            sender.send(method, server.url)
        assert isinstance(
            caught.value,
            client.module.exceptions.RequestException
            if client.is_requests
            else client.module.exceptions.HTTPError,
        )
        assert caught.value.failure.phase is Phase.RECEIVE
        assert caught.value.maybe_applied
        assert len(server.requests) == seen


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
def test_headers_truncated_anywhere(client: Client, begun: bytes) -> None:
    """Wherever the headers end too early, it is a lost connection."""
    with (
        Server(otherwise=http.says(begun)) as server,
        client.open(policy=POLICY) as sender,
        pytest.raises(tieline.ConnectionLost),
    ):
        sender.get(server.url)


def test_a_body_without_a_length(either: Client) -> None:
    """A body that ends with the stream is whole, as far as anybody can tell."""
    with Server(http.says(http.head() + b"all of it")) as server, either.open() as sender:
        assert sender.get(server.url).body == b"all of it"
