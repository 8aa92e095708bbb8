"""Ways to a server: TLS, proxies; and what is left behind on them."""

# ruff: noqa: SLF001 - what a pool keeps is what some of these are about

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.connection import HTTPConnection

import tieline
from tests.dropins.http_script import OK, Script, answer, read_request
from tests.engine.script import run
from tieline import Policy, urllib3
from tieline.failure import Kind, Phase
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset
from tieline.urllib3._ending import Ending, ending_of
from tieline.urllib3._manager import PoolManager
from tieline.urllib3._probe import probed
from tieline.urllib3._span import UNSET, Span, Timings, span_var

if TYPE_CHECKING:
    from tieline.testing.faults import Connection, Fault

pytestmark = pytest.mark.usefixtures("clock")

ONCE = Policy(retry=tieline.Retry(max_attempts=1))


# --- proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_proxy_is_said_to_be_the_proxy(scheme: str) -> None:
    """Endpoint, words and hint are the proxy's, without its credentials."""
    with FaultServer(Refuse()) as server:
        proxy = urllib3.ProxyManager(f"http://me:s3cret@{server.host}:{server.port}", policy=ONCE)
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            proxy.request("POST", f"{scheme}://origin.test/x")
    error = caught.value
    assert isinstance(error, tieline.Refused)
    assert isinstance(error.reason, urllib3.exceptions.ProxyError)
    assert (error.endpoint.host, error.endpoint.port) == (server.host, server.port)
    assert f"refused by the proxy {server.host}:{server.port}" in str(error)
    assert "proxy" in error.hint
    assert error.target.startswith(f"{scheme}://origin.test:")
    assert "s3cret" not in f"{error}{error.__notes__}{error.__cause__}"


@pytest.mark.parametrize(
    ("status", "ours", "attempts"),
    [
        (407, tieline.AuthenticationFailed, 1),
        (503, tieline.TooBusy, 3),
        (403, tieline.Declined, 1),
    ],
)
def test_a_proxy_that_opens_no_tunnel(status: int, ours: type, attempts: int) -> None:
    """It has answered; the server behind it was never reached."""
    with Script(answer(status)) as server:
        proxy = urllib3.ProxyManager(server.url)
        with pytest.raises(ours) as caught:
            proxy.request("POST", "https://origin.test/x")
    assert isinstance(caught.value, urllib3.exceptions.MaxRetryError)
    assert caught.value.failure.phase is Phase.HANDSHAKE
    assert len(caught.value.attempts) == attempts
    assert caught.value.endpoint.port == server.port
    assert not caught.value.maybe_applied


def test_a_tunnel_to_a_server_that_cuts() -> None:
    """Behind the proxy it is the server's own failure."""
    established = b"HTTP/1.1 200 Yes\r\n\r\n"

    def serve(connection: Connection) -> None:
        read_request(connection)
        connection.send(established)
        connection.read(1)

    with FaultServer(serve) as server:
        proxy = urllib3.ProxyManager(f"http://{server.host}:{server.port}", policy=ONCE)
        with pytest.raises(tieline.TLSFailed) as caught:
            proxy.request("GET", "https://origin.test/x")
    assert caught.value.endpoint == ("https", "origin.test", 443)
    assert caught.value.failure.phase is Phase.TLS


def test_what_a_proxy_is_told_is_no_request() -> None:
    """The bytes that open a tunnel, and the answer to them, are not the request's."""

    def serve(connection: Connection) -> None:
        read_request(connection)
        connection.send(b"HTTP/1.1 200 Yes\r\n\r\n")
        connection.read(1)

    with FaultServer(serve) as server:
        connection = probed(HTTPConnection)(server.host, server.port)
        connection.set_tunnel("origin.test", 80)
        span = Span(Timings(ONCE, strict=True).of(UNSET), None, 0.0)
        token = span_var.set(span)
        try:
            connection.connect()
        finally:
            span_var.reset(token)
            connection.close()
    assert (span.phase, span.sent, span.answered, span.reused) == (Phase.SEND, 0, False, False)


