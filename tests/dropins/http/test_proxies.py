"""Proxies: one that fails is said to be the proxy, and one that works is as good as none."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.rows import tunnel_refused, tunnel_silent
from tests.dropins.http.server import Exchange, Server
from tests.dropins.http.told import ATTEMPTS, POLICY
from tieline import Phase
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Refuse

if TYPE_CHECKING:
    from tests.dropins.http.clients import Client
    from tieline.testing import ManualClock

CREDENTIALS = "user:s3cret"
BASIC = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()


def tunnels(exchange: Exchange) -> bool:
    """Grant a tunnel, and be the server at its end as well."""
    exchange.send(http.head(200))
    connection = exchange.connection
    connection.socket = context().wrap_socket(connection.socket, server_side=True)
    return True


def told(error: BaseException) -> str:
    """All that it says to people."""
    return "\n".join((str(error), repr(error), *getattr(error, "__notes__", ())))


def check(error: BaseException, port: int) -> None:
    """It names the proxy, by its address, and no credentials."""
    assert isinstance(error, tieline.ConnectFailed)
    assert error.endpoint is not None
    assert (error.endpoint.host, error.endpoint.port) == ("127.0.0.1", port)
    assert f"127.0.0.1:{port}" in str(error)
    assert "proxy" in told(error).lower()
    assert "s3cret" not in told(error)
    assert not error.maybe_applied
    assert len(error.attempts) == ATTEMPTS


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_proxy_is_the_proxy(
    client: Client, scheme: str, method: str, clock: ManualClock
) -> None:
    """Refused, by the proxy and not by the server behind it; any method is tried again."""
    with FaultServer(Refuse()) as proxy:
        url = f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"
        with (
            client.open(proxy=url, policy=POLICY) as sender,
            pytest.raises(tieline.Refused) as caught,
        ):
            sender.send(method, f"{scheme}://origin.test/x")
    check(caught.value, proxy.port)
    assert isinstance(caught.value, ConnectionRefusedError)
    if client.is_requests:
        assert isinstance(caught.value, client.module.exceptions.ProxyError)
    else:
        assert isinstance(caught.value, client.module.exceptions.MaxRetryError)
        assert isinstance(caught.value.reason, client.module.exceptions.ProxyError)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "fault", [tunnel_refused, tunnel_silent, Fin(after=20)], ids=["503", "silence", "FIN"]
)
def test_a_tunnel_that_is_not_granted(
    client: Client, fault: Any, method: str, clock: ManualClock
) -> None:
    """The request never left: the proxy is named, and any method is tried again."""
    errors = []
    for one, options in ((client.alone, {}), (client, {"policy": POLICY})):
        with FaultServer(fault) as proxy:
            url = f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"
            with (
                one.open(proxy=url, **options) as sender,
                pytest.raises(Exception) as caught,  # noqa: PT011 - compared below
            ):
                sender.send(method, "https://origin.test/x", timeout=0.1 if fault is tunnel_silent else 10)
        errors.append(caught.value)
    natively, error = errors
    assert isinstance(error, type(natively))
    check(error, proxy.port)
    assert error.failure.phase in {Phase.CONNECT, Phase.HANDSHAKE}
    assert proxy.accepted == ATTEMPTS


def test_a_plain_request_through_a_proxy(either: Client) -> None:
    """The proxy gets the whole URL and its credentials; nothing else changes."""
    with Server() as proxy:
        url = f"http://{CREDENTIALS}@{proxy.host}:{proxy.port}"
        headers = {} if either.is_requests else {"proxy_headers": {"proxy-authorization": BASIC}}
        with either.open(proxy=url, **headers) as sender:
            for _ in range(2):
                assert sender.get("http://origin.test/x").body == b"ok"
    assert [request.path for request in proxy.requests] == ["http://origin.test/x"] * 2
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {BASIC}
    assert proxy.accepted == 1


def test_a_tunnelled_request(either: Client, ca: str) -> None:
    """HTTPS goes through a tunnel, which is kept for the next request."""
    with Server(tunnels) as proxy:
        url = f"http://{CREDENTIALS}@{proxy.host}:{proxy.port}"
        headers = {} if either.is_requests else {"proxy_headers": {"proxy-authorization": BASIC}}
        with either.open(proxy=url, ca=ca, **headers) as sender:
            for _ in range(2):
                assert sender.get("https://localhost/x").body == b"ok"
    connect, first, second = proxy.requests
    assert (connect.method, connect.path) == ("CONNECT", "localhost:443")
    assert connect.headers["proxy-authorization"] == BASIC
    assert [first.path, second.path] == ["/x", "/x"]
    assert "proxy-authorization" not in first.headers
    assert proxy.accepted == 1


def test_a_post_lost_behind_a_proxy(client: Client, clock: ManualClock) -> None:
    """What a proxy took is not sent again."""
    with Server(otherwise=http.cut()) as proxy:
        url = f"http://{proxy.host}:{proxy.port}"
        with (
            client.open(proxy=url, policy=POLICY) as sender,
            pytest.raises(tieline.Aborted) as caught,
        ):
            sender.send("POST", "http://origin.test/x", b"payload")
    assert caught.value.maybe_applied
    assert [request.body for request in proxy.requests] == [b"payload"]


def test_a_post_lost_in_a_tunnel(client: Client, ca: str, clock: ManualClock) -> None:
    """The same inside a tunnel: CONNECT is no byte of the request, the request is."""
    with Server(tunnels, otherwise=http.cut()) as proxy:
        url = f"http://{proxy.host}:{proxy.port}"
        with (
            client.open(proxy=url, ca=ca, policy=POLICY) as sender,
            pytest.raises(tieline.ConnectionLost) as caught,
        ):
            sender.send("POST", "https://localhost/x", b"payload")
    assert caught.value.maybe_applied
    assert [request.method for request in proxy.requests] == ["CONNECT", "POST"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxies_from_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch, either: Client
) -> None:
    """requests takes its proxies from the environment, urllib3 does not; NO_PROXY is respected."""
    if variable == "HTTP_PROXY" and os.environ.get("REQUEST_METHOD"):
        pytest.skip("requests distrusts HTTP_PROXY in a CGI script")
    with Server(otherwise=http.answer(200, b"proxy")) as proxy, Server() as origin:
        monkeypatch.setenv(variable, f"http://{proxy.host}:{proxy.port}")
        with either.open() as sender:
            if either.is_requests:
                sender.raw.trust_env = True
            expected = b"proxy" if either.is_requests else b"ok"
            assert sender.get(origin.url).body == expected
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert sender.get(origin.url).body == b"ok"
