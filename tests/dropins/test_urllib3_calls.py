"""Calls through the urllib3 drop-in: what is repeated, what is raised, what is returned."""

# ruff: noqa: SLF001 - what a pool keeps is what some of these are about

from __future__ import annotations

import copy
import io
import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
import urllib3 as native

import tieline
from tests.dropins.http_script import OK, Script, answer
from tieline import urllib3
from tieline.failure import Kind, Phase
from tieline.testing import FaultServer, RecordingListener, simulate
from tieline.testing.faults import Fin, Refuse, Reset
from tieline.urllib3 import _body, _once, _probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.testing import ManualClock
    from tieline.testing.faults import Connection

pytestmark = pytest.mark.usefixtures("clock")

BUSY = answer(503)


def fin(_connection: Connection) -> bool:
    """End the connection instead of an answer."""
    return True


def rst(connection: Connection) -> bool:
    """Reset the connection instead of an answer."""
    connection.reset()
    return True


def gone(_connection: Connection) -> bool:
    """Answer nothing, and keep the connection."""
    return False


def shown(error: BaseException) -> str:
    """Every text of an error and of what led to it, without the lines of source in between."""
    lines = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        part = waiting.pop()
        if part is not None:
            lines += [str(part), repr(part), *getattr(part, "__notes__", ())]
            waiting += [part.__cause__, part.__context__, getattr(part, "reason", None)]
    return "\n".join(lines)


@pytest.fixture
def manager() -> Iterator[urllib3.PoolManager]:
    """A manager that is closed afterwards."""
    with urllib3.PoolManager() as made:
        yield made


# --- repeating -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [fin, rst, BUSY, answer(429), answer(502), answer(504)])
def test_idempotent_requests_are_repeated(manager: urllib3.PoolManager, step: Any) -> None:
    """Lost on the way, or answered "later": a GET is sent again."""
    with Script(step, step, OK) as server:
        response = manager.request("GET", f"{server.url}/x")
        assert (response.status, response.data) == (200, b"ok")
    assert len(server.requests) == 3
    assert [entry.method for entry in response.retries.history] == ["GET", "GET"]


@pytest.mark.parametrize("step", [fin, rst])
def test_others_are_not(manager: urllib3.PoolManager, step: Any) -> None:
    """A POST that may have been applied is raised, as urllib3 raises it, and sent once."""
    with Script(step) as server, pytest.raises(urllib3.exceptions.ProtocolError) as caught:
        manager.request("POST", f"{server.url}/x", body=b"data")
    assert len(server.requests) == 1
    assert isinstance(caught.value, tieline.ConnectionLost)
    assert caught.value.maybe_applied


def test_post_with_a_key(manager: urllib3.PoolManager) -> None:
    """Who sends an Idempotency-Key has a server that applies it once."""
    with Script(fin, OK) as server:
        manager.request("POST", f"{server.url}/x", body=b"1", headers={"Idempotency-Key": "7"})
    assert server.bodies == [b"1", b"1"]


def test_post_by_the_word_of_the_caller(manager: urllib3.PoolManager) -> None:
    """`tieline.idempotent()` says it for a block."""
    with Script(fin, OK) as server, tieline.idempotent():
        manager.request("POST", f"{server.url}/x", body=b"1")
    assert len(server.requests) == 2


def test_post_that_was_never_sent(manager: urllib3.PoolManager) -> None:
    """A refused connection is tried again whatever the method."""
    with FaultServer(Refuse()) as server:
        events = RecordingListener()
        with events, pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            manager.request("POST", f"http://{server.host}:{server.port}/x", body=b"1")
    assert isinstance(caught.value, tieline.Refused)
    assert len(caught.value.attempts) == 3
    assert not caught.value.maybe_applied


def test_the_last_answer_is_returned(manager: urllib3.PoolManager) -> None:
    """When attempts run out on answers, the caller gets the last of them, unread."""
    with Script(BUSY, BUSY, answer(503, body=b"later")) as server:
        response = manager.request("GET", f"{server.url}/x", preload_content=False)
        assert (response.status, response.read()) == (503, b"later")
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501])
def test_other_answers_are_returned_at_once(manager: urllib3.PoolManager, status: int) -> None:
    """500 is not repeated, and neither is what the server means."""
    with Script(answer(status)) as server:
        assert manager.request("GET", f"{server.url}/x").status == status
    assert len(server.requests) == 1


