"""Bodies: those that can be sent again in full are, and no other is sent again, least of all empty."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.clients import Client
from tests.dropins.http.server import Server
from tests.dropins.http.told import KEYED, outcome
from tieline.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = b"0123456789" * 10


def generator() -> Iterator[bytes]:
    """Two pieces, once."""
    yield CONTENT[:50]
    yield CONTENT[50:]


class Stream:
    """Something to read from that cannot be rewound."""

    def __init__(self) -> None:
        self._file = io.BytesIO(CONTENT)

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        return self._file.read(size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(8192), b"")


class Pipe(Stream):
    """One that says where it is and cannot go back, as a pipe or a socket."""

    def tell(self) -> int:
        """As for a pipe."""
        raise OSError("underlying stream is not seekable")

    def seek(self, *_: Any) -> int:
        """As for a pipe."""
        raise OSError("underlying stream is not seekable")


def advanced() -> io.BytesIO:
    """A file that is not at its beginning."""
    file = io.BytesIO(b"header" + CONTENT)
    file.seek(6)
    return file


AGAIN: dict[str, Callable[[], Any]] = {
    "bytes": lambda: CONTENT,
    "str": CONTENT.decode,
    "bytearray": lambda: bytearray(CONTENT),
    "BytesIO": lambda: io.BytesIO(CONTENT),
    "BytesIO that was read": advanced,
}
NEVER: dict[str, Callable[[], Any]] = {
    "generator": generator,
    "iterator": lambda: iter([CONTENT[:50], CONTENT[50:]]),
    "stream": Stream,
    "pipe": Pipe,
}


@pytest.mark.parametrize("kind", AGAIN)
@pytest.mark.parametrize(
    "ending", [http.cut(), http.resets(), http.answer(503)], ids=["FIN", "RST", "503"]
)
def test_bodies_that_are_sent_again(
    client: Client, kind: str, ending: http.Reply, clock: ManualClock
) -> None:
    """Bytes, text and files that can be rewound go again from where they started."""
    with Server(ending) as server, client.open() as sender:
        assert sender.send("PUT", server.url, AGAIN[kind]()).status == 200
    assert [request.body for request in server.requests] == [CONTENT, CONTENT]


def test_an_open_file_is_sent_again(client: Client, tmp_path: Path, clock: ManualClock) -> None:
    """A real file as well."""
    path = tmp_path / "payload"
    path.write_bytes(CONTENT)
    with (
        Server(http.cut(), http.answer(503)) as server,
        client.open() as sender,
        path.open("rb") as file,
    ):
        assert sender.send("POST", server.url, file, KEYED).status == 200
    assert [request.body for request in server.requests] == [CONTENT] * 3


@pytest.mark.parametrize("kind", NEVER)
@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("ending", [http.cut(), http.resets()], ids=["FIN", "RST"])
def test_bodies_that_are_never_sent_again(
    client: Client, kind: str, method: str, ending: http.Reply, clock: ManualClock
) -> None:
    """What can be read only once is sent once: the failure is raised, idempotent method or not."""
    with (
        Server(ending) as server,
        client.open() as sender,
        pytest.raises(tieline.ConnectionLost) as caught,
    ):
        sender.send(method, server.url, NEVER[kind](), KEYED)
    assert [request.body for request in server.requests] == [CONTENT]
    assert caught.value.maybe_applied
    assert clock.sleeps == []


@pytest.mark.parametrize("kind", NEVER)
@pytest.mark.parametrize("status", [429, 503])
def test_a_status_sends_no_generator_again(
    client: Client, kind: str, status: int, clock: ManualClock
) -> None:
    """The answer is returned instead."""
    refusal = http.answer(status, b"no", {"Retry-After": "1"})
    with Server(refusal) as server, client.open() as sender:
        answer = sender.send("PUT", server.url, NEVER[kind]())
        assert (answer.status, answer.body) == (status, b"no")
    assert [request.body for request in server.requests] == [CONTENT]


@pytest.mark.parametrize("kind", NEVER)
def test_a_generator_on_a_kept_connection_that_died(
    client: Client, kind: str, clock: ManualClock
) -> None:
    """Nor is it sent again where a kept connection died under it."""
    with Server(http.answer(), http.cut()) as server, client.open() as sender:
        sender.get(server.url)
        with pytest.raises(tieline.ConnectionLost):
            sender.send("PUT", server.url, NEVER[kind]())
    assert [request.body for request in server.requests] == [b"", CONTENT]


@pytest.mark.parametrize("kind", AGAIN)
@pytest.mark.parametrize("status", [307, 308])
def test_redirected_bodies(client: Client, kind: str, status: int) -> None:
    """307 and 308 send the same again; urllib3's PoolManager sends a BytesIO empty."""
    with Server(http.redirect(status, "/there")) as server, client.open() as sender:
        assert sender.send("POST", server.url, AGAIN[kind]()).status == 200
    assert [request.path for request in server.requests] == ["/x", "/there"]
    assert [request.body for request in server.requests] == [CONTENT, CONTENT]


