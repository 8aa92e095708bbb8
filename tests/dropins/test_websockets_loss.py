"""Losing a connection: why, and what may have become of what was under way."""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import websockets as native
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

import tieline
from tests.dropins.sockets import (
    FLAVOURS,
    ONCE,
    close_frame,
    closes,
    frame,
    frames,
    listens,
    sockets,
    stays,
    text,
    upgrade,
    upgraded,
    uri_of,
)
from tests.dropins.test_websockets_open import no_proxy as no_proxy  # noqa: PLC0414 - a fixture
from tieline.failure import Kind, Phase, Safety
from tieline.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.dropins.sockets import Session, Sockets
    from tieline.testing.faults import Connection


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """`tieline.websockets`, for threads and for asyncio."""
    with sockets(request.param) as client:
        yield client


def lose(connection: Session, **kwargs: Any) -> tieline.ConnectionLost:
    """What receiving on a connection comes to that is lost."""
    with pytest.raises(tieline.ConnectionLost) as caught:
        connection.recv(**kwargs)
    return caught.value


def pong(connection: Session) -> None:
    """A ping, and the answer to it."""
    if not connection.flavour.is_async:
        assert connection.connection.ping().wait(5)
        return

    async def waited() -> None:
        await asyncio.wait_for(await connection.connection.ping(), 5)

    connection.flavour.run(waited())


