"""`requests.Session(target=...)`: the environment says where it is, and what it is to be told."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import requests as native

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.server import Server
from tieline import requests
from tieline.requests._place import place
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "Bearer q7Zr0bX2kV9d"
BILLING = "TIELINE_TARGETS__BILLING__"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says ok."""
    with Server() as server:
        yield server


@pytest.fixture
def billing(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The target, as the environment has it: below a path of the server, with a header."""
    monkeypatch.setenv(f"{BILLING}URL", f"http://127.0.0.1:{server.port}/v2/?unused=1")
    monkeypatch.setenv(f"{BILLING}HEADERS__AUTHORIZATION", TOKEN)
    monkeypatch.setenv(f"{BILLING}HEADERS__USER_AGENT", "billing-client")
    return server


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/invoices", "/v2/invoices"),
        ("invoices/7", "/v2/invoices/7"),
        ("invoices?next=http://other/", "/v2/invoices?next=http://other/"),
        ("?page=2", "/v2/?page=2"),
        ("", "/v2/"),
    ],
)
def test_relative_urls(billing: Server, given: str, path: str) -> None:
    """What has no scheme is below the URL of the target, with or without a slash."""
    session = requests.Session(target="billing")
    session.get(given)
    session.send(session.prepare_request(requests.Request("GET", given)))
    assert [request.path for request in billing.requests] == [path, path]


def test_absolute_urls(billing: Server) -> None:
    """A whole URL is what it is; at the target's origin it has the target's headers."""
    requests.Session(target="billing").get(billing.url)
    (request,) = billing.requests
    assert request.path == "/x"
    assert request.headers["authorization"] == TOKEN


def test_headers(billing: Server) -> None:
    """They replace what requests sets by itself, and nothing that the code says."""
    session = requests.Session(target="billing")
    session.get("/a")
    session.get("/b", headers={"authorization": "mine"})
    session.headers["Authorization"] = "of the session"
    session.get("/c")
    said = [request.headers["authorization"] for request in billing.requests]
    assert said == [TOKEN, "mine", "of the session"]
    assert {request.headers["user-agent"] for request in billing.requests} == {"billing-client"}


def test_headers_go_nowhere_else(billing: Server) -> None:
    """Neither a URL of another origin nor a redirect to one takes a header of the target along."""
    with Server() as other:
        session = requests.Session(target="billing")
        session.get(other.url)
        billing.then(http.redirect(307, other.url))
        session.get("/away")
        billing.then(http.redirect(302, "/v2/here"))
        session.get("/there")
    for request in other.requests:
        assert "authorization" not in request.headers
        assert request.headers["user-agent"] != "billing-client"
    assert billing.requests[-1].path == "/v2/here"
    assert billing.requests[-1].headers["authorization"] == TOKEN


def test_an_origin_is_scheme_host_and_port(billing: Server, monkeypatch: Any) -> None:
    """A URL without its default port is the same origin as one with it; another port is another."""
    monkeypatch.setenv(f"{BILLING}URL", "https://Api.test")
    of_target = place("billing", None)
    assert of_target.holds("https://api.test:443/x")
    assert not of_target.holds("http://api.test/x")
    assert not of_target.holds("https://api.test:444/x")
    assert not of_target.holds("https://api.test@evil.test/x")
    assert not of_target.holds("https://[")


def test_a_rotated_secret(billing: Server, monkeypatch: Any, tmp_path: Path) -> None:
    """A file is read when a session is made: the next one has the new secret."""
    file = tmp_path / "token"
    monkeypatch.delenv(f"{BILLING}HEADERS__AUTHORIZATION")
    monkeypatch.setenv(f"{BILLING}HEADERS__AUTHORIZATION_FILE", str(file))
    for secret in ("one", "two"):
        file.write_text(f"{secret}\n")
        requests.Session(target="billing").get("/x")
    assert [request.headers["authorization"] for request in billing.requests] == ["one", "two"]


def test_pickles_hold_no_secret(billing: Server) -> None:
    """A session that was pickled asks the environment of the process that it comes to."""
    pickled = pickle.dumps(requests.Session(target="billing"))
    assert TOKEN.encode() not in pickled
    pickle.loads(pickled).get("/x")  # noqa: S301 - our own bytes
    assert billing.requests[-1].headers["authorization"] == TOKEN


def test_the_policy_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every client: an argument wins over the target's variable, that over the default's."""
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "5")
    monkeypatch.setenv("TIELINE_BREAKER", "none")
    attempts = []
    with FaultServer(Refuse()) as closed, ManualClock():
        url = f"http://127.0.0.1:{closed.port}/x"
        monkeypatch.setenv(f"{BILLING}URL", url)
        monkeypatch.setenv(f"{BILLING}RETRY__MAX_ATTEMPTS", "2")
        given = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None)
        for session in (
            requests.Session(),
            requests.Session(target="billing"),
            requests.Session(target="billing", policy=given),
        ):
            with pytest.raises(tieline.Refused) as caught:
                session.get(url)
            attempts.append(len(caught.value.attempts))
    assert attempts == [5, 2, 1]


def test_nonsense_is_told_when_the_session_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable with its mistake, in one error that is requests' InvalidURL too."""
    monkeypatch.setenv(f"{BILLING}URL", "billing")
    monkeypatch.setenv(f"{BILLING}CALL_TIMEOUT", "soon")
    with pytest.raises(tieline.ConfigError) as caught:
        requests.Session(target="billing")
    assert isinstance(caught.value, native.exceptions.InvalidURL)
    assert f"{BILLING}URL" in str(caught.value)
    assert f"{BILLING}CALL_TIMEOUT" in str(caught.value)


def test_the_switch(billing: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIELINE_ENABLED=0: requests as it is, at the place that the environment says."""
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    session = requests.Session(target="billing")
    billing.then(http.answer(503), http.cut())
    response = session.get("/x")
    assert (response.status_code, type(response)) == (503, native.Response)
    assert billing.requests[0].headers["authorization"] == TOKEN
    with pytest.raises(native.ConnectionError) as caught:
        session.get("/x")
    assert not isinstance(caught.value, tieline.TielineError)
    assert len(billing.requests) == 2
