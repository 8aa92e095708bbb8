"""FaultProxy: transparent when healthy, faulty as told, and nothing is left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import select
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from tieline.testing.faults import Connection, FaultServer, Fin, Garbage, Refuse, Reset, Silence
from tieline.testing.proxy import Direction, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads TCP_INFO and /proc")


def echo(connection: Connection) -> None:
    """Send back what comes, until the client ends."""
    while chunk := connection.socket.recv(65536):
        connection.send(chunk)


def noting(ends: SimpleQueue[bool]) -> Callable[[Connection], None]:
    """An echo that notes whether it was ended by an RST."""

    def fault(connection: Connection) -> None:
        try:
            while byte := connection.read(1):
                connection.send(byte)
        except ConnectionError:
            ends.put(True)
            raise
        ends.put(False)

    return fault


def connect(proxy: FaultProxy) -> socket.socket:
    """A client whose every step ends within seconds."""
    return socket.create_connection(proxy.address, timeout=5)


def refusal(proxy: FaultProxy) -> int:
    """The errno that connecting ends with; 0 if it does not fail."""
    with socket.socket() as client:
        return client.connect_ex(proxy.address)


def read_all(client: socket.socket) -> bytes:
    """All bytes up to the FIN."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def read(client: socket.socket, size: int) -> bytes:
    """So many bytes, fewer only before a FIN."""
    data = b""
    while len(data) < size and (chunk := client.recv(size - len(data))):
        data += chunk
    return data


def read_until_end(client: socket.socket) -> tuple[bytes, bool]:
    """All bytes up to the end, and whether that was an RST."""
    data = b""
    try:
        while chunk := client.recv(100):
            data += chunk
    except ConnectionResetError:
        return data, True
    return data, False


def ask(client: socket.socket, text: bytes = b"ping") -> bytes:
    """The echo of a text."""
    client.sendall(text)
    return read(client, len(text))


def kernel_state(client: socket.socket) -> int:
    """The state of the connection, as the kernel has it."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def is_silent(client: socket.socket, seconds: float = 0.05) -> bool:
    """Whether neither a byte nor an end comes for so long."""
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    else:
        return False
    finally:
        client.settimeout(5)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads bring about."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def flood(client: socket.socket) -> int:
    """Send until nobody takes it any more; returns how much was taken."""
    sent = 0
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while sent < 1 << 28:
            sent += client.send(b"x" * 65536)
    client.settimeout(5)
    return sent


def descriptors() -> set[str]:
    """What this process has open, by names that are never used again."""
    names = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # The listing itself.
            names.add(str(path.readlink()))
    return names


@contextmanager
def proxied(fault: Callable[[Connection], None] = echo) -> Iterator[tuple[FaultProxy, FaultServer]]:
    """A proxy before a server with a fault."""
    with FaultServer(fault) as server, FaultProxy(server.address) as proxy:
        yield proxy, server


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before a server that echoes."""
    with proxied() as (proxy, _):
        yield proxy


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test of this module may leave a thread or a descriptor behind."""
    threads = set(threading.enumerate())
    files = descriptors() if sys.platform == "linux" else set()
    yield
    assert set(threading.enumerate()) <= threads
    assert sys.platform != "linux" or descriptors() <= files


def test_bytes_pass_both_ways(proxy: FaultProxy) -> None:
    """A healthy proxy passes bytes on, and counts them and the connections."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        assert (proxy.accepted, proxy.connected) == (1, 1)
        assert (proxy.bytes_up, proxy.bytes_down) == (4, 4)


def test_counts_outlive_connections_and_proxy(proxy: FaultProxy) -> None:
    """Counts go on when connections end, and can be read when the proxy is closed."""
    for _ in range(2):
        with connect(proxy) as client:
            ask(client)
    proxy.close()
    assert (proxy.accepted, proxy.connected) == (2, 0)
    assert (proxy.bytes_up, proxy.bytes_down) == (8, 8)


def test_half_close_up() -> None:
    """A client that has ended still gets its answer."""

    def answer(connection: Connection) -> None:
        connection.send(hashlib.sha256(connection.read()).digest())

    with proxied(answer) as (proxy, _), connect(proxy) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == hashlib.sha256(b"question").digest()


@linux
def test_half_close_down() -> None:
    """A server that has ended still gets what the client sends, and the client no RST."""
    with proxied(Fin()) as (proxy, server), connect(proxy) as client:
        assert client.recv(1) == b""
        client.sendall(b"last words")
        assert kernel_state(client) == TCP_CLOSE_WAIT
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.received == [b"last words"])
        wait_until(lambda: proxy.connected == 0)


