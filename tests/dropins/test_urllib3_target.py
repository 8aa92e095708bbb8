"""Named targets, and what the environment says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import urllib3 as native

import tieline
from tests.dropins.http_script import OK, Script, answer
from tieline import Policy, urllib3
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Refuse

if TYPE_CHECKING:
    from tieline.testing import ManualClock

pytestmark = pytest.mark.usefixtures("clock")

BILLING = "TIELINE_TARGETS__BILLING__"


@pytest.fixture
def billing(monkeypatch: pytest.MonkeyPatch) -> Script:
    """A server that the environment calls billing, with a secret header for it."""
    with Script(OK) as server:
        monkeypatch.setenv(f"{BILLING}URL", f"{server.url}/v1?x=1")
        monkeypatch.setenv(f"{BILLING}HEADERS__X_API_KEY", "s3cret")
        yield server


@pytest.mark.parametrize("url", ["pay", "/pay", "/pay?to=http://a"])
def test_relative_urls_are_below_the_target(billing: Script, url: str) -> None:
    """Code names what it wants, and the environment where that is."""
    urllib3.PoolManager(target="billing").request("GET", url)
    assert billing.requests[0].startswith(b"GET /v1/pay")


def test_headers_go_to_the_target_alone(billing: Script) -> None:
    """Not to another origin, named outright or reached by a redirect; the request's own win."""
    manager = urllib3.PoolManager(target="billing")
    with Script(OK) as other:
        manager.request("GET", f"{other.url}/x")
        billing._steps.appendleft(answer(307, f"Location: {other.url}/y"))  # noqa: SLF001
        manager.request("GET", "/x")
    assert b"s3cret" not in b"".join(other.requests)
    assert len(other.requests) == 2
    assert b"X-Api-Key: s3cret" in billing.requests[0]
    manager.request("GET", "/x", headers={"x-api-key": "mine"})
    assert b"s3cret" not in billing.requests[-1]


def test_a_pool_of_the_target_has_its_headers(billing: Script) -> None:
    """A pool names its host itself; where that is the target's, it is told the same."""
    urllib3.HTTPConnectionPool(billing.host, billing.port, target="billing").request("GET", "/x")
    assert b"X-Api-Key: s3cret" in billing.requests[0]


def test_the_policy_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument wins over the target's variable, that over the default's."""
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "5")
    monkeypatch.setenv("TIELINE_BREAKER", "none")
    monkeypatch.setenv(f"{BILLING}RETRY__MAX_ATTEMPTS", "2")
    once = Policy(retry=tieline.Retry(max_attempts=1), breaker=None)
    attempts = []
    with FaultServer(Refuse()) as server:
        for manager in (
            urllib3.PoolManager(),
            urllib3.PoolManager(target="billing"),
            urllib3.PoolManager(target="billing", policy=once),
        ):
            with pytest.raises(tieline.Refused) as caught:
                manager.request("GET", f"http://{server.host}:{server.port}/x")
            attempts.append(len(caught.value.attempts))
    assert attempts == [5, 2, 1]


def test_a_call_time_from_the_environment_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not stretched by a longer timeout of the caller's, as our default is."""
    monkeypatch.setenv("TIELINE_CALL_TIMEOUT", "3")
    pool = urllib3.HTTPConnectionPool("h", timeout=60)
    assert pool._tieline_timings.of(pool.timeout).call == 3.0  # noqa: SLF001


def test_nonsense_is_told_when_the_manager_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error with every mistake, which is urllib3's LocationParseError too."""
    monkeypatch.setenv(f"{BILLING}CALL_TIMEOUT", "soon")
    with pytest.raises(tieline.ConfigError, match="CALL_TIMEOUT") as caught:
        urllib3.PoolManager(target="billing")
    assert isinstance(caught.value, urllib3.exceptions.LocationParseError)


def test_the_switch(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    """`TIELINE_ENABLED=0`: urllib3 by itself, whatever it does."""
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    with FaultServer(Fin(after=1)) as server:
        for module in (native, urllib3):
            with pytest.raises(native.exceptions.MaxRetryError) as caught:
                module.PoolManager().request("GET", f"http://{server.host}:{server.port}/x")
            assert type(caught.value) is native.exceptions.MaxRetryError
        assert server.accepted == 8
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        assert type(pool._new_conn()) is native.connection.HTTPConnection  # noqa: SLF001
    with pytest.raises(native.exceptions.LocationParseError) as caught:
        urllib3.PoolManager().request("GET", "http://[::/")
    assert type(caught.value) is native.exceptions.LocationParseError