def test_retry_after_is_a_floor(manager: urllib3.PoolManager, clock: ManualClock) -> None:
    """The wait is what the server asks for, at least."""
    before = clock.now()
    with Script(answer(503, "Retry-After: 7"), OK) as server:
        manager.request("GET", f"{server.url}/x")
    assert 7 <= clock.now() - before < 10


def test_retry_after_beyond_the_deadline(manager: urllib3.PoolManager, clock: ManualClock) -> None:
    """A wait that does not fit is not begun: the answer itself comes back."""
    before = clock.now()
    with Script(answer(503, "Retry-After: 60"), OK) as server:
        assert manager.request("GET", f"{server.url}/x").status == 503
    assert clock.now() == before


def test_malformed_retry_after(manager: urllib3.PoolManager) -> None:
    """urllib3 raises InvalidHeader out of a plain GET; we ignore it."""
    with Script(answer(503, "Retry-After: banana"), OK) as server:
        assert manager.request("GET", f"{server.url}/x", retries=3).status == 200


def test_breaker_and_budget(manager: urllib3.PoolManager, clock: ManualClock) -> None:
    """A server that fails is left alone; what is raised then is what urllib3 raises for it."""
    with Script(fin) as server:
        for _ in range(2):
            with pytest.raises(tieline.Aborted):
                manager.request("GET", f"{server.url}/x")
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            manager.request("GET", f"{server.url}/x?token=s3cret")
        assert len(server.requests) == 5
        assert isinstance(caught.value, tieline.CircuitOpen)
        assert caught.value.url == "/x?token=s3cret"
        assert caught.value.reason is None
        assert caught.value.pool.host == server.host
        assert "s3cret" not in str(caught.value)
        clock.advance(2.0)
        server._steps.append(OK)  # the server has recovered
        server._steps.popleft()
        assert manager.request("GET", f"{server.url}/x").status == 200


def test_a_path_is_no_key(manager: urllib3.PoolManager) -> None:
    """Scheme, host and port are what has a breaker."""
    with Script(OK) as server:
        for path in ("/a", "/b?c"):
            manager.request("GET", server.url + path)
        (pool,) = (manager.pools[key] for key in manager.pools.keys())  # noqa: SIM118
    assert pool._tieline_origin.state.name == f"http://{server.host}:{server.port}"


def test_targets_share_a_state(manager: urllib3.PoolManager) -> None:
    """Two pools of one target have one budget; without a name each origin has its own."""
    one, two = (urllib3.HTTPConnectionPool(host, 80, target="t") for host in ("a", "b"))
    assert one._tieline_origin.state is two._tieline_origin.state
    assert one._tieline_origin.lane is not two._tieline_origin.lane
    other = urllib3.HTTPConnectionPool("a", 80)
    assert other._tieline_origin.state is not one._tieline_origin.state


def test_guards_around(manager: urllib3.PoolManager) -> None:
    """What was sent inside a guarded function forbids to repeat that."""
    with Script(OK) as server:
        calls = []

        @tieline.guard("outer")
        def job() -> None:
            calls.append(manager.request("POST", f"{server.url}/x").status)
            raise ConnectionRefusedError

        with pytest.raises(tieline.Refused, match="may have been applied"):
            job()
    assert calls == [200]


def test_simulated_failures(manager: urllib3.PoolManager) -> None:
    """`simulate` fails the next attempts of this client."""
    with Script(OK) as server, simulate(urllib3, tieline.Refused, times=2):
        assert manager.request("GET", f"{server.url}/x").status == 200
    assert len(server.requests) == 1


# --- a Retry of the caller's -----------------------------------------------------------------------


@pytest.mark.parametrize("retries", [2, native.Retry(2), native.Retry(total=None, read=2)])
def test_theirs_decides_how_often(manager: urllib3.PoolManager, retries: Any) -> None:
    """As many attempts as it says, and its own history."""
    with Script(fin) as server, pytest.raises(urllib3.exceptions.MaxRetryError):
        manager.request("GET", f"{server.url}/x", retries=retries)
    assert len(server.requests) == 3


