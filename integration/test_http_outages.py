"""The HTTP drop-ins through the outages of a real service: what they say, and what the service saw."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests as native_requests
import urllib3 as native_urllib3

import tieline
from tests.dropins.http.clients import Client
from tieline import Kind, Phase
from tieline.testing import reset_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.services.app import AppService
    from tests.dropins.http.clients import Sender

pytestmark = pytest.mark.integration

PATIENT = tieline.Policy(
    attempt_timeout=None,
    retry=tieline.Retry(max_attempts=None),
    backoff=tieline.Backoff(initial=0.05, max=0.1),
    breaker=None,
    budget=None,
)
NATIVE = {
    "requests": native_requests.RequestException,
    "urllib3": native_urllib3.exceptions.HTTPError,
}
# What ends by itself takes less, and so does what ends on time and is seen a little later.
AT_ONCE = 3.0


class Witness:
    """What the service has noted since this began."""

    def __init__(self, service: AppService) -> None:
        self._service = service
        self._before = len(service.ledger("request"))

    def methods(self) -> list[str]:
        """The methods of the requests that arrived."""
        return [line["method"] for line in self._service.ledger("request")[self._before :]]

    def wait(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        deadline = time.monotonic() + 5
        while len(self.methods()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(autouse=True)
def fresh_targets() -> None:
    """Every breaker closed and every budget full."""
    reset_targets()


@pytest.fixture(params=["requests", "urllib3"])
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    """A session, and a pool manager, that wait an outage out."""
    with Client(request.param, ours=True).open(policy=PATIENT) as sender:
        yield sender


def lost(sender: Sender, *request: Any, **options: Any) -> tieline.TielineError:
    """The error of a request that fails."""
    with pytest.raises(tieline.TielineError) as caught:
        sender.send(*request, **options)
    assert isinstance(caught.value, NATIVE[sender.client.name])
    return caught.value


def test_a_restart_is_waited_out(http_service: AppService, sender: Sender) -> None:
    """Refused while it is down, any method is sent once it is back, and arrives once."""
    witness = Witness(http_service)
    sender.get(f"{http_service.url}/before")
    http_service.kill()
    starter = threading.Timer(0.3, http_service.start)
    starter.start()
    answer = sender.send("POST", f"{http_service.url}/after", b"once")
    starter.join()
    assert answer.status == 200
    assert witness.methods() == ["GET", "POST"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_post_that_was_sent_is_not_sent_again(
    http_service: AppService, sender: Sender, end: str
) -> None:
    """The service dies while it works: the POST may have been applied, and arrived once."""
    witness = Witness(http_service)

    def die() -> None:
        witness.wait(1)
        getattr(http_service, end)()

    dying = threading.Thread(target=die)
    dying.start()
    began = time.monotonic()
    error = lost(sender, "POST", f"{http_service.url}/wait/20", b"once", timeout=20)
    assert time.monotonic() - began < AT_ONCE + 2
    dying.join()
    http_service.start()
    assert isinstance(error, (tieline.Aborted, tieline.Reset))
    assert error.failure is not None
    assert error.failure.phase is Phase.RECEIVE
    assert error.maybe_applied
    assert len(error.attempts) == 1
    assert witness.methods() == ["POST"]


def test_a_get_that_was_sent_is_sent_again(http_service: AppService, sender: Sender) -> None:
    """The same for a GET: it is asked again when the service is back, and answered."""
    witness = Witness(http_service)

    def die() -> None:
        witness.wait(1)
        http_service.kill()
        http_service.start()

    dying = threading.Thread(target=die)
    dying.start()
    answer = sender.get(f"{http_service.url}/wait/1", timeout=20)
    dying.join()
    assert answer.status == 200
    assert witness.methods() == ["GET", "GET"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_frozen_service(http_service: AppService, sender: Sender, method: str) -> None:
    """It takes connections and says nothing: the deadline ends the call, and says where it was."""
    http_service.pause()
    began = time.monotonic()
    try:
        with tieline.deadline(1.0):
            error = lost(sender, method, f"{http_service.url}/x", timeout=0.3)
    finally:
        http_service.resume()
    assert time.monotonic() - began < AT_ONCE
    assert error.failure is not None
    assert (error.failure.phase, error.failure.kind) == (Phase.RECEIVE, Kind.TIMEOUT)
    assert (len(error.attempts) > 1) == (method == "GET")
    assert error.maybe_applied


@pytest.mark.cut
def test_a_cut_network(http_service: AppService, sender: Sender) -> None:
    """No answer to the SYN: nothing was sent, so the POST goes out when the network is back."""
    witness = Witness(http_service)
    http_service.cut()
    began = time.monotonic()
    with tieline.deadline(1.0):
        error = lost(sender, "POST", f"{http_service.url}/x", b"once", timeout=0.3)
    assert time.monotonic() - began < AT_ONCE
    assert error.failure is not None
    assert (error.failure.phase, error.failure.kind) == (Phase.CONNECT, Kind.TIMEOUT)
    assert not error.maybe_applied
    mender = threading.Timer(0.5, http_service.mend)
    mender.start()
    answer = sender.send("POST", f"{http_service.url}/x", b"once", timeout=0.3)
    mender.join()
    assert answer.status == 200
    assert witness.methods() == ["POST"]


def test_an_overloaded_service(http_service: AppService, sender: Sender) -> None:
    """503 with Retry-After: not asked sooner; and the last answer is returned."""
    witness = Witness(http_service)
    began = time.monotonic()
    with tieline.deadline(1.8):
        answer = sender.get(f"{http_service.url}/status/503/retry-after/1")
    assert 1 <= time.monotonic() - began < AT_ONCE
    assert answer.status == 503
    assert witness.methods() == ["GET", "GET"]


def test_a_kept_connection_across_a_restart(http_service: AppService, sender: Sender) -> None:
    """The connection of before the restart is dead: the next POST arrives on another one, once."""
    witness = Witness(http_service)
    sender.send("POST", f"{http_service.url}/one", b"1")
    http_service.kill()
    http_service.start()
    sender.send("POST", f"{http_service.url}/two", b"2")
    assert witness.methods() == ["POST", "POST"]
