"""Loops over connections: when the next one is opened, and when the loop ends."""

from __future__ import annotations

import inspect
import socket
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import websockets as native
from websockets.asyncio.client import process_exception
from websockets.exceptions import InvalidStatus

import tieline
from tests.dropins.sockets import (
    FLAVOURS,
    answers,
    close_frame,
    closes,
    frames,
    listens,
    request,
    secured,
    sockets,
    stays,
    text,
    trusting,
    upgrade,
    upgraded,
    uri_of,
)
from tests.dropins.test_websockets_loss import legacy
from tests.dropins.test_websockets_open import no_proxy as no_proxy  # noqa: PLC0414 - a fixture
from tieline import Policy, Reconnect
from tieline.events import RetryScheduled
from tieline.testing import FaultServer, ManualClock, RecordingListener
from tieline.testing.faults import Fin, Garbage, Refuse, Reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropins.sockets import Session, Sockets
    from tieline.testing.faults import Connection, Fault


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """`tieline.websockets`, for threads and for asyncio."""
    with sockets(request.param) as client:
        yield client


def follow(client: Sockets, uri: str, count: int, **kwargs: Any) -> list[Session]:
    """So many connections of a loop, each listened to until it ends."""
    found = []
    with client.looped(uri, **kwargs) as connections:
        for connection in islice(connections, count):
            found.append(connection)
            listen(connection)
    return found


def listen(connection: Session) -> list[Any]:
    """The messages of a connection until it ends, as an application has it."""
    messages = []
    try:
        while True:
            messages.append(connection.recv())
    except native.ConnectionClosed:
        return messages


def hangs_up(connection: Connection) -> None:
    """Read a request, and end without an answer."""
    request(connection)


def in_turn(*faults: Fault) -> Fault:
    """One fault after the other, and the last one from then on."""
    left = list(faults)

    def fault(connection: Connection) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(connection)

    return fault


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 1014])
def test_it_comes_back_after(client: Sockets, clock: ManualClock, code: int) -> None:
    """A code that says nothing against coming back: within five seconds, not at once."""
    with FaultServer(closes(code)) as server:
        follow(client, uri_of(server), 2)
    assert len(clock.sleeps) == 1
    assert 0 < clock.sleeps[0] <= 5


@pytest.mark.parametrize("end", [upgrade, upgraded(lambda connection: connection.reset())])
def test_it_comes_back_after_a_cut(client: Sockets, clock: ManualClock, end: Fault) -> None:
    """No close frame at all: FIN and RST alike."""
    with FaultServer(end) as server:
        follow(client, uri_of(server), 2)
    assert len(clock.sleeps) == 1


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4000])
def test_it_ends_after(client: Sockets, clock: ManualClock, code: int) -> None:
    """A code of the stop list is raised out of the loop, as what websockets raises, too."""
    with FaultServer(closes(code)) as server, pytest.raises(native.ConnectionClosed) as caught:
        follow(client, uri_of(server), 2)
    assert isinstance(caught.value, tieline.ConnectionLost)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code
    assert clock.sleeps == []


def test_a_server_that_accepts_and_closes_is_not_stormed(
    client: Sockets, clock: ManualClock
) -> None:
    """A connection that died young resets nothing: each window is twice as long."""
    with FaultServer(closes(1012)) as server:
        follow(client, uri_of(server), 6)
    spent, ends = 0.0, 0.0
    for wait, window in zip(clock.sleeps, (5, 10, 20, 40, 60), strict=True):
        spent += wait
        assert ends <= spent <= ends + window
        ends += window


def test_a_connection_that_lived_begins_anew(client: Sockets, clock: ManualClock) -> None:
    """After 30 seconds of life the next loss is the first one again."""
    with FaultServer(closes(1012)) as server, client.looped(uri_of(server)) as connections:
        for number, connection in zip(range(5), connections, strict=False):
            listen(connection)
            if number == 3:
                clock.advance(31)
    assert clock.sleeps[-1] <= 5
    assert sum(clock.sleeps[:3]) >= 15


def test_a_connection_the_body_is_done_with(client: Sockets, clock: ManualClock) -> None:
    """Who goes on to the next connection gets it at once: nothing was lost."""
    with FaultServer(stays) as server, client.looped(uri_of(server)) as connections:
        first, second = next(connections), next(connections)
        assert first.protocol.state.name == "CLOSED"
        assert second.protocol.state.name == "OPEN"
    assert clock.sleeps == []


OPENINGS = [
    ("ws-iter-refused", Refuse(), "ws"),
    ("ws-iter-500", answers(500), "ws"),
    ("ws-iter-503", answers(503), "ws"),
    ("ws-iter-429", answers(429), "ws"),
    ("ws-iter-FIN", Fin(), "ws"),
    ("ws-iter-RST-in-handshake", Reset(after=16), "ws"),
]