@linux
def test_a_reset_passes_through() -> None:
    """An RST of the server is an RST for the client, after all that the server had sent."""

    def fault(connection: Connection) -> None:
        connection.send(b"x" * 100_000)
        connection.read(1)
        connection.reset()

    with proxied(fault) as (proxy, _), connect(proxy) as client:
        assert len(read(client, 100_000)) == 100_000
        client.sendall(b"!")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert kernel_state(client) == TCP_CLOSE


def test_a_reset_after_a_fin_passes_through() -> None:
    """A server that has ended, and then resets as the client goes on, resets the client."""

    def fault(connection: Connection) -> None:
        connection.socket.shutdown(socket.SHUT_WR)
        connection.read(1)
        connection.reset()

    with proxied(fault) as (proxy, _), connect(proxy) as client:
        assert client.recv(1) == b""
        deadline = time.monotonic() + 5
        with pytest.raises(ConnectionError):
            while time.monotonic() < deadline:
                client.sendall(b"more")


def test_a_reset_of_the_client_passes_through() -> None:
    """An RST of the client is an RST for the server."""
    ends: SimpleQueue[bool] = SimpleQueue()
    with proxied(noting(ends)) as (proxy, _), connect(proxy) as client:
        assert ask(client) == b"ping"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert ends.get(timeout=5)


def test_last_words_of_a_server_that_resets() -> None:
    """What a server said before an RST arrives, although sending to it fails already."""
    gone = threading.Event()

    def fault(connection: Connection) -> None:
        connection.send(b"too many clients")
        connection.reset()
        gone.set()

    with proxied(fault) as (proxy, _):
        proxy.stall(DOWN)
        with connect(proxy) as client:
            assert gone.wait(5)
            client.sendall(b"a")
            client.sendall(b"b")
            assert proxy.bytes_up == 0
            proxy.heal()
            assert read(client, 16) == b"too many clients"
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_large_transfers_are_intact(proxy: FaultProxy) -> None:
    """Megabytes in both directions at once arrive as they were sent."""
    data = os.urandom(1 << 20) * 16
    with connect(proxy) as client, ThreadPoolExecutor() as pool:
        sending = pool.submit(client.sendall, data)
        assert read(client, len(data)) == data
        sending.result()
        assert (proxy.bytes_up, proxy.bytes_down) == (len(data), len(data))


def test_several_hundred_connections(proxy: FaultProxy) -> None:
    """Hundreds of connections, opened at once, work side by side."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy)) for _ in range(300)]
        assert proxy.accepted == 300
        for index, client in enumerate(clients):
            client.sendall(b"%04d" % index)
        assert [int(read(client, 4)) for client in clients] == list(range(300))
        assert proxy.connected == 300
    wait_until(lambda: proxy.connected == 0)


def test_refuse_and_heal(proxy: FaultProxy) -> None:
    """Refuse is ECONNREFUSED; existing connections live on; heal brings the same port back."""
    port = proxy.port
    with connect(proxy) as before:
        for count in range(2, 102):
            proxy.refuse()
            assert refusal(proxy) == errno.ECONNREFUSED
            assert ask(before) == b"ping"
            proxy.heal()
            with connect(proxy) as client:
                assert ask(client) == b"ping"
            assert (proxy.port, proxy.accepted) == (port, count)


def test_refuse_reserves_the_port(proxy: FaultProxy) -> None:
    """Nobody else can bind the port while the proxy refuses."""
    proxy.refuse()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(proxy.address)


def test_who_is_connected_is_not_refused(proxy: FaultProxy) -> None:
    """A client that connected before refuse was called is served."""
    for _ in range(50):
        with connect(proxy) as client:
            proxy.refuse()
            assert ask(client) == b"ping"
            proxy.heal()


@linux
def test_drop(proxy: FaultProxy) -> None:
    """Drop leaves connection attempts without an answer; existing connections live on."""
    with connect(proxy) as before:
        proxy.drop()
        proxy.drop()
        for _ in range(3):
            with socket.socket() as client:
                client.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    client.connect(proxy.address)
        assert ask(before) == b"ping"
        assert proxy.accepted == 1


@linux
def test_drop_then_heal(proxy: FaultProxy) -> None:
    """After drop and heal new connections work, and a dropped attempt gets through on its own."""
    with socket.socket() as patient:
        proxy.drop()
        patient.setblocking(False)
        assert patient.connect_ex(proxy.address) == errno.EINPROGRESS
        proxy.heal()
        with connect(proxy) as client:
            assert ask(client) == b"ping"
        assert proxy.accepted == 1
        patient.settimeout(10)
        assert select.select([], [patient], [], 10)[1]
        assert ask(patient) == b"ping"
        assert proxy.accepted == 2


@linux
def test_every_door_leads_to_every_other(proxy: FaultProxy) -> None:
    """Refuse, drop and heal may follow each other in any order."""
    for door in (proxy.refuse, proxy.drop, proxy.refuse, proxy.heal, proxy.drop, proxy.heal):
        door()
        with socket.socket() as client:
            client.settimeout(0.05)
            seen = client.connect_ex(proxy.address)
        expected = {"refuse": errno.ECONNREFUSED, "drop": errno.EAGAIN, "heal": 0}
        assert seen == expected[door.__name__]


def test_drop_says_where_it_cannot(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop raises where a full queue does not mean silence, and where it would not get full."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        with pytest.raises(NotImplementedError):
            proxy.drop()
    monkeypatch.setattr("tieline.testing.proxy._is_full", lambda listener: False)
    monkeypatch.setattr("tieline.testing.proxy._PLUGS", 2)
    with pytest.raises(RuntimeError, match="although the queue"):
        proxy.drop()
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        assert proxy.accepted == 1


@linux
def test_reset_as_the_kernel_sees_it(proxy: FaultProxy) -> None:
    """Reset is an RST for every connection, even one not yet served; new ones work."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy)) for _ in range(20)]
        proxy.reset()
        for client in clients:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            assert kernel_state(client) == TCP_CLOSE
    assert proxy.connected == 0
    with connect(proxy) as client:
        assert ask(client) == b"ping"