def test_theirs_may_forbid_any(manager: urllib3.PoolManager) -> None:
    """`retries=False` raises the bare error, and follows no redirect."""
    with Script(fin) as server, pytest.raises(urllib3.exceptions.ProtocolError):
        manager.request("GET", f"{server.url}/x", retries=False)
    with Script(answer(302, "Location: /y")) as server:
        assert manager.request("GET", f"{server.url}/x", retries=False).status == 302
    assert len(server.requests) == 1


def test_theirs_names_statuses(manager: urllib3.PoolManager) -> None:
    """`status_forcelist` repeats what we would not, and ends in MaxRetryError as urllib3's does."""
    retries = native.Retry(2, status_forcelist=[500])
    broken = answer(500, body=b"sorry")
    with Script(broken) as server, pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
        url = f"{server.url}/x?key=s3cret"
        manager.request("GET", url, retries=retries, preload_content=False)
    assert len(server.requests) == 3
    assert server.server.accepted == 1
    assert isinstance(caught.value.reason, urllib3.exceptions.ResponseError)
    assert isinstance(caught.value, tieline.Declined)
    assert "s3cret" not in shown(caught.value)


def test_theirs_may_return_the_answer(manager: urllib3.PoolManager) -> None:
    """`raise_on_status=False` returns it; `retries` on it has counted."""
    retries = native.Retry(1, status_forcelist=[503], raise_on_status=False)
    with Script(BUSY) as server:
        response = manager.request("GET", f"{server.url}/x", retries=retries)
    assert (response.status, len(server.requests)) == (503, 2)
    assert [entry.status for entry in response.retries.history] == [503]


def test_theirs_does_not_want_ours(manager: urllib3.PoolManager) -> None:
    """A status that we would repeat, and their settings would not, is returned."""
    with Script(BUSY) as server:
        assert manager.request("GET", f"{server.url}/x", retries=3).status == 503
    assert len(server.requests) == 1


def test_theirs_names_methods(manager: urllib3.PoolManager) -> None:
    """Who lists POST has said that it may be repeated."""
    retries = native.Retry(1, allowed_methods=["POST"])
    with Script(fin, OK) as server:
        manager.request("POST", f"{server.url}/x", retries=retries, body=b"1")
    assert len(server.requests) == 2


def test_theirs_may_hope_where_we_do_not(manager: urllib3.PoolManager) -> None:
    """What answers nonsense is asked as often as they say, unless it may have been applied."""
    with Script(lambda connection: connection.send(b"nonsense\r\n\r\n") or True) as server:
        for method in ("GET", "POST"):
            with pytest.raises(tieline.BadAnswer):
                manager.request(method, f"{server.url}/x", retries=2)
    assert len(server.requests) == 4