@pytest.mark.parametrize(("name", "fault", "scheme"), OPENINGS, ids=[row[0] for row in OPENINGS])
def test_an_opening_that_may_do_better(
    client: Sockets, clock: ManualClock, name: str, fault: Fault, scheme: str
) -> None:
    """The loop goes on, and one opening is one attempt."""
    del name
    heard = RecordingListener()
    policy = Policy(reconnect=Reconnect(max_attempts=4), breaker=None)
    with FaultServer(fault) as server, heard:
        with pytest.raises(tieline.ConnectFailed) as caught:
            follow(client, uri_of(server, scheme), 1, policy=policy)
        assert server.accepted in (0, 4)
    # It ends with the last failure, and the history of all of them.
    assert len(caught.value.attempts) == 4
    assert len(clock.sleeps) == 3
    assert [event.number for event in heard.of(RetryScheduled)] == [1, 2, 3]
    assert "no attempts left" in caught.value.__notes__[-1]


HOPELESS = [
    ("ws-iter-401", answers(401), tieline.AuthenticationFailed),
    ("ws-iter-403", answers(403), tieline.AuthenticationFailed),
    ("ws-iter-404", answers(404), tieline.TargetNotFound),
    ("ws-iter-garbage", Garbage(b"\0\xff nonsense\r\n\r\n", after=16), tieline.HandshakeFailed),
]


@pytest.mark.parametrize(("name", "fault", "ours"), HOPELESS, ids=[row[0] for row in HOPELESS])
def test_an_opening_that_cannot(
    client: Sockets, clock: ManualClock, name: str, fault: Fault, ours: type[Exception]
) -> None:
    """Waiting does not help: the loop ends at once."""
    del name
    with FaultServer(fault) as server, pytest.raises(ours):
        follow(client, uri_of(server), 1)
    assert clock.sleeps == []


def test_a_bad_certificate_ends_the_loop(client: Sockets, clock: ManualClock) -> None:
    """The native loop retries it for ever, since it is an OSError."""
    with FaultServer(secured(stays, "expired")) as server, pytest.raises(tieline.TLSFailed):
        follow(client, uri_of(server, "wss"), 1, ssl=trusting())
    assert clock.sleeps == []


def test_an_unknown_name_ends_the_loop(
    client: Sockets, clock: ManualClock, names: dict[str, Any]
) -> None:
    """It is an OSError as well, and a typo as a rule."""
    names["none.test"] = socket.gaierror(socket.EAI_NONAME, "unknown")
    with pytest.raises(tieline.NameNotResolved):
        follow(client, "ws://none.test/", 1)
    assert clock.sleeps == []


def test_retry_after_is_never_undercut(client: Sockets, clock: ManualClock) -> None:
    """A server that restarts says when to come back."""
    turns = in_turn(closes(1012), answers(503, "Retry-After: 30\r\n"), stays)
    with FaultServer(turns) as server, client.looped(uri_of(server)) as connections:
        listen(next(connections))
        next(connections)
    assert len(clock.sleeps) == 2
    assert clock.sleeps[1] >= 30


def test_subscribing_again(client: Sockets, clock: ManualClock) -> None:
    """`on_reconnect` gets each connection but the first, before the body does."""
    seen: list[Any] = []

    def then(connection: Connection) -> None:
        if server.accepted > 1:
            assert next(frames(connection)) == (1, b"subscribe")
        connection.send(text("tick") + close_frame(1012))
        listens(connection)

    def sync_hook(connection: Any) -> None:
        seen.append(connection)
        connection.send("subscribe")

    async def hook(connection: Any) -> None:
        seen.append(connection)
        await connection.send("subscribe")

    with FaultServer(upgraded(then)) as server:
        found = follow(
            client, uri_of(server), 3, on_reconnect=hook if client.is_async else sync_hook
        )
    assert seen == [connection.connection for connection in found[1:]]


def test_a_plain_function_may_subscribe_again(client: Sockets, clock: ManualClock) -> None:
    """On asyncio, too."""
    seen: list[Any] = []
    with FaultServer(closes(1012)) as server:
        follow(client, uri_of(server), 2, on_reconnect=seen.append)
    assert len(seen) == 1


