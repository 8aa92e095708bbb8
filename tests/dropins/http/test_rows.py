"""Each failure: what the clients raise alone, and what ours make of it."""

from __future__ import annotations

import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http.clients import CLIENTS, Client
from tests.dropins.http.rows import ROWS, Row
from tests.dropins.http.told import ATTEMPTS, KEYED, POLICY, check_number, unified

if TYPE_CHECKING:
    from tieline.testing import ManualClock

REQUESTS = {
    "GET": ("GET", None, True),
    "POST": ("POST", None, False),
    "keyed POST": ("POST", KEYED, True),
}
"""Method, headers, and whether it may be repeated after it was sent."""

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
clients = pytest.mark.parametrize("name", CLIENTS)


def load(name: str) -> type[BaseException]:
    """The class of that name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def provoke(  # noqa: PLR0917 - a row, and all that varies
    row: Row,
    client: Client,
    method: str,
    headers: Any,
    names: dict[str, Any],
    ca: str,
    **options: Any,
) -> tuple[BaseException, Any]:
    """The error that a request ends with, and where it went."""
    with row.place(names) as place:
        body = row.payload or (None if method == "GET" else b"payload")
        with (
            client.open(
                ca=ca if place.url.startswith("https") else None, proxy=place.proxy, **options
            ) as sender,
            pytest.raises(Exception) as caught,
        ):
            sender.send(method, place.url, body, headers, **place.options)
    return caught.value, place


@rows
@clients
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_client_raises_alone(
    row: Row, name: str, method: str, names: dict[str, Any], ca: str
) -> None:
    """The native classes of the table are those that the clients raise."""
    error, _ = provoke(row, Client(name, ours=False), method, None, names, ca)
    expected = load(row.native(name, retryable=method == "GET"))
    assert type(error) is expected, repr(error)


@rows
@clients
@pytest.mark.parametrize("kind", REQUESTS)
def test_what_ours_raises(  # noqa: PLR0917 - what pytest passes
    row: Row, name: str, kind: str, names: dict[str, Any], ca: str, clock: ManualClock
) -> None:
    """Type, phase, kind, number, address; repeated only where nothing can be applied twice."""
    method, headers, idempotent = REQUESTS[kind]
    error, place = provoke(row, Client(name, ours=True), method, headers, names, ca, policy=POLICY)
    assert isinstance(error, load(row.native(name, retryable=method == "GET"))), type(error).__mro__
    assert isinstance(error, tieline.TielineError)
    assert unified(error) == row.ours
    assert error.failure is not None
    assert (error.failure.phase, error.failure.kind) == (row.phase, row.kind)
    check_number(error, row.errno)
    assert error.maybe_applied == row.reached
    if place.port is not None:
        assert error.endpoint is not None
        assert error.endpoint.port == place.port
        assert f":{place.port}" in str(error)
    assert "\n" not in str(error)
    assert "secret" not in "".join((str(error), repr(error), *error.__notes__))
    tries = row.tries(name, idempotent=idempotent, most=ATTEMPTS)
    assert place.begun() == (tries if row.reached else 0)
    if not row.body:
        assert len(error.attempts) == tries


def test_ipv6_is_to_be_had() -> None:
    """The rows about IPv6 need a loopback that has it."""
    assert socket.has_ipv6