CODES = [
    (1000, "Aborted", Kind.SHUTDOWN, False, ConnectionClosedOK),
    (1001, "Aborted", Kind.SHUTDOWN, True, ConnectionClosedOK),
    (1002, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1003, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1007, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1008, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1009, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1010, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (1011, "ConnectionLost", Kind.SERVER_ERROR, True, ConnectionClosedError),
    (1012, "Aborted", Kind.SHUTDOWN, True, ConnectionClosedError),
    (1013, "ConnectionLost", Kind.BUSY, True, ConnectionClosedError),
    (1014, "ConnectionLost", Kind.NOT_READY, True, ConnectionClosedError),
    (3000, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
    (4000, "ConnectionLost", Kind.ANSWERED, False, ConnectionClosedError),
]


@pytest.mark.parametrize(("code", "ours", "kind", "repeat", "theirs"), CODES)
def test_a_close_code(
    client: Sockets,
    *,
    code: int,
    ours: str,
    kind: Kind,
    repeat: bool,
    theirs: type[ConnectionClosed],
) -> None:
    """The code tells what happened; `.rcvd` and `.sent` are those of websockets."""
    with FaultServer(closes(code)) as server, client.connect(uri_of(server)) as connection:
        error = lose(connection)
        address = f"{server.host}:{server.port}"
    assert error.failure is not None
    assert (type(error).__name__, error.failure.kind) == (ours, kind)
    assert (error.failure.safety is not Safety.NEVER) == repeat
    assert isinstance(error, theirs)
    assert error.rcvd == native.Close(code, "bye")
    assert error.sent is not None
    assert error.rcvd_then_sent is True
    assert error.failure.code == str(code)
    assert address in str(error)
    assert f"({code})" in str(error)
    assert error.maybe_applied is False


def test_a_close_frame_without_a_code(client: Sockets) -> None:
    """It is an end in order, after which a loop goes on."""

    def then(connection: Connection) -> None:
        connection.send(frame(8))
        connection.read(6)

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        error = lose(connection)
    assert isinstance(error, ConnectionClosedOK)
    assert error.failure is not None
    assert error.failure.safety is Safety.ALWAYS


def test_an_end_without_a_close_frame(client: Sockets) -> None:
    """A FIN: Aborted, a ConnectionClosedError without codes."""
    with FaultServer(upgrade) as server, client.connect(uri_of(server)) as connection:
        error = lose(connection)
    assert type(error).__name__ == "Aborted"
    assert isinstance(error, ConnectionClosedError)
    assert (error.rcvd, error.sent) == (None, None)
    assert error.failure is not None
    assert error.failure.kind is Kind.EOF


def resets(connection: Connection) -> None:
    """Let a client in, and reset the connection."""
    upgrade(connection)
    connection.reset()


def test_a_reset(client: Sockets) -> None:
    """An RST: Reset, also where it is noticed in sending."""
    with FaultServer(resets) as server, client.connect(uri_of(server)) as connection:
        error = lose(connection)
        assert type(error).__name__ == "Reset"
        assert isinstance(error, ConnectionClosedError)
        with pytest.raises(tieline.Reset) as caught:
            connection.send("late")
    assert caught.value.failure is not None
    assert caught.value.failure.phase is Phase.SEND
    # It was noticed before: nothing was handed over.
    assert caught.value.maybe_applied is False


@pytest.mark.parametrize("bad", [b"\x83\x00", b"\x81\x7e\xff\xff"], ids=["opcode", "size"])
def test_a_frame_that_is_none(client: Sockets, bad: bytes) -> None:
    """What came is not the protocol, or too large: BadAnswer, and no use in another try."""

    def then(connection: Connection) -> None:
        connection.send(bad)
        # The goodbye of the client, with its reason.
        next(frames(connection))

    with (
        FaultServer(upgraded(then)) as server,
        client.connect(uri_of(server), max_size=1000) as connection,
    ):
        error = lose(connection)
    assert type(error).__name__ == "BadAnswer"
    assert error.failure is not None
    assert error.failure.safety is Safety.NEVER
    assert error.rcvd is None
    assert error.sent is not None


def test_a_ping_that_is_not_answered(client: Sockets) -> None:
    """The other side hangs, or the network is gone: ResponseTimeout."""

    def then(connection: Connection) -> None:
        connection.pause()

    with FaultServer(upgraded(then)) as server:
        keywords = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.1}
        with client.connect(uri_of(server), **keywords) as connection:
            error = lose(connection)
    assert type(error).__name__ == "ResponseTimeout"
    assert isinstance(error, ConnectionClosedError)
    assert error.sent == native.Close(1011, "keepalive ping timeout")


def test_what_we_closed_is_not_lost(client: Sockets) -> None:
    """Receiving after one's own `close` raises what websockets raises, and nothing of ours."""
    with FaultServer(stays) as server:
        connection = client.connect(uri_of(server), **legacy(client))
        connection.close()
        with pytest.raises(ConnectionClosedOK) as caught:
            connection.recv()
    assert not isinstance(caught.value, tieline.TielineError)


def legacy(client: Sockets) -> dict[str, Any]:
    """Keywords to use a connection without a block."""
    from tieline.websockets._connect import RECONNECTS

    return {"legacy": True} if RECONNECTS and not client.is_async else {}


@pytest.mark.parametrize("code", [1000, 1001])
def test_the_iteration_ends_as_natively(client: Sockets, code: int) -> None:
    """Iterating over messages ends with a close in order, and raises for any other."""

    def then(connection: Connection) -> None:
        connection.send(text("one") + text("two") + close_frame(code))
        connection.read(8)

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        assert messages(client, connection) == ["one", "two"]


def test_the_iteration_raises_for_another_end(client: Sockets) -> None:
    """The error of an iteration is ours, too."""
    with (
        FaultServer(closes(1012)) as server,
        client.connect(uri_of(server)) as connection,
        pytest.raises(tieline.Aborted) as caught,
    ):
        messages(client, connection)
    assert isinstance(caught.value, ConnectionClosedError)


def messages(client: Sockets, connection: Session) -> list[Any]:
    """What an iteration over a connection gives."""
    if not client.is_async:
        return list(connection.connection)

    async def gathered() -> list[Any]:
        return [message async for message in connection.connection]

    found: list[Any] = client.run(gathered())
    return found


def test_streaming_is_told_too(client: Sockets) -> None:
    """`recv_streaming` gives the pieces of a message, and our error at the end."""

    def then(connection: Connection) -> None:
        connection.send(b"\x01\x01a\x80\x01b" + close_frame(1011))
        connection.read(8)

    def pieces(connection: Session) -> list[Any]:
        if not client.is_async:
            return list(connection.connection.recv_streaming())

        async def gathered() -> list[Any]:
            return [piece async for piece in connection.connection.recv_streaming()]

        found: list[Any] = client.run(gathered())
        return found

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        assert pieces(connection) == ["a", "b"]
        with pytest.raises(tieline.ConnectionLost):
            pieces(connection)


def test_the_native_warning_names_the_callers_line() -> None:
    """A connection that is used without a block is warned of where it is used."""
    from tieline.websockets._connect import RECONNECTS
    from tieline.websockets.sync.client import connect

    if not RECONNECTS:
        pytest.skip("this release of websockets does not warn")
    with FaultServer(stays) as server:
        connection = connect(uri_of(server))
        with pytest.warns(DeprecationWarning, match="context manager") as caught:
            connection.send("x")
        assert caught[0].filename == __file__
        connection.close()


# --- what is in flight ----------------------------------------------------------------------------


def drops_when_told(connection: Connection) -> None:
    """Answer pings, and end without a word at a certain message."""
    upgrade(connection)
    for opcode, payload in frames(connection):
        if opcode == 9:
            connection.send(frame(10, payload))
        if payload == b"drop":
            connection.reset()
            return


def test_a_message_in_flight_may_have_arrived(client: Sockets) -> None:
    """Handed to the kernel after the last pong: `.maybe_applied`."""
    with FaultServer(drops_when_told) as server, client.connect(uri_of(server)) as connection:
        connection.send("order 66")
        connection.send("drop")
        error = lose(connection)
    assert error.maybe_applied is True
    assert error.failure is not None
    assert error.failure.safety is Safety.IF_IDEMPOTENT
    assert "may have arrived" in str(error)


def test_a_pong_confirms_what_was_sent_before_its_ping(client: Sockets) -> None:
    """Nothing is in flight after it; what follows is."""

    def then(connection: Connection) -> None:
        for opcode, payload in frames(connection):
            if opcode == 9:
                connection.send(frame(10, payload))
                return

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        connection.send("order 66")
        pong(connection)
        error = lose(connection)
    assert error.maybe_applied is False
    assert error.failure is not None
    assert error.failure.safety is Safety.ALWAYS


def test_a_pong_confirms_nothing_that_was_sent_after_its_ping(client: Sockets) -> None:
    """The ping went first: the message behind it is still in flight."""
    held: list[bytes] = []

    def then(connection: Connection) -> None:
        for opcode, payload in frames(connection):
            if opcode == 9:
                held.append(payload)
            if opcode == 1:
                connection.send(frame(10, held[0]))
                return

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        ponged = connection.ping()
        connection.send("order 66")
        error = lose(connection)
        del ponged
    assert error.maybe_applied is True


def test_those_who_wait_for_a_pong_are_told(client: Sockets) -> None:
    """On asyncio the future of a ping ends with our error; in threads the event is native."""

    def then(connection: Connection) -> None:
        for opcode, _ in frames(connection):
            if opcode == 9:
                connection.reset()
                return

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        if client.is_async:
            with pytest.raises(tieline.Reset):
                pong(connection)
        else:
            assert not connection.connection.ping().wait(0.2)


def test_nothing_is_sent_again(client: Sockets) -> None:
    """A message goes out once, whatever becomes of the connection."""
    received: list[bytes] = []

    def then(connection: Connection) -> None:
        for opcode, payload in frames(connection):
            if opcode == 8:
                return
            received.append(payload)
            connection.send(close_frame(1012))

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        connection.send("once")
        lose(connection)
        with pytest.raises(tieline.ConnectionLost):
            connection.send("not at all")
    assert received == [b"once"]


# --- handlers, copies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler", [native.ConnectionClosed, native.ConnectionClosedError, native.WebSocketException]
)
def test_existing_handlers_catch_a_loss(client: Sockets, handler: type[Exception]) -> None:
    """What an application caught, it still catches."""
    with (
        FaultServer(closes(1011)) as server,
        client.connect(uri_of(server)) as connection,
        pytest.raises(handler),
    ):
        connection.recv()