def test_a_connection_lost_while_subscribing(client: Sockets, clock: ManualClock) -> None:
    """The body does not get it: it is an end like any other."""
    calls: list[int] = []

    def sync_hook(connection: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            connection.recv()

    async def hook(connection: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            await connection.recv()

    with FaultServer(closes(1012)) as server:
        found = follow(
            client, uri_of(server), 2, on_reconnect=hook if client.is_async else sync_hook
        )
        assert server.accepted == 3
    assert len(found) == 2
    assert len(clock.sleeps) == 2


def test_a_hook_that_closes_its_connection(client: Sockets, clock: ManualClock) -> None:
    """The body does not get it either, and it counts: nobody is stormed."""

    def sync_hook(connection: Any) -> None:
        connection.close()
        connection.send("too late")

    async def hook(connection: Any) -> None:
        await connection.close()
        await connection.send("too late")

    policy = Policy(reconnect=Reconnect(max_attempts=4))
    with FaultServer(in_turn(closes(1012), stays)) as server:
        with pytest.raises(tieline.ConnectionLost):
            follow(
                client,
                uri_of(server),
                2,
                policy=policy,
                on_reconnect=hook if client.is_async else sync_hook,
            )
        assert server.accepted == 4
    assert len(clock.sleeps) == 3


def test_another_connection_lost_while_subscribing(client: Sockets, clock: ManualClock) -> None:
    """It is no end of this one: the error leaves the loop, as any other of the hook."""
    with FaultServer(stays) as elsewhere:
        other = client.connect(uri_of(elsewhere), **legacy(client))
        other.close()
        raw = other.connection
        turns = in_turn(closes(1012), stays)
        with FaultServer(turns) as server, pytest.raises(native.ConnectionClosedOK):
            follow(client, uri_of(server), 2, on_reconnect=lambda _connection: raw.send("gone"))


@pytest.mark.parametrize("kind", ["function", "partial"])
def test_connections_that_are_not_ours_storm_nobody(
    client: Sockets, clock: ManualClock, kind: str
) -> None:
    """A function may make native ones: their ends are told by what websockets knows."""
    module: Any = client.native_module

    def function(*args: Any, **kwargs: Any) -> Any:
        return module.ClientConnection(*args, **kwargs)

    make = function if kind == "function" else partial(module.ClientConnection)
    policy = Policy(reconnect=Reconnect(max_attempts=4))
    with FaultServer(closes(1012)) as server:
        with pytest.raises(tieline.Aborted) as caught:
            follow(client, uri_of(server), 9, policy=policy, create_connection=make)
        assert server.accepted == 4
    assert isinstance(caught.value, native.ConnectionClosed)
    assert len(clock.sleeps) == 3
    # And for good where the other side says so.
    with FaultServer(closes(1008)) as server:
        with pytest.raises(native.ConnectionClosed):
            follow(client, uri_of(server), 2, create_connection=make)
        assert server.accepted == 1


def test_a_mistake_while_subscribing(client: Sockets, clock: ManualClock) -> None:
    """Any other error of the hook leaves the loop, and the connection is closed."""

    def hook(_connection: Any) -> None:
        raise LookupError("no such topic")

    with FaultServer(closes(1012)) as server, pytest.raises(LookupError):
        follow(client, uri_of(server), 2, on_reconnect=hook)


def test_an_error_of_the_body_leaves_the_loop(client: Sockets, clock: ManualClock) -> None:
    """An OSError raised there is not taken for a failure to connect."""
    with (
        FaultServer(stays) as server,
        pytest.raises(OSError, match="of the body"),
        client.looped(uri_of(server)) as connections,
    ):
        for _ in connections:
            raise OSError("of the body")


def test_an_open_breaker_is_waited_for(client: Sockets, clock: ManualClock) -> None:
    """A loop lives as long as its session: it does not end because the breaker is open."""
    policy = Policy(
        breaker=tieline.CircuitBreaker(failures=1, open_for=30, open_max=30, jitter=0, window=30)
    )
    with FaultServer(in_turn(Fin(), stays)) as server:
        with client.looped(uri_of(server), policy=policy) as connections:
            next(connections)
        assert server.accepted == 2
    assert sum(clock.sleeps) >= 30


def test_a_deadline_ends_the_loop(client: Sockets, clock: ManualClock) -> None:
    """Openings and waits inside it end with it, with the last failure."""
    with FaultServer(Refuse()) as server, tieline.deadline(60):
        before = clock.now()
        with pytest.raises(tieline.Refused) as caught:
            follow(client, uri_of(server), 1)
    assert clock.now() - before < 60
    assert "no time left" in caught.value.__notes__[-1]


def test_a_budget_is_drawn_and_refuses_no_loop(client: Sockets, clock: ManualClock) -> None:
    """A failed opening costs what any failure costs; the loop itself is bounded by its windows."""
    policy = Policy(
        budget=tieline.Budget(tokens=2), breaker=None, reconnect=Reconnect(max_attempts=3)
    )
    with FaultServer(answers(503)) as server:
        with pytest.raises(tieline.TooBusy):
            follow(client, uri_of(server), 1, policy=policy)
        assert server.accepted == 3
        # And a single opening of the same target is not repeated any more.
        with pytest.raises(tieline.TooBusy, match="retry budget"):
            client.connect(uri_of(server), policy=policy)
    assert sum(clock.sleeps) <= 15


def test_process_exception_of_the_callers_own(client: Sockets, clock: ManualClock) -> None:
    """It decides what is transient, and gets our error, which is websockets' own as well."""
    judged: list[Exception] = []

    def judge(error: Exception) -> Exception | None:
        judged.append(error)
        if isinstance(error, InvalidStatus) and error.response.status_code == 403:
            return None
        return KeyError("enough")

    if not client.is_async:
        natively(client)
    turns = in_turn(answers(403), answers(503))
    with FaultServer(turns) as server, pytest.raises(KeyError, match="enough") as caught:
        follow(client, uri_of(server), 1, process_exception=judge)
    assert [type(error).__name__ for error in judged] == ["AuthenticationFailed", "TooBusy"]
    assert caught.value.__cause__ is judged[1]


@pytest.mark.parametrize("fault", [hangs_up, answers(503), answers(500)])
def test_process_exception_that_asks_the_default(
    client: Sockets, clock: ManualClock, fault: Fault
) -> None:
    """It decides as natively, of our errors too, and never sees one that the breaker is open."""
    natively(client)
    judged: list[Exception] = []

    def judge(error: Exception) -> Exception | None:
        judged.append(error)
        return process_exception(error)

    policy = Policy(
        breaker=tieline.CircuitBreaker(failures=1, open_for=30, open_max=30, jitter=0, window=30)
    )
    turns = in_turn(fault, fault, stays)
    with (
        FaultServer(turns) as server,
        client.looped(uri_of(server), policy=policy, process_exception=judge) as connections,
    ):
        next(connections)
    assert len(judged) == 2
    assert not any(isinstance(error, tieline.CircuitOpen) for error in judged)
    assert all(isinstance(error.__cause__, type(error).__bases__[1]) for error in judged)
    assert sum(clock.sleeps) >= 30


def natively(client: Sockets) -> None:
    """Skip where websockets itself has no loop in threads."""
    from tieline.websockets._connect import RECONNECTS

    if not RECONNECTS and not client.is_async:
        pytest.skip("this release of websockets has no loop in threads")


def test_process_exception_may_go_on_after_a_close(client: Sockets, clock: ManualClock) -> None:
    """An application knows its own codes."""
    natively(client)
    with FaultServer(closes(4000)) as server:
        found = follow(client, uri_of(server), 2, process_exception=lambda _error: None)
    assert len(found) == 2


def test_reconnect_delays_of_the_callers_own(client: Sockets, clock: ManualClock) -> None:
    """They replace the windows; when they are used up, the loop ends with the last failure."""
    names = inspect.signature(client.native.__init__).parameters if client.native else ()
    if "reconnect_delays" not in names:
        pytest.skip("this release of websockets has no reconnect_delays")

    def delays() -> Iterator[float]:
        yield from (0.25, 0.5)

    with FaultServer(answers(503)) as server, pytest.raises(tieline.TooBusy) as caught:
        follow(client, uri_of(server), 1, reconnect_delays=delays)
    assert clock.sleeps == [0.25, 0.5]
    assert "used up" in caught.value.__notes__[-1]


def test_the_environment_configures_the_windows(
    client: Sockets, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TIELINE_TARGETS__TICKS__RECONNECT__INITIAL`, and the others."""
    with FaultServer(closes(1012)) as server:
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__URL", uri_of(server))
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__RECONNECT__INITIAL", "10ms")
        with client.looped(target="ticks") as connections:
            for connection in islice(connections, 2):
                listen(connection)
    assert clock.sleeps[0] <= 0.01


def test_switched_off_it_is_the_native_loop(
    client: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TIELINE_ENABLED=0`: what websockets does after an end, at once."""
    natively(client)
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    with FaultServer(closes(1012)) as server:
        found = follow(client, uri_of(server), 3)
    assert all(type(one.connection).__module__.startswith("websockets") for one in found)


def test_switched_off_it_still_subscribes_again(
    client: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application relies on it: its messages would stay away."""
    natively(client)
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    seen: list[Any] = []
    with FaultServer(closes(1012)) as server:
        found = follow(client, uri_of(server), 3, on_reconnect=seen.append)
    assert seen == [connection.connection for connection in found[1:]]