def test_reset_reaches_the_server() -> None:
    """Reset is an RST for the server as well."""
    ends: SimpleQueue[bool] = SimpleQueue()
    with proxied(noting(ends)) as (proxy, _), connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.reset()
        assert ends.get(timeout=5)


@pytest.mark.parametrize("direction", [UP, DOWN, BOTH])
def test_stall_and_heal(proxy: FaultProxy, direction: Direction) -> None:
    """Stalled bytes do not arrive, the connection stays open, and heal lets them through."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.stall(direction)
        client.sendall(b"held")
        assert is_silent(client)
        passed = (proxy.bytes_up, proxy.bytes_down)
        assert passed == ((8, 4) if direction is DOWN else (4, 4))
        proxy.heal()
        assert read(client, 4) == b"held"


def test_a_stall_holds_ends_back(proxy: FaultProxy) -> None:
    """A FIN does not get through a stall, and does after it."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.stall()
        client.shutdown(socket.SHUT_WR)
        assert is_silent(client)
        proxy.heal()
        assert client.recv(1) == b""


def test_a_stall_meets_new_connections() -> None:
    """A connection made during a stall is accepted, by the server too, and hears nothing."""
    with proxied(Garbage(b"hello")) as (proxy, server):
        proxy.stall(DOWN)
        with connect(proxy) as client:
            server.wait_accepted(1)
            assert is_silent(client)
            proxy.heal()
            assert read_all(client) == b"hello"


def test_a_stall_holds_the_sender_up(proxy: FaultProxy) -> None:
    """A stalled sender cannot send without limit, and nothing of it is lost."""
    proxy.stall(UP)
    with connect(proxy) as client:
        sent = flood(client)
        proxy.heal()
        assert len(read(client, sent)) == sent


def test_a_slow_receiver_holds_the_sender_up() -> None:
    """Where the server does not read, the proxy does not read without limit either."""
    with proxied(Silence()) as (proxy, _), connect(proxy) as client:
        assert flood(client) < 1 << 28


def test_a_stall_stops_what_is_delayed(proxy: FaultProxy) -> None:
    """Bytes that are under way when a stall begins do not arrive either."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.delay(0.05, UP)
        client.sendall(b"late")
        assert proxy.bytes_up == 4
        proxy.stall(UP)
        assert is_silent(client, 0.1)
        proxy.heal()
        assert read(client, 4) == b"late"


def test_a_cut_ends_what_is_stalled(proxy: FaultProxy) -> None:
    """A stall does not keep a connection from being cut, nor a cut one from ending."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.stall()
        proxy.cut()
        assert read_all(client) == b""
        client.close()
        wait_until(lambda: proxy.connected == 0)