@pytest.mark.parametrize("kind", AGAIN)
def test_redirected_to_another_server(client: Client, kind: str) -> None:
    """The same where the redirect leads to another host."""
    with Server() as there, Server(http.redirect(307, there.url)) as here, client.open() as sender:
        assert sender.send("PUT", here.url, AGAIN[kind]()).status == 200
    assert [request.body for request in here.requests] == [CONTENT]
    assert [request.body for request in there.requests] == [CONTENT]


@pytest.mark.parametrize("kind", NEVER)
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same host", "other host"])
def test_redirected_generators(client: Client, kind: str, status: int, elsewhere: bool) -> None:
    """A redirect that needs the body again is an error, and no request with an empty body."""
    with (
        Server() as there,
        Server(http.redirect(status, there.url if elsewhere else "/there")) as here,
        client.open() as sender,
    ):
        exceptions = client.module.exceptions
        base = exceptions.RequestException if client.is_requests else exceptions.HTTPError
        with pytest.raises(base):
            sender.send("POST", here.url, NEVER[kind]())
    assert [request.body for request in here.requests] == [CONTENT]
    assert there.requests == []


@pytest.mark.parametrize("kind", NEVER)
def test_a_303_needs_no_body(client: Client, kind: str) -> None:
    """See Other is asked for by GET, whatever was sent before."""
    with Server(http.redirect(303, "/there")) as server, client.open() as sender:
        assert sender.send("POST", server.url, NEVER[kind]()).status == 200
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert [request.body for request in server.requests] == [CONTENT, b""]


@pytest.mark.parametrize("kind", [*AGAIN, *NEVER])
def test_any_body_goes_out_whole(either: Client, kind: str) -> None:
    """Every kind of body arrives as it is."""
    with Server() as server, either.open() as sender:
        sender.send("POST", server.url, (AGAIN | NEVER)[kind]())
    assert [request.body for request in server.requests] == [CONTENT]


def test_a_generator_that_fails(either: Client) -> None:
    """What a generator raises comes out as it is, and the request is not repeated."""

    class OwnError(Exception):
        pass

    def failing() -> Iterator[bytes]:
        yield b"some"
        raise OwnError

    with Server() as server, either.open() as sender, pytest.raises(OwnError):
        sender.send("PUT", server.url, failing())
    assert len(server.requests) <= 1
    assert not any(request.complete for request in server.requests)


def test_a_generator_after_a_refusal(client: Client, clock: ManualClock) -> None:
    """Nobody accepted: whether or not it is tried again, no empty body arrives afterwards."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with client.open() as sender, pytest.raises(tieline.Refused) as caught:
            sender.send("PUT", f"http://127.0.0.1:{reserved.getsockname()[1]}/x", generator())
    assert not caught.value.maybe_applied


class Drained:
    """An iterable that gives its pieces once, as a progress bar around a generator does."""

    def __init__(self) -> None:
        self._pieces = iter([b"abc", b"def"])

    def __iter__(self) -> Iterator[bytes]:
        """Give what is left."""
        yield from self._pieces


@pytest.mark.parametrize("status", [503, 307])
def test_an_iterable_that_may_be_drained_is_sent_once(client: Client, status: int) -> None:
    """An iterable that is no iterator is not known to give the same again: it goes out once."""
    first = http.answer(503) if status == 503 else http.redirect(307, "/y")
    with Server(first) as server, client.open() as sender, ManualClock():
        seen = outcome(sender.send, "PUT", server.url, Drained())
        assert [request.body for request in server.requests] == [b"abcdef"]
    assert isinstance(seen, Exception) == (status == 307)


def test_a_list_of_pieces_is_sent_again() -> None:
    """A list gives the same again, each time."""
    with Server(http.answer(503)) as server, Client("urllib3", ours=True).open() as sender:
        with ManualClock():
            assert sender.send("PUT", server.url, [b"abc", b"def"]).status == 200
        assert [request.body for request in server.requests] == [b"abcdef", b"abcdef"]
