"""Our own services answer as they are asked to, and note all that they receive."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from integration.services.app import AppService

pytestmark = pytest.mark.integration


def post(service: AppService, path: str, body: str) -> Any:
    """What the HTTP service answers."""
    with urllib.request.urlopen(f"{service.url}{path}", body.encode(), timeout=5) as response:
        return json.load(response)


def since(service: AppService, before: int, event: str) -> list[dict[str, Any]]:
    """What the ledger has more than so many lines."""
    return [line for line in service.ledger()[before:] if line["event"] == event]


def test_http_repeats_and_notes(http_service: AppService) -> None:
    """A request comes back in the answer, and is in the ledger once, with its headers."""
    before = len(http_service.ledger())
    answer = post(http_service, "/orders?id=1", "one")
    (noted,) = since(http_service, before, "request")
    for seen in (answer, noted):
        assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/orders?id=1", "one")
        assert seen["headers"]["Content-Length"] == "3"
    assert len(since(http_service, before, "connection")) == 1


def test_http_does_as_the_path_says(http_service: AppService) -> None:
    """A status, a header and a wait may be asked for, together."""
    began = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(http_service, "/wait/0.2/status/503/retry-after/7", "")
    with caught.value as error:
        assert (error.code, error.headers["Retry-After"]) == (503, "7")
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_ledger_survives(http_service: AppService, end: str) -> None:
    """What was received is known while the service is down, and after it is back."""
    before = len(http_service.ledger())
    post(http_service, "/before", "")
    getattr(http_service, end)()
    assert [line["path"] for line in since(http_service, before, "request")] == ["/before"]
    http_service.start()
    post(http_service, "/after", "")
    paths = [line["path"] for line in since(http_service, before, "request")]
    assert paths == ["/before", "/after"]
    assert len(since(http_service, before, "listening")) == 1


@pytest.mark.cut
@pytest.mark.parametrize("asked", ["before", "after"])
def test_a_cut_is_one_in_both_directions(http_service: AppService, asked: str) -> None:
    """A request does not arrive, nor does the answer to one that did; both do once it is mended."""
    before = len(http_service.ledger())
    with socket.create_connection(http_service.address, timeout=0.8) as client:
        if asked == "after":
            http_service.cut()
        client.sendall(b"GET /wait/0.4 HTTP/1.1\r\nHost: here\r\n\r\n")
        if asked == "before":
            while not since(http_service, before, "request"):
                time.sleep(0.01)
            http_service.cut()
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert len(since(http_service, before, "request")) == (asked == "before")
        http_service.mend()
        client.settimeout(10)
        assert client.recv(1) == b"H"
    assert len(since(http_service, before, "request")) == 1


def test_websocket_echoes_and_notes(websocket_service: AppService) -> None:
    """A message comes back; handshake, message and end are in the ledger, in this order."""
    before = len(websocket_service.ledger())
    with connect(f"{websocket_service.url}/room") as connection:
        connection.send("hello")
        assert connection.recv(timeout=5) == "hello"
    deadline = time.monotonic() + 5
    while len(lines := websocket_service.ledger()[before:]) < 3:
        assert time.monotonic() < deadline, lines
    assert [line["event"] for line in lines] == ["handshake", "message", "closed"]
    assert (lines[0]["path"], lines[1]["data"], lines[2]["code"]) == ("/room", "hello", 1000)


def test_websocket_does_as_the_path_says(websocket_service: AppService) -> None:
    """It closes with a code, or refuses the handshake with a status, if asked to."""
    with connect(f"{websocket_service.url}/close/1012") as connection:
        connection.send("go")
        assert connection.recv(timeout=5) == "go"
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{websocket_service.url}/status/503/retry-after/7")
    response = refused.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


def test_websocket_says_that_it_goes(websocket_service: AppService) -> None:
    """Stopped in order, it closes with 1001; killed, it just ends."""
    with connect(websocket_service.url) as connection:
        websocket_service.stop()
        with pytest.raises(Exception, match="1001"):
            connection.recv(timeout=5)
    websocket_service.start()
    with connect(websocket_service.url) as connection:
        websocket_service.kill()
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is None