@pytest.mark.parametrize("after", [1, 5])
@pytest.mark.parametrize("rst", [False, True])
def test_cut_down(after: int, rst: bool) -> None:
    """Cut lets so many bytes of the answer pass, then ends the connection, to both sides."""
    ends: SimpleQueue[bool] = SimpleQueue()
    with proxied(noting(ends)) as (proxy, _), connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.cut(after, rst=rst)
        client.sendall(b"0123456789")
        assert read_until_end(client) == (b"0123456789"[:after], rst)
        assert ends.get(timeout=5) == rst
        assert proxy.bytes_down == 4 + after


@pytest.mark.parametrize("after", [1, 5])
@pytest.mark.parametrize("direction", [UP, BOTH])
@pytest.mark.parametrize("rst", [False, True])
def test_cut_up(after: int, direction: Direction, rst: bool) -> None:
    """Cut counts what goes to the server, if told so, and still ends it to both sides."""
    ends: SimpleQueue[bool] = SimpleQueue()
    with proxied(noting(ends)) as (proxy, server), connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.cut(after, direction, rst=rst)
        client.sendall(b"0123456789")
        assert read_until_end(client)[1] == rst
        assert ends.get(timeout=5) == rst
        assert proxy.bytes_up == 4 + after
        if not rst:  # An RST may be faster than the server reads.
            assert server.received == [b"ping0123456789"[: 4 + after]]


@linux
def test_a_cut_by_fin_is_no_reset(proxy: FaultProxy) -> None:
    """After a FIN the client may go on sending and gets no RST for it."""
    with connect(proxy) as client:
        proxy.cut(3)
        client.sendall(b"question")
        assert read_all(client) == b"que"
        for _ in range(10):
            client.sendall(b"more")
        assert proxy.bytes_down == 3
        assert kernel_state(client) == TCP_CLOSE_WAIT
        client.close()
        wait_until(lambda: proxy.connected == 0)


def test_cut_at_once(proxy: FaultProxy) -> None:
    """Cut after no byte ends connections at once, and new ones as they come, until healed."""
    with connect(proxy) as before, ExitStack() as stack:
        assert ask(before) == b"ping"
        proxy.cut()
        assert read_all(before) == b""
        for _ in range(10):
            assert read_all(stack.enter_context(connect(proxy))) == b""
        proxy.heal()
        assert ask(stack.enter_context(connect(proxy))) == b"ping"


def test_cut_counts_each_connection_by_itself(proxy: FaultProxy) -> None:
    """Connections that exist count from the call, later ones from their start."""
    with connect(proxy) as before, connect(proxy) as bystander:
        assert ask(before) == b"ping"
        proxy.cut(6)
        with connect(proxy) as after:
            for client in (before, after):
                client.sendall(b"12345678")
                assert read_all(client) == b"123456"
        assert ask(bystander) == b"ping"
        proxy.heal()
        assert ask(bystander) == b"ping"


def test_delay(proxy: FaultProxy) -> None:
    """A delayed chunk arrives not before its time, and then does."""
    with connect(proxy) as client:
        assert ask(client) == b"ping"
        proxy.delay(0.1, DOWN)
        started = time.monotonic()
        assert ask(client) == b"ping"
        assert time.monotonic() - started >= 0.1
        proxy.delay(0.1)
        started = time.monotonic()
        assert ask(client) == b"ping"
        assert time.monotonic() - started >= 0.2


def test_delay_is_latency_and_not_a_queue(proxy: FaultProxy) -> None:
    """Chunks under way together arrive together: one that comes later does not wait twice."""
    with connect(proxy) as client:
        proxy.delay(0.3, UP)
        for _ in range(50):
            client.sendall(b"x")
            assert proxy.bytes_up == 0
        started = time.monotonic()
        assert len(read(client, 50)) == 50
        assert time.monotonic() - started < 5


def test_a_delay_ends(proxy: FaultProxy) -> None:
    """A delay of 0, and heal, release what is under way at once, and in order."""
    with connect(proxy) as client:
        for end in (lambda: proxy.delay(0), proxy.heal):
            proxy.delay(1000)
            client.sendall(b"ab")
            client.sendall(b"cd")
            assert is_silent(client)
            end()
            assert read(client, 4) == b"abcd"


def test_a_delayed_end_comes_after_its_bytes() -> None:
    """A FIN and an RST are as late as the bytes before them."""

    def bye(connection: Connection) -> None:
        connection.send(b"bye")
        connection.reset()

    for fault, rst in ((Garbage(b"bye"), False), (bye, True)):
        with proxied(fault) as (proxy, _):
            proxy.delay(0.05, DOWN)
            with connect(proxy) as client:
                assert is_silent(client, 0.01)
                assert read_until_end(client) == (b"bye", rst)