def test_theirs_has_a_class_of_its_own(manager: urllib3.PoolManager) -> None:
    """A subclass that overrides `increment` is asked once for each outcome."""
    seen: list[str] = []

    class Mine(native.Retry):
        def increment(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(type(kwargs.get("error") or (args[3] if len(args) > 3 else None)).__name__)
            return super().increment(*args, **kwargs)

    with Script(fin, OK) as server:
        response = manager.request("GET", f"{server.url}/x", retries=Mine(3))
    assert seen == ["ProtocolError"]
    assert type(response.retries) is Mine
    assert len(server.requests) == 2


def test_theirs_waits_longer(manager: urllib3.PoolManager, clock: ManualClock) -> None:
    """The wait is the longer of both."""
    before = clock.now()
    with Script(fin, fin, OK) as server:
        manager.request("GET", f"{server.url}/x", retries=native.Retry(3, backoff_factor=4))
    assert clock.now() - before >= 8


def test_the_pool_may_have_one(manager: urllib3.PoolManager) -> None:
    """Given to the constructor it holds for every call."""
    with (
        Script(fin) as server,
        urllib3.PoolManager(retries=1) as mine,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        mine.request("GET", f"{server.url}/x")
    assert len(server.requests) == 2


# --- redirects and bodies --------------------------------------------------------------------------

REDIRECT = answer(307, "Location: /y")


@pytest.mark.parametrize("direct", [True, False], ids=["pool", "manager"])
@pytest.mark.parametrize("retries", [None, native.Retry(5)])
def test_redirects(manager: urllib3.PoolManager, direct: bool, retries: Any) -> None:
    """They are followed and counted as urllib3 does: three at most."""
    with Script(REDIRECT, REDIRECT, OK) as server:
        client: Any = urllib3.connection_from_url(server.url) if direct else manager
        response = client.request("GET", "/x" if direct else f"{server.url}/x", retries=retries)
    assert response.status == 200
    assert [entry.redirect_location for entry in response.retries.history] == ["/y", "/y"]
    with Script(REDIRECT) as server:
        client = urllib3.connection_from_url(server.url) if direct else manager
        with pytest.raises(urllib3.exceptions.MaxRetryError, match="redirect") as caught:
            client.request("GET", "/x?token=s3cret" if direct else f"{server.url}/x?token=s3cret")
    assert len(server.requests) == 4
    assert isinstance(caught.value.reason, urllib3.exceptions.ResponseError)
    assert "s3cret" not in shown(caught.value)


@pytest.mark.parametrize(("asked", "waited"), [(7, 7), (60, 0)])
def test_a_redirect_may_ask_for_patience(asked: int, waited: int, clock: ManualClock) -> None:
    """A pool waits for it as urllib3's does, but no longer than a call may take."""
    later = answer(307, "Location: /y", f"Retry-After: {asked}")
    before = clock.now()
    with Script(later, OK) as server:
        assert urllib3.connection_from_url(server.url).request("GET", "/x").status == 200
    assert clock.now() - before == waited


@pytest.mark.parametrize("direct", [True, False], ids=["pool", "manager"])
def test_a_hop_that_fails_is_translated_once(manager: urllib3.PoolManager, direct: bool) -> None:
    """What comes after a redirect has its own attempts, and its error passes the first hop as it is."""
    with Script(REDIRECT, fin) as server:
        client: Any = urllib3.connection_from_url(server.url) if direct else manager
        with pytest.raises(tieline.Aborted) as caught:
            client.request("GET", "/x" if direct else f"{server.url}/x")
    assert len(server.requests) == 4
    assert len(caught.value.attempts) == 3
    assert not isinstance(caught.value.__cause__, tieline.TielineError)


def test_a_hop_has_the_last_word(manager: urllib3.PoolManager) -> None:
    """A pool returns what the last hop has come to, and begins nothing again."""
    with Script(REDIRECT, BUSY) as server:
        assert urllib3.connection_from_url(server.url).request("GET", "/x").status == 503
    assert len(server.requests) == 4


def test_an_earlier_hop_counts_as_sent(manager: urllib3.PoolManager) -> None:
    """A POST that was redirected to a refused port was sent: it is not tried again."""
    with FaultServer(Refuse()) as dead:
        away = answer(307, f"Location: http://{dead.host}:{dead.port}/y")
        with Script(away) as server, pytest.raises(tieline.Refused) as caught:
            manager.request("POST", f"{server.url}/x", body=b"1")
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("body", [b"data", "data", bytearray(b"data"), memoryview(b"data")])
def test_plain_bodies_are_sent_again(manager: urllib3.PoolManager, body: Any) -> None:
    """Bytes and text stay what they are."""
    with Script(fin, REDIRECT, OK) as server:
        manager.request("PUT", f"{server.url}/x", body=body)
    assert server.bodies == [b"data"] * 3


def test_files_are_sent_from_where_they_began(manager: urllib3.PoolManager) -> None:
    """After a failure, and after a redirect, where urllib3's manager sends an empty body."""
    body = io.BytesIO(b"--data")
    body.seek(2)
    headers = {"Content-Length": "4"}
    with Script(fin, REDIRECT, fin, OK) as server:
        manager.request("PUT", f"{server.url}/x", body=body, headers=headers)
    assert server.bodies == [b"data"] * 4


@pytest.mark.parametrize("made", [lambda: iter([b"da", b"ta"]), lambda: (x for x in [b"data"])])
@pytest.mark.parametrize("step", [fin, BUSY])
def test_iterators_are_sent_once(manager: urllib3.PoolManager, made: Any, step: Any) -> None:
    """What an iterator gave is gone: the failure is raised, or the answer returned."""
    with Script(step, OK) as server:
        if step is fin:
            with pytest.raises(tieline.ConnectionLost):
                manager.request("PUT", f"{server.url}/x", body=made())
        else:
            assert manager.request("PUT", f"{server.url}/x", body=made()).status == 503
    assert len(server.requests) == 1


@pytest.mark.parametrize("direct", [True, False], ids=["pool", "manager"])
def test_iterators_are_not_redirected(manager: urllib3.PoolManager, direct: bool) -> None:
    """urllib3 would send an empty body to the new place, and call that a success."""
    with Script(REDIRECT, OK) as server:
        client: Any = urllib3.connection_from_url(server.url) if direct else manager
        with pytest.raises(urllib3.exceptions.UnrewindableBodyError):
            client.request("PUT", "/x" if direct else f"{server.url}/x", body=iter([b"1"]))
    assert len(server.requests) == 1


def test_iterators_that_nobody_touched_are_still_whole(manager: urllib3.PoolManager) -> None:
    """A refused connection has taken nothing of it."""
    with Script(OK) as server:
        port = server.server
        port.fault, serve = Refuse(), port.fault
        listener = _Reopen(port, serve)
        tieline.add_listener(listener)
        try:
            manager.request("POST", f"{server.url}/x", body=iter([b"1"]))
        finally:
            tieline.remove_listener(listener)
    assert len(server.requests) == 1
    assert b"\r\n1\r\n" in server.requests[0]


class _Reopen:
    """Lets a server listen again as soon as an attempt has failed."""

    def __init__(self, server: FaultServer, fault: Any) -> None:
        self._server = server
        self._fault = fault

    def on_event(self, event: object) -> None:
        if isinstance(event, tieline.events.AttemptFailed):
            self._server.fault = self._fault


# --- what is raised --------------------------------------------------------------------------------


def test_errors_are_pickled_and_copied(manager: urllib3.PoolManager) -> None:
    """They go through a pool of processes, and lose no more than urllib3's own do."""
    with FaultServer(Refuse()) as server, pytest.raises(tieline.Refused) as caught:
        manager.request("GET", f"http://{server.host}:{server.port}/x")
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):  # noqa: S301
        assert isinstance(twin, tieline.Refused)
        assert isinstance(twin, urllib3.exceptions.MaxRetryError)
        assert str(twin) == str(caught.value)
        assert twin.url == "/x"
        assert len(twin.attempts) == 3


def test_truncated_head(manager: urllib3.PoolManager) -> None:
    """urllib3 takes a head that ends too early for a 200 with an empty body."""
    with (
        Script(
            lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-") or True
        ) as server,
        pytest.raises(tieline.BadAnswer) as caught,
    ):
        manager.request("GET", f"{server.url}/x")
    assert len(server.requests) == 3
    assert isinstance(caught.value, urllib3.exceptions.MaxRetryError)


def test_bad_urls(manager: urllib3.PoolManager) -> None:
    """A URL that cannot be read is a ConfigError, and shows nothing."""
    with pytest.raises(urllib3.exceptions.LocationParseError) as caught:
        manager.request("GET", "http://user:s3cret@[::/")
    assert isinstance(caught.value, tieline.ConfigError)
    assert "s3cret" not in shown(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/x?token=s3cret", "http://me:s3cret@127.0.0.1:{port}/x"]
)
def test_no_secret_is_shown(manager: urllib3.PoolManager, url: str, caplog: Any) -> None:
    """Neither the error nor its causes, notes or logs show a value of the URL."""
    with FaultServer(Refuse()) as server, pytest.raises(tieline.Refused) as caught:
        manager.request("GET", url.format(port=server.port))
    assert "s3cret" not in shown(caught.value) + caplog.text


def test_native_words_are_a_note(manager: urllib3.PoolManager) -> None:
    """What urllib3 and the system said is told as well, in one line."""
    with FaultServer(Refuse()) as server, pytest.raises(tieline.Refused) as caught:
        manager.request("GET", f"http://{server.host}:{server.port}/x?token=s3cret")
    (said,) = (note for note in caught.value.__notes__ if note.startswith("urllib3: "))
    assert "Failed to establish a new connection: [Errno 111]" in said


# --- bodies that are read later --------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"


def cut(data: bytes) -> Any:
    """Send it, and end the connection."""
    return lambda connection: connection.send(data) or True


@pytest.mark.parametrize(
    "read",
    [
        lambda response: response.read(),
        lambda response: response.data,
        lambda response: [*response.stream(2)],
        lambda response: [*response],
        lambda response: [response.read1(1000), response.read1(1000)],
        lambda response: response.readinto(bytearray(200)),
    ],
)
@pytest.mark.parametrize("head", [HEAD, CHUNKED], ids=["length", "chunked"])
def test_bodies_that_break(manager: urllib3.PoolManager, head: bytes, read: Any) -> None:
    """Whichever way it is read: one error of ours that is urllib3's too, and no repetition."""
    with Script(cut(head)) as server:
        response = manager.request("GET", f"{server.url}/x", preload_content=False)
        with pytest.raises(tieline.ConnectionLost) as caught:
            read(response)
    assert isinstance(caught.value, urllib3.exceptions.ProtocolError)
    assert caught.value.failure.phase is Phase.RECEIVE
    assert caught.value.endpoint.port == server.port
    assert len(caught.value.attempts) == 1
    assert len(server.requests) == 1


def test_bodies_that_break_count(manager: urllib3.PoolManager) -> None:
    """The breaker hears of them: five bodies in a row that break open it."""
    with Script(cut(HEAD)) as server:
        for _ in range(5):
            response = manager.request("GET", f"{server.url}/x", preload_content=False)
            with pytest.raises(tieline.ConnectionLost):
                response.read()
        with pytest.raises(tieline.CircuitOpen):
            manager.request("GET", f"{server.url}/x")


def test_responses_are_urllib3s(manager: urllib3.PoolManager) -> None:
    """`isinstance` and the class's name hold, read at once or later."""
    with Script(OK) as server:
        for preload in (True, False):
            response = manager.request("GET", f"{server.url}/x", preload_content=preload)
            assert isinstance(response, urllib3.HTTPResponse)
            assert type(response).__name__ == "HTTPResponse"
            response.drain_conn()
    assert isinstance(response, _body.Body)


def test_a_preloaded_body_that_breaks_is_repeated(manager: urllib3.PoolManager) -> None:
    """As urllib3 does: nobody has seen a part of it."""
    with Script(cut(HEAD), OK) as server:
        assert manager.request("GET", f"{server.url}/x").data == b"ok"
    assert len(server.requests) == 2


# --- kept connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", [fin, rst])
def test_kept_connection_that_dies_as_it_is_used(method: str, end: Any, clock: ManualClock) -> None:
    """An idempotent request goes out again at once; another one, which was written, does not."""
    with Script(OK, end, OK) as server, urllib3.PoolManager(maxsize=1) as manager:
        manager.request("GET", f"{server.url}/x")
        before = clock.now()
        if method == "GET":
            assert manager.request(method, f"{server.url}/x").status == 200
            assert clock.now() == before
        else:
            with pytest.raises(tieline.ConnectionLost) as caught:
                manager.request(method, f"{server.url}/x", body=b"1")
            assert caught.value.failure.kind is Kind.STALE
    assert len(server.requests) == (3 if method == "GET" else 2)


def test_kept_connection_that_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the kernel took no byte, a POST goes out again, once and at once."""
    with Script(OK) as server, urllib3.PoolManager(maxsize=1) as manager:
        manager.request("GET", f"{server.url}/x")
        (pool,) = (manager.pools[key] for key in manager.pools.keys())  # noqa: SIM118
        kept = pool.pool.queue[-1]
        # As if its end were not seen before the request, the race that a check cannot close.
        monkeypatch.setattr(type(kept), "is_connected", True)
        kept.sock.shutdown(1)
        assert manager.request("POST", f"{server.url}/x", body=b"1").status == 200
    assert server.bodies == [b"", b"1"]


def test_one_connection_is_reused(manager: urllib3.PoolManager) -> None:
    """Also after an answer that was repeated, which is read to its end, and after a redirect."""
    with Script(OK, answer(503, body=b"later"), OK, REDIRECT, OK) as server:
        for _ in range(3):
            manager.request("GET", f"{server.url}/x", preload_content=False).drain_conn()
    assert len(server.requests) == 5
    assert server.server.accepted == 1


# --- classes of connections ------------------------------------------------------------------------


def test_connections_of_a_subclass() -> None:
    """A pool's own class of connections is used, with a probe."""

    class Mine(native.connection.HTTPConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Mine

    with Script(fin, OK) as server, Pool(server.host, server.port) as pool:
        assert pool.request("GET", "/x").status == 200
        connection = pool.pool.queue[-1]
        assert isinstance(connection, Mine)
        assert isinstance(connection, _probe.Probe)
        assert type(connection).__name__ == "Mine"


def test_a_class_that_was_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put into urllib3's own pools is what ours use."""

    class Patched(native.connection.HTTPConnection):
        pass

    monkeypatch.setattr(native.HTTPConnectionPool, "ConnectionCls", Patched)
    assert isinstance(urllib3.HTTPConnectionPool("h")._new_conn(), Patched)


def test_sockets_that_send_the_whole_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyOpenSSL's have no `send`: what they are given counts as sent."""

    class Whole:
        def __init__(self, sock: Any) -> None:
            self._sock = sock

        def __getattr__(self, name: str) -> Any:
            if name == "send":
                raise AttributeError(name)
            return getattr(self._sock, name)

    connect = native.connection.HTTPConnection.connect

    def wrapped(self: Any) -> None:
        connect(self)
        self.sock = Whole(self.sock)

    monkeypatch.setattr(native.connection.HTTPConnection, "connect", wrapped)
    with Script(OK, OK, rst) as server:
        pool = urllib3.HTTPConnectionPool(server.host, server.port)
        for _ in range(2):
            assert pool.request("POST", "/x", body=b"1").status == 200
        with pytest.raises(tieline.ConnectionLost) as caught:
            pool.request("POST", "/x", body=b"1")
    assert server.bodies == [b"1"] * 3
    assert caught.value.maybe_applied


def test_a_connection_that_makes_its_own_socket() -> None:
    """Unix sockets, SOCKS: a class with a `_new_conn` of its own keeps it."""
    with Script(OK) as server:

        class Mine(native.connection.HTTPConnection):
            def _new_conn(self) -> Any:
                return socket.create_connection((server.host, server.port))

        class Pool(urllib3.HTTPConnectionPool):
            ConnectionCls: Any = Mine

        assert Pool("no.such.test").request("GET", "/x").status == 200


def test_connections_that_are_none() -> None:
    """Recorders put objects of their own in: nothing is set on them."""

    class Recorder:
        def __init__(self, **_options: Any) -> None:
            pass

        def __setattr__(self, name: str, value: object) -> None:
            raise AssertionError(name)

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls: Any = Recorder

    assert type(Pool("h")._new_conn()) is Recorder


def test_classes_that_send_by_themselves_are_left_alone() -> None:
    """Their bytes cannot be counted: so nothing is claimed of them."""

    class Other(native.connection.HTTPConnection):
        def request(self, *args: Any, **kwargs: Any) -> None:
            super().request(*args, **kwargs)

    assert _probe.probed(Other) is Other
    assert _probe.probed(object) is object


def test_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A POST over a connection that tells nothing is taken for sent."""
    monkeypatch.setattr("tieline.urllib3._pool.probed", lambda cls: cls)
    with FaultServer(Reset(after=1)) as server, pytest.raises(tieline.ConnectionLost):
        urllib3.HTTPConnectionPool(server.host, server.port).request("POST", "/x")
    assert server.accepted == 1


def test_the_stand_in_looks_like_the_default(manager: urllib3.PoolManager) -> None:
    """`response.retries` is a Retry, reads like one, and survives pickling."""
    with Script(OK) as server:
        retries = manager.request("GET", f"{server.url}/x").retries
    assert isinstance(retries, native.Retry)
    assert repr(retries) == repr(native.Retry.DEFAULT)
    assert repr(pickle.loads(pickle.dumps(retries))) == repr(retries)  # noqa: S301
    assert isinstance(_once.ours(), native.Retry)


def test_nothing_is_tried_again_on_a_fin_while_connecting() -> None:
    """Accepted and cut before a byte was read: sent all the same, as far as anybody knows."""
    with FaultServer(Fin()) as server, pytest.raises(tieline.ConnectionLost):
        urllib3.HTTPConnectionPool(server.host, server.port).request("POST", "/x", body=b"1")
    assert server.accepted == 1