def test_a_loss_is_no_os_error(client: Sockets) -> None:
    """`except OSError` before `except ConnectionClosed` did not catch it, and does not now."""
    with FaultServer(resets) as server, client.connect(uri_of(server)) as connection:
        assert not isinstance(lose(connection), OSError)


def test_copies(client: Sockets) -> None:
    """Pickling and copying keep class, codes and facts."""
    with FaultServer(closes(1012)) as server, client.connect(uri_of(server)) as connection:
        error = lose(connection)
    pickled = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    for other in (pickled, copy.copy(error)):
        assert type(other) is type(error)
        assert (other.rcvd, other.sent, other.failure) == (error.rcvd, error.sent, error.failure)
        assert str(other) == str(error)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert error.code == 1012


# --- deadlines ------------------------------------------------------------------------------------


def test_a_deadline_ends_recv(client: Sockets) -> None:
    """The connection is as it was, and the next message arrives."""
    go = threading.Event()

    def then(connection: Connection) -> None:
        go.wait(5)
        connection.send(text("late"))
        listens(connection)

    with FaultServer(upgraded(then)) as server, client.connect(uri_of(server)) as connection:
        with tieline.deadline(0.1), pytest.raises(tieline.DeadlineExceeded) as caught:
            connection.recv()
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, native.WebSocketException)
        assert caught.value.maybe_applied is False
        go.set()
        assert connection.recv() == "late"