def test_faults_add_up(proxy: FaultProxy) -> None:
    """A fault leaves those of the other kinds and of the other direction in force."""
    with connect(proxy) as client:
        proxy.delay(0.05, UP)
        proxy.cut(2, DOWN)
        proxy.stall(DOWN)
        client.sendall(b"abcd")
        assert is_silent(client, 0.1)
        assert (proxy.bytes_up, proxy.bytes_down) == (4, 0)
        proxy.refuse()
        assert refusal(proxy) == errno.ECONNREFUSED
        proxy.heal()
        assert read(client, 4) == b"abcd"


def test_a_server_that_is_down() -> None:
    """A server that refuses shows as an RST, and as soon as it is up all is well."""
    with proxied(Refuse()) as (proxy, server):
        for _ in range(20):
            # So soon that the client may meet it while it still connects.
            with pytest.raises(ConnectionResetError), connect(proxy) as client:
                client.recv(1)
        server.fault = echo
        with connect(proxy) as client:
            assert ask(client) == b"ping"


def test_from_any_thread(proxy: FaultProxy) -> None:
    """Faults may be set from many threads while connections come and go."""
    stop = threading.Event()

    def work() -> int:
        answers = 0
        while not stop.is_set():
            try:
                with connect(proxy) as client:
                    answers += ask(client) == b"ping"
            except ConnectionError:
                pass
        return answers

    def torment() -> None:
        for _ in range(20):
            for fault in (proxy.refuse, proxy.heal, proxy.reset, proxy.stall, proxy.heal):
                fault()
            proxy.cut(2, rst=True)
            proxy.delay(0.001)
            proxy.heal()

    with ThreadPoolExecutor(12) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        try:
            for tormentor in [pool.submit(torment) for _ in range(4)]:
                tormentor.result()
        finally:
            stop.set()
        assert sum(worker.result() for worker in workers)
    with connect(proxy) as client:
        assert ask(client) == b"ping"


def test_ipv6() -> None:
    """Proxy and server may each sit on ::1."""
    with FaultServer(echo, host="::1") as server:
        with FaultProxy(server.address) as proxy, connect(proxy) as client:
            assert ask(client) == b"ping"
        with FaultProxy(server.address, host="::1") as proxy, connect(proxy) as client:
            assert ask(client) == b"ping"
            if sys.platform == "linux":
                proxy.drop()
                proxy.heal()
                assert proxy.accepted == 1


def test_bad_arguments(proxy: FaultProxy) -> None:
    """What makes no sense is rejected, and changes nothing."""
    for wrong in (
        lambda: FaultProxy(proxy.address, host="0.0.0.0"),
        lambda: FaultProxy(("localhost", 80)),
        lambda: proxy.delay(-1),
        lambda: proxy.delay(float("nan")),
        lambda: proxy.cut(-1),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(OSError, match="in use"):
        FaultProxy(proxy.address, port=proxy.port)
    with connect(proxy) as client:
        assert ask(client) == b"ping"


STATES: dict[str, Callable[[FaultProxy], object]] = {
    "healthy": FaultProxy.heal,
    "stalled": FaultProxy.stall,
    "delayed": lambda proxy: proxy.delay(1000),
    "cut": lambda proxy: proxy.cut(1, UP),
    "refusing": FaultProxy.refuse,
    "dropping": FaultProxy.drop,
}


@linux
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fault", [echo, Silence(), Reset(after=100)], ids=str)
def test_close_ends_everything_at_once(state: str, fault: Callable[[Connection], None]) -> None:
    """Closing ends connections, thread and descriptors within a second, whatever their state."""
    with FaultServer(fault) as server, ExitStack() as clients:
        proxy = FaultProxy(server.address)
        for _ in range(10):
            clients.enter_context(connect(proxy)).sendall(b"hello")
        server.wait_accepted(10)
        STATES[state](proxy)
        started = time.monotonic()
        proxy.close()
        assert time.monotonic() - started < 1


def test_close_ends_who_never_reads() -> None:
    """Closing does not wait for bytes that nobody takes."""
    with proxied(Silence()) as (proxy, _), connect(proxy) as client:
        flood(client)
        started = time.monotonic()
        proxy.close()
        assert time.monotonic() - started < 1


def test_close_twice(proxy: FaultProxy) -> None:
    """A closed proxy can be closed again, takes no orders, and its port is free."""
    proxy.close()
    proxy.close()
    for order in (proxy.heal, proxy.refuse, proxy.reset, proxy.stall, proxy.cut):
        with pytest.raises(RuntimeError, match="closed"):
            order()
    FaultServer(Refuse(), port=proxy.port).close()