def test_each_origin_behind_a_proxy_has_a_state() -> None:
    """One pool leads to all of them, and a proxy that is dead stops no direct call."""
    with Script(OK) as server:
        proxy = urllib3.ProxyManager(server.url)
        for host in ("a.test", "b.test"):
            assert proxy.request("GET", f"http://{host}/x").status == 200
    assert b"GET http://a.test/x" in server.requests[0]
    with FaultServer(Refuse()) as dead:
        proxy = urllib3.ProxyManager(f"http://{dead.host}:{dead.port}")
        for _ in range(3):
            with suppress(tieline.TielineError):
                proxy.request("GET", f"http://{server.host}:1/x")
        with pytest.raises(tieline.CircuitOpen):
            proxy.request("GET", f"http://{server.host}:1/x")
        with pytest.raises(tieline.Refused):
            proxy.request("GET", "http://other.test/x")
        with pytest.raises(tieline.Refused):
            urllib3.PoolManager().request("GET", f"http://{server.host}:1/x")


# --- TLS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"), [(Fin(after=1), Kind.EOF), (Garbage(b"HTTP/1.1 400 X\r\n\r\n", 1), Kind.TLS)]
)
def test_a_handshake_that_fails(fault: Fault, kind: Kind) -> None:
    """Nothing of the request was sent, and the class of urllib3 is its SSLError's."""
    with FaultServer(fault) as server:
        pool = urllib3.HTTPSConnectionPool(server.host, server.port, policy=ONCE)
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            pool.request("POST", "/x")
    assert isinstance(caught.value, tieline.TLSFailed)
    assert isinstance(caught.value.reason, urllib3.exceptions.SSLError)
    assert caught.value.failure.kind is kind
    assert not caught.value.failure.sent


# --- for whoever builds on the pools ---------------------------------------------------------------


class Other(PoolManager):
    """Pools for a client that makes something of urllib3's errors first."""

    _tieline_client = "requests"


def test_native_errors_with_what_is_known() -> None:
    """They are urllib3's own, and carry how the call ended; fusing is left to that client."""
    with FaultServer(Refuse()) as server, pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
        Other().request("GET", f"http://{server.host}:{server.port}/x")
    assert type(caught.value) is urllib3.exceptions.MaxRetryError
    ending = ending_of(caught.value)
    assert isinstance(ending, Ending)
    error = ending.fused(OSError("theirs"), "requests")
    assert isinstance(error, tieline.Refused)
    assert len(error.attempts) == 3
    assert ending_of(ValueError()) is None


def test_a_verdict_without_an_attempt() -> None:
    """There is nothing native to raise: so it is ours already, and still carries its ending."""
    with Script(OK) as server, tieline.deadline(1.0) as limit:
        limit._at = 0.0
        with pytest.raises(tieline.DeadlineExceeded) as caught:
            Other().request("GET", f"{server.url}/x")
    assert ending_of(caught.value) is not None


# --- what is left behind ---------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