def test_a_deadline_that_has_passed_begins_nothing(
    client: Sockets, clock: tieline.testing.ManualClock
) -> None:
    """Nothing is sent, and nothing waited for."""
    with FaultServer(stays) as server, client.connect(uri_of(server)) as connection:
        for action in (connection.recv, lambda: connection.send("x"), connection.ping):
            with tieline.deadline(1), pytest.raises(tieline.DeadlineExceeded) as caught:
                clock.advance(2)
                action()
            assert caught.value.failure is not None
            assert not caught.value.failure.sent


def test_a_deadline_ends_send(client: Sockets) -> None:
    """A server that reads nothing: the kernel's buffers fill, and sending ends with the deadline."""

    def then(connection: Connection) -> None:
        connection.pause()

    with FaultServer(upgraded(then)) as server:
        connection = client.connect(
            uri_of(server), close_timeout=0.1, ping_interval=None, **legacy(client)
        )
        with tieline.deadline(0.3), pytest.raises(tieline.DeadlineExceeded) as caught:
            connection.send(b"x" * 50_000_000)
        assert caught.value.maybe_applied is True
        with tieline.deadline(0.2):
            connection.close()


def test_a_deadline_waits_for_no_other_thread(client: Sockets) -> None:
    """A message behind one that is stuck is not sent, and its sender leaves in time."""

    def then(connection: Connection) -> None:
        connection.pause()

    with FaultServer(upgraded(then)) as server:
        connection = client.connect(
            uri_of(server), close_timeout=0.1, ping_interval=None, **legacy(client)
        )

        def stuck() -> None:
            with pytest.raises(tieline.TielineError), tieline.deadline(0.6):
                connection.send(b"x" * 50_000_000)

        thread = threading.Thread(target=stuck)
        thread.start()
        waiting = threading.Event()
        waiting.wait(0.1)
        with tieline.deadline(0.2), pytest.raises(tieline.DeadlineExceeded):
            connection.send("behind")
        thread.join()
        with tieline.deadline(0.2):
            connection.close()


BEHIND: dict[str, Callable[[Any], object]] = {
    "send": lambda connection: connection.send("behind"),
    "fragments": lambda connection: connection.send(["be", "hind"]),
    "ping": lambda connection: connection.ping(),
    "pong": lambda connection: connection.pong(),
    "close": lambda connection: connection.close(),
    "leave": lambda connection: connection.__exit__(None, None, None),
}
"""What a thread may want to do while others are stuck."""


