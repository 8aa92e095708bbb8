"""A real Consul agent that answers, is stopped, killed, frozen, cut off, or loses its leader.

The failures are told by phase and kind as a client would tell them that speaks HTTP and nothing
else: the phase is the step that failed, the kind is that of the rules for what the system says.
"""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from integration.services.consul import TIMEOUT
from tieline import Kind, Phase
from tieline.rules import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.services.consul import Answer, ConsulService
    from integration.services.consul_container import ConsulCluster

pytestmark = pytest.mark.integration

HEALTH = "/v1/health/service/orders"
AT_ONCE = 3.0
# How long a server holds a question back, in the hope that a leader is elected; half a second less.
HELD = 6.5


def register(consul: ConsulService) -> None:
    """A service `orders` that passes."""
    check = {"CheckID": "alive", "TTL": "10m", "Status": "passing"}
    service = {"Name": "orders", "ID": "orders-1", "Port": 5432, "Check": check}
    assert consul.ask("/v1/agent/service/register", method="PUT", body=service).status == 200
    wait_until(lambda: statuses(consul.ask(HEALTH)) == ["passing"])


def statuses(answer: Answer) -> list[str]:
    """Of the service's own check, for each instance."""
    assert answer.status == 200, answer
    return [
        check["Status"]
        for instance in answer.value
        for check in instance["Checks"]
        if check["ServiceName"] == "orders"
    ]


def failure(consul: ConsulService, timeout: float = TIMEOUT) -> tuple[Phase, Kind]:
    """How a question fails: the step, and what the system said."""
    client = http.client.HTTPConnection(*consul.address, timeout=timeout)
    phase = Phase.CONNECT
    try:
        client.connect()
        phase = Phase.SEND
        client.request("GET", HEALTH)
        phase = Phase.RECEIVE
        client.getresponse()
    except OSError as error:
        found = system.classify(error, phase)
        assert found is not None
        return found.phase, found.kind
    finally:
        client.close()
    raise AssertionError("it answered")


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what Consul does in its own time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def takes(least: float, most: float = AT_ONCE) -> Iterator[None]:
    """Seconds that the block takes."""
    began = time.monotonic()
    yield
    elapsed = time.monotonic() - began
    assert least <= elapsed < least + most


@contextmanager
def watched(consul: ConsulService) -> Iterator[list[Any]]:
    """A question that waits for a change; the list is what became of it, after the block."""
    index = consul.ask(HEALTH).headers["x-consul-index"]
    outcome: list[Any] = []

    def watch() -> None:
        try:
            outcome.append(consul.ask(f"{HEALTH}?index={index}&wait=60s"))
        except (OSError, http.client.HTTPException) as error:
            outcome.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    # Long enough to be asked and answered, if it were not one that waits.
    time.sleep(0.2)
    assert not outcome
    yield outcome
    thread.join()


@pytest.fixture
def orders(consul: ConsulService) -> Iterator[ConsulService]:
    """The agent, with a service that passes."""
    register(consul)
    yield consul
    consul.restore()
    consul.ask("/v1/agent/service/deregister/orders-1", method="PUT")


def test_it_answers(orders: ConsulService) -> None:
    """Health comes at once with an index and word of a leader, and a change wakes who waits."""
    with takes(0):
        answer = orders.ask(HEALTH)
    assert statuses(answer) == ["passing"]
    assert answer.headers["x-consul-knownleader"] == "true"
    with watched(orders) as outcome, takes(0):
        orders.ask("/v1/agent/check/fail/alive", method="PUT")
        wait_until(lambda: bool(outcome))
    (woken,) = outcome
    assert statuses(woken) == ["critical"]
    assert int(woken.headers["x-consul-index"]) > int(answer.headers["x-consul-index"])
    assert "orders-1" in orders.log()


def test_it_is_stopped(orders: ConsulService) -> None:
    """Who waits is answered without a change, then the port refuses; the service outlasts it."""
    with watched(orders) as outcome, takes(0):
        orders.stop()
    (answer,) = outcome
    assert statuses(answer) == ["passing"]
    with takes(0):
        assert failure(orders) == (Phase.CONNECT, Kind.REFUSED)
    assert "shutdown complete" in orders.log()
    orders.start()
    wait_until(lambda: statuses(orders.ask(HEALTH)) == ["passing"])


def test_it_is_killed(orders: ConsulService) -> None:
    """Who waits is cut off at once, then the port refuses; the service outlasts it."""
    before = orders.log().count("shutdown complete")
    with watched(orders) as outcome, takes(0):
        orders.kill()
    (cut,) = outcome
    assert isinstance(cut, http.client.RemoteDisconnected)
    with takes(0):
        assert failure(orders) == (Phase.CONNECT, Kind.REFUSED)
    assert orders.log().count("shutdown complete") == before
    orders.start()
    wait_until(lambda: bool(statuses(orders.ask(HEALTH))))


def test_it_is_frozen(orders: ConsulService) -> None:
    """It takes the question and says nothing, for as long as one cares to wait."""
    orders.pause()
    with takes(0.4):
        assert failure(orders, 0.4) == (Phase.RECEIVE, Kind.TIMEOUT)
    orders.resume()
    assert statuses(orders.ask(HEALTH)) == ["passing"]


@pytest.mark.cut
def test_it_is_cut_off(orders: ConsulService) -> None:
    """It cannot be reached, for as long as one cares to wait."""
    orders.cut()
    with takes(0.4):
        assert failure(orders, 0.4) == (Phase.CONNECT, Kind.TIMEOUT)
    orders.mend()
    assert statuses(orders.ask(HEALTH)) == ["passing"]


def test_the_leader_is_killed(cluster: ConsulCluster) -> None:
    """The two others elect another one within seconds, and answer again."""
    leader = cluster.leader
    assert leader is not None
    follower, _ = (server for server in cluster.servers if server is not leader)
    elections = follower.log().count("New leader elected")
    leader.kill()
    wait_until(lambda: bool(follower.leader) and cluster.leader not in {None, leader})
    with takes(0):
        answer = follower.ask("/v1/health/service/consul")
    assert (answer.status, answer.headers["x-consul-knownleader"]) == (200, "true")
    wait_until(lambda: follower.log().count("New leader elected") > elections)


def test_no_leader_is_left(cluster: ConsulCluster) -> None:
    """One of three says 500 after 7 s, and at once, to who asks for stale data, that none leads."""
    last, *others = cluster.servers
    index = last.ask("/v1/health/service/consul").headers["x-consul-index"]
    for server in others:
        server.kill()
    wait_until(lambda: not last.leader)
    with takes(0):
        assert last.ask("/v1/status/leader").text == '""'
    with takes(0):
        stale = last.ask("/v1/health/service/consul?stale")
    assert (stale.status, stale.headers["x-consul-knownleader"]) == (200, "false")
    assert len(stale.value) == 3
    assert int(stale.headers["x-consul-lastcontact"]) > 0
    with takes(HELD, 3):
        refused = last.ask("/v1/health/service/consul")
    assert (refused.status, refused.text) == (500, "No cluster leader")
    # It has an index, which is worth nothing.
    assert int(refused.headers.get("x-consul-index", 0)) < int(index)
    assert "No cluster leader" in last.log()
    assert cluster.leader is None
    cluster.restore()
    with takes(0):
        assert last.ask("/v1/health/service/consul").status == 200
