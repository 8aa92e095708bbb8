"""FaultServer: what a client meets, and that nothing is left behind."""

from __future__ import annotations

import errno
import queue
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tieline.testing.faults import (
    Connection,
    Fault,
    FaultServer,
    Fin,
    Garbage,
    Refuse,
    Reset,
    Silence,
    Slow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads TCP_INFO and /proc")


def connect(server: FaultServer) -> socket.socket:
    """A client connection to the server."""
    return socket.create_connection(server.address, timeout=5)


def refusal(server: FaultServer) -> int | None:
    """What connecting says: an errno, or None."""
    with socket.socket() as client:
        return client.connect_ex(server.address)


def read_all(client: socket.socket) -> bytes:
    """Everything up to the end of stream."""
    return b"".join(iter(lambda: client.recv(4096), b""))


def kernel_state(client: socket.socket) -> int:
    """The TCP state of the client's socket, as the kernel has it."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def descriptors() -> set[Path]:
    """The open file descriptors of this process."""
    return set(Path("/proc/self/fd").iterdir())


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test of this module may leave a thread behind."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_refuse_refuses() -> None:
    """Refuse answers a connection attempt with ECONNREFUSED and counts nothing."""
    with FaultServer(Refuse()) as server:
        assert [refusal(server) for _ in range(200)] == [errno.ECONNREFUSED] * 200
        assert server.accepted == 0


def test_refuse_reserves_the_port() -> None:
    """Nobody else can bind the port while the server refuses."""
    with (
        FaultServer(Refuse()) as server,
        socket.socket() as stranger,
        pytest.raises(OSError, match="in use"),
    ):
        stranger.bind(server.address)


def test_a_taken_port_is_an_error() -> None:
    """A port of somebody else is not shared with them, and nothing is left open."""
    with FaultServer(Silence()) as server, pytest.raises(OSError, match="in use"):
        FaultServer(Refuse(), port=server.port)


def test_refuse_then_heal() -> None:
    """Assigning a fault makes the same port answer, assigning Refuse makes it refuse again."""
    with FaultServer(Refuse()) as server:
        port = server.port
        for count in range(1, 301):
            assert refusal(server) == errno.ECONNREFUSED
            server.fault = Garbage(b"hello")
            with connect(server) as client:
                assert read_all(client) == b"hello"
            assert server.accepted == count
            server.fault = Refuse()
        assert server.port == port


def test_refuse_beside_open_connections() -> None:
    """Connections that exist survive Refuse, and do not keep the port from healing."""
    with FaultServer(Slow(b"ab", interval=0.05)) as server, connect(server) as before:
        server.wait_accepted(1)
        server.fault = Refuse()
        assert refusal(server) == errno.ECONNREFUSED
        server.fault = Fin()
        with connect(server) as after:
            assert read_all(after) == b""
        assert read_all(before) == b"ab"


def test_a_new_fault_is_met_by_the_next_connection() -> None:
    """Once the assignment has returned, new connections meet the new fault."""
    with FaultServer(Fin()) as server:
        for text in (b"one", b"two", b"three"):
            server.fault = Garbage(text)
            with connect(server) as client:
                assert read_all(client) == text


@linux
def test_fin_as_the_kernel_sees_it() -> None:
    """Fin is an end of file; the client may still send and gets no RST for it."""
    with FaultServer(Fin()) as server, connect(server) as client:
        assert client.recv(1) == b""
        client.sendall(b"startup")
        assert kernel_state(client) == TCP_CLOSE_WAIT
        assert client.recv(1) == b""


@linux
def test_reset_as_the_kernel_sees_it() -> None:
    """Reset is ECONNRESET and leaves the client's socket closed, not half-closed."""
    with FaultServer(Reset()) as server, socket.socket() as client:
        with pytest.raises(ConnectionResetError):
            client.connect(server.address)
            client.recv(1)
        assert kernel_state(client) == TCP_CLOSE


def test_fin_after_reading() -> None:
    """Fin(after=n) ends once n bytes were read."""
    with FaultServer(Fin(after=8)) as server, connect(server) as client:
        client.sendall(b"12345678")
        assert client.recv(1) == b""
        assert server.received == [b"12345678"]


def test_reset_after_reading() -> None:
    """Reset(after=n) resets once n bytes were read."""
    with FaultServer(Reset(after=3)) as server, connect(server) as client:
        client.sendall(b"abcdef")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert server.received == [b"abc"]


def test_reading_ends_with_the_client() -> None:
    """A fault that waits for more bytes than come goes on when the client ends."""
    with FaultServer(Garbage(b"late", after=100)) as server, connect(server) as client:
        client.sendall(b"few")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"late"
        assert server.received == [b"few"]


def test_silence() -> None:
    """Silence accepts and sends nothing, not even an end, and reads nothing."""
    with FaultServer(Silence()) as server, connect(server) as client:
        client.sendall(b"anybody?")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert (server.accepted, server.received) == (1, [b""])


def test_garbage() -> None:
    """Garbage sends its bytes unasked, then ends."""
    with FaultServer(Garbage(b"SSH-2.0-OpenSSH_9.9\r\n")) as server, connect(server) as client:
        assert read_all(client) == b"SSH-2.0-OpenSSH_9.9\r\n"


def test_slow() -> None:
    """Slow sends byte by byte with the interval between them."""
    with FaultServer(Slow(b"abc", interval=0.05)) as server, connect(server) as client:
        started = time.monotonic()
        assert list(iter(lambda: client.recv(10), b"")) == [b"a", b"b", b"c"]
        assert time.monotonic() - started >= 0.1


def test_a_function_is_a_fault() -> None:
    """Any callable that takes a connection is a fault; returning ends the connection with FIN."""

    def echo(connection: Connection) -> None:
        connection.send(connection.read(4).upper())

    with FaultServer(echo) as server, connect(server) as client:
        client.sendall(b"ping")
        assert read_all(client) == b"PING"


def test_a_fault_may_change_the_fault() -> None:
    """A fault can assign the next one, for example to refuse after the first connection."""
    with FaultServer(Refuse()) as server:

        def once(connection: Connection) -> None:
            server.fault = Refuse()
            connection.send(b"bye")

        server.fault = once
        with connect(server) as client:
            assert read_all(client) == b"bye"
        assert refusal(server) == errno.ECONNREFUSED


def test_received_is_kept_per_connection() -> None:
    """Each connection has its own record, in the order of arrival, also after its end."""
    with FaultServer(Fin(after=1)) as server:
        for text in (b"a", b"b"):
            with connect(server) as client:
                client.sendall(text)
                assert client.recv(1) == b""
        assert server.received == [b"a", b"b"]


def test_wait_accepted_gives_up() -> None:
    """wait_accepted raises when the connections do not come."""
    with FaultServer(Silence()) as server, pytest.raises(TimeoutError, match="0 of 1"):
        server.wait_accepted(1, timeout=0.01)


def test_ipv6() -> None:
    """The server can sit on ::1."""
    with FaultServer(Garbage(b"six"), host="::1") as server, connect(server) as client:
        assert read_all(client) == b"six"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost"])
def test_loopback_only(host: str) -> None:
    """An address that is not a loopback address is rejected."""
    with pytest.raises(ValueError, match="address"):
        FaultServer(Refuse(), host=host)


@linux
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Refuse(), id="refuse"),
        pytest.param(Fin(), id="client never ends"),
        pytest.param(Reset(after=100), id="client never sends"),
        pytest.param(Silence(), id="silence"),
        pytest.param(Garbage(b"x" * 10_000_000), id="client never reads"),
        pytest.param(Slow(b"xyz", interval=60), id="slow"),
    ],
)
def test_close_ends_everything_at_once(fault: Fault) -> None:
    """Closing ends hanging connections, their threads and all descriptors within a second."""
    before = descriptors()
    with ExitStack() as clients:
        server = FaultServer(fault)
        if not isinstance(fault, Refuse):
            for _ in range(20):
                clients.enter_context(connect(server))
            server.wait_accepted(20)
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 1
    assert descriptors() == before


def test_close_twice() -> None:
    """A closed server can be closed again, but takes no new fault, and its port is free."""
    server = FaultServer(Silence())
    server.close()
    server.close()
    with pytest.raises(RuntimeError, match="closed"):
        server.fault = Refuse()
    FaultServer(Refuse(), port=server.port).close()


def test_close_names_a_fault_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of one's own that ignores the end of its connection is reported."""
    monkeypatch.setattr("tieline.testing.faults._JOIN_TIMEOUT", 0.01)
    running: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    release = threading.Event()

    def stubborn(connection: Connection) -> None:
        running.put(threading.current_thread())
        release.wait()

    server = FaultServer(stubborn)
    with connect(server):
        thread = running.get(timeout=5)
        with pytest.raises(RuntimeError, match=f"still running.*{thread.name}"):
            server.close()
        release.set()
        thread.join()


def test_what_came_before_the_end_is_told() -> None:
    """What a client has sent is in `received`, also where nobody has read it when the server closes."""

    def waits(connection: Connection) -> None:
        with suppress(ConnectionAbortedError):
            connection.pause()

    with FaultServer(waits) as server, connect(server) as client:
        client.sendall(b"last words")
        server.wait_accepted(1)
    assert server.received == [b"last words"]