def resources() -> tuple[int, int]:
    """Descriptors and threads."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@linux
@pytest.mark.parametrize(
    "fault",
    [Refuse(), Fin(after=1), Reset(after=1), Garbage(b"nonsense\r\n", after=1)],
    ids=["refuse", "fin", "reset", "garbage"],
)
def test_failures_leave_nothing(fault: Fault) -> None:
    """Two hundred failed requests hold as many descriptors and threads as one."""
    policy = Policy(breaker=None, retry=tieline.Retry(max_attempts=1))
    with FaultServer(fault) as server, urllib3.PoolManager(policy=policy) as manager:

        def fail() -> None:
            with suppress(tieline.TielineError):
                manager.request("GET", f"http://{server.host}:{server.port}/x")

        fail()
        gc.collect()
        gc.disable()
        try:
            before = resources()[0]
            for _ in range(200):
                fail()
            limit = time.monotonic() + 5.0
            # The server's own ends close a moment later.
            while resources()[0] > before and time.monotonic() < limit:
                os.sched_yield()
            assert resources()[0] <= before
        finally:
            gc.enable()


@linux
def test_successes_leave_nothing() -> None:
    """A manager that is closed holds no socket; an open one holds those that it keeps."""
    with Script(OK) as server:
        with urllib3.PoolManager() as manager:
            manager.request("GET", f"{server.url}/x")
        del manager
        gc.collect()
        before = resources()
        for _ in range(20):
            with urllib3.PoolManager() as manager:
                manager.request("GET", f"{server.url}/x")
            del manager
        gc.collect()
        assert resources()[0] <= before[0] + 20  # the server's own ends, at most


def test_errors_are_in_no_cycle() -> None:
    """What failed goes when nobody holds it, and its sockets and frames with it."""
    with FaultServer(Reset(after=1)) as server, urllib3.PoolManager() as manager:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(tieline.Reset) as caught:
                manager.request("GET", f"http://{server.host}:{server.port}/x")
            alive = weakref.ref(caught.value), weakref.ref(caught.value.__cause__)
            del caught
            assert [each() for each in alive] == [None, None]
        finally:
            gc.enable()


def test_a_forgotten_answer_is_closed() -> None:
    """Also one that came after failures: they do not keep it."""
    later = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    with Script(lambda _: True, answer(503), later) as server, urllib3.PoolManager() as manager:
        gc.collect()
        gc.disable()
        try:
            response = manager.request("GET", f"{server.url}/x", preload_content=False)
            alive = weakref.ref(response)
            del response
            assert alive() is None
        finally:
            gc.enable()


def test_managers_forget_keys_that_are_no_longer_right() -> None:
    """The key of a pool is remembered; a changed setting makes another pool, as it does natively."""
    manager = urllib3.PoolManager(maxsize=1)
    first = manager.connection_from_url("http://h/")
    assert manager.connection_from_url("http://h/") is first
    manager.connection_pool_kw["maxsize"] = 2
    second = manager.connection_from_url("http://h/")
    assert second is not first
    assert manager.connection_from_host("h", pool_kwargs={"maxsize": 3}) is not second
    manager.clear()
    assert manager.connection_from_url("http://h/") is not second


def test_num_pools_is_kept() -> None:
    """The pool used longest ago is let go, also when the others were found by memory."""
    manager = urllib3.PoolManager(num_pools=2)
    first, _ = manager.connection_from_url("http://a/"), manager.connection_from_url("http://b/")
    assert manager.connection_from_url("http://a/") is first
    manager.connection_from_url("http://c/")
    assert manager.connection_from_url("http://a/") is first
    assert len(manager.pools) == 2


def test_the_import_is_light() -> None:
    """What a call needs that goes wrong is not loaded before one does."""
    source = """
        import sys
        from tieline import urllib3
        late = {"asyncio", "tieline.events", "tieline.policy.call", "tieline.urllib3._run"}
        assert not late & set(sys.modules), late & set(sys.modules)
        """
    done = run(source)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_share_a_pool() -> None:
    """Eight threads through one pool of one connection, each with its own answer."""
    with Script(OK) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port, maxsize=1, block=True)
        seen: list[Any] = []

        def work() -> None:
            seen.extend(pool.request("GET", "/x").data for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [b"ok"] * 160
    assert server.server.accepted == 1


def test_settings_of_a_pool_are_kept_by_its_subclass() -> None:
    """A subclass may have a signature of its own."""

    class Mine(urllib3.HTTPConnectionPool):
        def __init__(self, host: str) -> None:
            super().__init__(host, 80, target="mine")

    assert Mine("h")._tieline_origin.state.name == "mine"
