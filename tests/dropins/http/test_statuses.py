"""Answers that say "not now": which are asked again, when, and what is returned in the end."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.clients import Client
from tests.dropins.http.server import Exchange, Server
from tests.dropins.http.told import ATTEMPTS, KEYED, POLICY

if TYPE_CHECKING:
    from tieline.testing import ManualClock

NOW = 1_900_000_000
REPEATED = (429, 502, 503, 504)
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


def declines(status: int, **headers: str) -> http.Reply:
    """Answers with this status and the number of the request."""
    count = 0

    def reply(exchange: Exchange) -> bool | None:
        nonlocal count
        count += 1
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.answer(status, str(count).encode(), named)(exchange)

    return reply


def ask(
    client: Client, method: str, reply: http.Reply, headers: Any = None, **options: Any
) -> tuple[Any, int]:
    """The answer, and how many requests the server saw."""
    with Server(otherwise=reply) as server, client.open(policy=POLICY) as sender:
        body = b"payload" if method in {"POST", "PUT", "PATCH"} else None
        answer = sender.send(method, server.url, body, headers, **options)
        assert server.accepted == 1
    return answer, len(server.requests)


@pytest.mark.parametrize("status", REPEATED)
@pytest.mark.parametrize("method", IDEMPOTENT)
def test_idempotent_methods_are_asked_again(
    client: Client, method: str, status: int, clock: ManualClock
) -> None:
    """429, 502, 503 and 504 are asked again on the same connection; the last answer is returned."""
    answer, seen = ask(client, method, declines(status))
    assert answer.status == status
    assert seen == ATTEMPTS
    assert answer.body == (b"" if method == "HEAD" else b"3")
    assert len(clock.sleeps) == ATTEMPTS - 1


@pytest.mark.parametrize("status", REPEATED)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_not(
    client: Client, method: str, status: int, clock: ManualClock
) -> None:
    """A POST is not repeated for a status, unless it bears an Idempotency-Key."""
    answer, seen = ask(client, method, declines(status, Retry_After="1"))
    assert (answer.status, seen, clock.sleeps) == (status, 1, [])
    answer, seen = ask(client, method, declines(status), KEYED)
    assert (answer.status, answer.body, seen) == (status, b"3", ATTEMPTS)
    with tieline.idempotent():
        answer, seen = ask(client, method, declines(status))
    assert (answer.status, seen) == (status, ATTEMPTS)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501, 505])
def test_other_statuses_are_answers(client: Client, status: int, clock: ManualClock) -> None:
    """500 and the rest are returned as they are, at once."""
    answer, seen = ask(client, "GET", declines(status))
    assert (answer.status, answer.body, seen, clock.sleeps) == (status, b"1", 1, [])


def test_what_succeeds_later_has_succeeded(client: Client, clock: ManualClock) -> None:
    """After two refusals comes an answer, and nothing is left of them."""
    with Server(http.answer(503), http.answer(429)) as server, client.open() as sender:
        answer = sender.get(server.url)
        assert (answer.status, answer.body) == (200, b"ok")
    assert len(server.requests) == 3
    assert server.accepted == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "7"},
        {
            "Date": email.utils.formatdate(NOW, usegmt=True),
            "Retry_After": email.utils.formatdate(NOW + 7, usegmt=True),
        },
    ],
    ids=["seconds", "date"],
)
def test_retry_after_is_a_floor(
    client: Client, status: int, headers: dict[str, str], clock: ManualClock
) -> None:
    """Both forms are kept; a date counts from the answer's own date, so that clocks may differ."""
    _, seen = ask(client, "GET", declines(status, **headers))
    assert seen == ATTEMPTS
    assert len(clock.sleeps) == ATTEMPTS - 1
    assert all(7 <= slept < 10 for slept in clock.sleeps)


@pytest.mark.parametrize("value", ["banana", "-5", "1.5", "", "1e3", "Sun, 99 Foo 2030", "٣"])
def test_malformed_retry_after_is_ignored(client: Client, value: str, clock: ManualClock) -> None:
    """urllib3 raises InvalidHeader for it, out of a plain GET; here it is as if it were not there."""
    encoded = value.encode().decode("latin-1")
    answer, seen = ask(client, "GET", declines(503, Retry_After=encoded))
    assert (answer.status, answer.body, seen) == (503, b"3", ATTEMPTS)
    assert all(slept < 7 for slept in clock.sleeps)


def test_the_date_of_the_past_is_no_floor(client: Client, clock: ManualClock) -> None:
    """A Retry-After that has passed asks for nothing."""
    headers = {
        "Date": email.utils.formatdate(NOW, usegmt=True),
        "Retry_After": email.utils.formatdate(NOW - 7, usegmt=True),
    }
    _, seen = ask(client, "GET", declines(503, **headers))
    assert seen == ATTEMPTS
    assert all(slept < 7 for slept in clock.sleeps)


@pytest.mark.parametrize("value", ["60", "21600", "9" * 400])
def test_the_deadline_caps_retry_after(client: Client, value: str, clock: ManualClock) -> None:
    """Where the server wants more time than is left, its answer is returned at once."""
    with tieline.deadline(10):
        answer, seen = ask(client, "GET", declines(503, Retry_After=value))
    assert (answer.status, seen, clock.sleeps) == (503, 1, [])


def test_no_server_stalls_a_client_for_hours(client: Client, clock: ManualClock) -> None:
    """Without any deadline the call's own limit is the cap: natively it would be six hours."""
    with Server(otherwise=declines(503, Retry_After="21600")) as server, client.open() as sender:
        assert sender.get(server.url).status == 503
    assert sum(clock.sleeps) <= 30


@pytest.mark.parametrize("status", REPEATED)
def test_raise_for_status_is_left_alone(status: int, clock: ManualClock) -> None:
    """`raise_for_status` raises requests' own HTTPError, with the last response."""
    client = Client("requests", ours=True)
    answer, _ = ask(client, "GET", declines(status))
    with pytest.raises(client.module.HTTPError) as caught:
        answer.raw.raise_for_status()
    assert type(caught.value) is client.module.HTTPError
    assert caught.value.response is answer.raw
    assert not isinstance(caught.value, tieline.TielineError)


def test_a_stream_is_asked_again_as_well(client: Client, clock: ManualClock) -> None:
    """Statuses come before the body: a streamed call is repeated like any other."""
    with Server(otherwise=declines(503)) as server, client.open(policy=POLICY) as sender:
        answer = sender.send("GET", server.url, stream=True)
        response = answer.raw.raw if client.is_requests else answer.raw
        assert response.read() == b"3"
        # The answers in between were read to their ends, so that one connection did for all.
        assert server.accepted == 1


def test_a_413_before_all_was_sent(either: Client) -> None:
    """A server that answers before it has read everything is heard."""

    def reply(exchange: Exchange) -> None:
        exchange.send(http.head(413, {"Content-Length": "0", "Connection": "close"}))

    with Server(reply) as server, either.open() as sender:
        answer = sender.send("POST", server.url, b"x" * 16_000_000)
        assert answer.status == 413
    assert len(server.requests) == 1


def test_http_spoken_to_a_tls_port_that_explains(either: Client) -> None:
    """A server that answers plain text on its TLS port with a 400 is heard."""
    with Server(otherwise=http.answer(400, close=True)) as server, either.open() as sender:
        assert sender.get(server.url).status == 400
    assert len(server.requests) == 1
