"""Redirects: each hop is a call of its own endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.server import Server
from tests.dropins.http.told import POLICY
from tieline.testing import FaultServer
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from tests.dropins.http.clients import Client
    from tieline.testing import ManualClock


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hop_that_is_refused(
    client: Client, method: str, status: int, clock: ManualClock
) -> None:
    """The error names the hop that failed, and the hop before it is not asked again."""
    with (
        FaultServer(Refuse()) as nobody,
        Server(otherwise=http.redirect(status, f"http://127.0.0.1:{nobody.port}/y")) as here,
        client.open(policy=POLICY) as sender,
    ):
        with pytest.raises(tieline.Refused) as caught:
            sender.send(method, here.url, b"payload" if method == "POST" else None)
        error = caught.value
        assert error.endpoint is not None
        assert error.endpoint.port == nobody.port
        if client.is_requests:
            assert error.request.url == f"http://127.0.0.1:{nobody.port}/y"
    assert len(here.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hop_that_is_lost(client: Client, method: str, clock: ManualClock) -> None:
    """A second hop cut after a 307 is repeated for GET alone, and the first one for neither."""
    with (
        Server(otherwise=http.cut()) as there,
        Server(otherwise=http.redirect(307, there.url)) as here,
        client.open(policy=POLICY) as sender,
        pytest.raises(tieline.Aborted) as caught,
    ):
        sender.send(method, here.url, b"payload" if method == "POST" else None)
    assert caught.value.endpoint.port == there.port
    assert len(here.requests) == 1
    assert len(there.requests) == (3 if method == "GET" else 1)


def test_a_hop_on_the_same_host_that_is_lost(client: Client, clock: ManualClock) -> None:
    """On the same host as well: the POST before it is not repeated."""
    with (
        Server(http.redirect(307, "/there"), otherwise=http.cut()) as server,
        client.open(policy=POLICY) as sender,
        pytest.raises(tieline.ConnectionLost),
    ):
        sender.send("POST", server.url, b"payload")
    assert [request.path for request in server.requests] == ["/x", "/there"]


def test_a_loop(client: Client) -> None:
    """A loop ends after as many hops, and with the same class, as natively."""
    seen, errors = [], []
    for one in (client.alone, client):
        with (
            Server(otherwise=http.redirect(302, "/x")) as server,
            one.open() as sender,
            pytest.raises(Exception) as caught,
        ):
            sender.get(server.url)
        seen.append(len(server.requests))
        errors.append(caught.value)
    assert seen[0] == seen[1]
    assert isinstance(errors[1], type(errors[0]))


def test_a_hop_after_refusals(client: Client, clock: ManualClock) -> None:
    """A hop that declines for a moment is asked again, and only that one."""
    with Server(http.answer(503), http.answer(200, b"there")) as there:
        with Server(http.redirect(302, there.url)) as here, client.open() as sender:
            assert sender.get(here.url).body == b"there"
        assert len(here.requests) == 1
        assert len(there.requests) == 2


def test_no_redirect_is_followed_where_none_is_wanted(either: Client) -> None:
    """allow_redirects=False and redirect=False give the redirect itself."""
    option = {"allow_redirects": False} if either.is_requests else {"redirect": False}
    with Server(http.redirect(302, "/y")) as server, either.open() as sender:
        assert sender.get(server.url, **option).status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_methods_change_as_natively(client: Client, method: str, status: int) -> None:
    """Which method, headers and body the second hop gets is the client's business."""

    def scenario(one: Client) -> list[tuple[str, bytes, list[str]]]:
        with Server(http.redirect(status, "/y")) as server, one.open() as sender:
            body = b"payload" if method in {"POST", "PUT"} else None
            options = {"allow_redirects": True} if one.is_requests else {}
            sender.send(method, server.url, body, {"X-Own": "1"}, **options)
        return [(each.method, each.body, sorted(each.headers)) for each in server.requests]

    assert scenario(client) == scenario(client.alone)