@pytest.mark.parametrize("action", BEHIND)
def test_a_deadline_waits_for_no_queue(action: str) -> None:
    """In threads many may wait for one that is stuck, and who comes first is left to chance."""

    def then(connection: Connection) -> None:
        connection.pause()

    with sockets("sync") as client, FaultServer(upgraded(then)) as server:
        connection = client.connect(
            uri_of(server), close_timeout=0.1, ping_interval=None, **legacy(client)
        ).connection

        def stuck() -> None:
            with suppress(tieline.TielineError):
                connection.send(b"x" * 50_000_000)

        ends: list[BaseException | None] = []

        def acting() -> None:
            try:
                with tieline.deadline(0.3):
                    BEHIND[action](connection)
            except tieline.TielineError as error:
                ends.append(error)
            else:
                ends.append(None)

        threads = [threading.Thread(target=stuck, daemon=True) for _ in range(3)]
        threads.append(threading.Thread(target=acting, daemon=True))
        for thread in threads:
            thread.start()
            threading.Event().wait(0.1)
        threads[-1].join(2)
        in_time = [type(end) for end in ends]
        # The others are let go, whatever happened.
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
    assert len(in_time) == 1, "it still waits"
    goodbye = action in ("close", "leave")
    assert issubclass(in_time[0], type(None) if goodbye else tieline.DeadlineExceeded)


def test_a_deadline_shortens_the_goodbye(client: Sockets) -> None:
    """`close` waits for the other side no longer than the deadline, and raises nothing."""

    def then(connection: Connection) -> None:
        connection.pause()

    with FaultServer(upgraded(then)) as server:
        connection = client.connect(uri_of(server), **legacy(client))
        with tieline.deadline(0.1) as limit:
            connection.close()
            assert limit is not None
        assert connection.protocol.state.name == "CLOSED"


def test_a_session_outlives_its_deadline(client: Sockets) -> None:
    """What is opened inside a deadline works on after it, keepalive included."""
    with FaultServer(stays) as server:
        with tieline.deadline(0.3):
            connection = client.connect(
                uri_of(server), ping_interval=0.05, ping_timeout=5, **legacy(client)
            )
            with pytest.raises(tieline.DeadlineExceeded):
                connection.recv()
            # The block is still open, and its time is up: pings go on all the same.
            before = server.received[0]
            threading.Event().wait(0.2)
            assert len(server.received[0]) > len(before) + 6
        pong(connection)
        before = server.received[0]
        with pytest.raises(TimeoutError), tieline.deadline(0.2):
            connection.recv()
        assert len(server.received[0]) > len(before)
        connection.close()


# --- guards ---------------------------------------------------------------------------------------


def test_a_guard_repeats_nothing_that_was_sent(client: Sockets) -> None:
    """A guarded function whose message may have arrived is not run again."""
    runs: list[int] = []

    @tieline.guard("orders", policy=tieline.Policy(backoff=tieline.Backoff(initial=0)))
    def order() -> None:
        runs.append(1)
        with client.connect(uri_of(server)) as connection:
            connection.send("order 66")
            connection.send("drop")
            connection.recv()

    with FaultServer(drops_when_told) as server, pytest.raises(tieline.ConnectionLost):
        order()
    assert len(runs) == 1


def test_a_guard_repeats_what_sent_nothing(client: Sockets) -> None:
    """One that only listens is run again on a new connection."""
    runs: list[int] = []

    def then(connection: Connection) -> None:
        connection.send(close_frame(1012) if len(runs) == 1 else text("news"))
        listens(connection)

    @tieline.guard("news", policy=tieline.Policy(backoff=tieline.Backoff(initial=0)))
    def news() -> Any:
        runs.append(1)
        with client.connect(uri_of(server), policy=ONCE) as connection:
            return connection.recv()

    with FaultServer(upgraded(then)) as server:
        assert news() == "news"
    assert len(runs) == 2
