"""tieline.psycopg before a real PostgreSQL, with a FaultProxy on the way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import FLAVOURS, flavour
from tieline import Policy, Retry
from tieline.testing.proxy import Direction, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.services.postgres import PostgresService
    from tests.dropins.flavours import Flavour

pytestmark = pytest.mark.integration

ONCE = Policy(call_timeout=5.0, attempt_timeout=5.0, retry=Retry(max_attempts=1), breaker=None)
MEGABYTE = "SELECT repeat('x', 1000000)"


class Way:
    """The way to the server: the proxy, and how to connect through it."""

    def __init__(
        self, client: Flavour, postgres: PostgresService, proxy: FaultProxy, target: str
    ) -> None:
        self.client = client
        self.postgres = postgres
        self.proxy = proxy
        self.target = target

    def connect(self, **options: Any) -> Any:
        """Connect with a single attempt."""
        params = self.postgres.params | {"port": self.proxy.port}
        return self.client.connect(**params, target=self.target, policy=ONCE, **options)

    def wait_for(self, state: str, statement: str) -> None:
        """Wait, on a way of its own, until the server is so far with the statement."""
        query = "SELECT FROM pg_stat_activity WHERE state = %s AND query = %s"
        deadline = time.monotonic() + 10
        with native.connect(self.postgres.conninfo, autocommit=True) as observer:
            while not observer.execute(query, [state, statement]).fetchall():
                assert time.monotonic() < deadline


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    """`tieline.psycopg`, in threads and on asyncio."""
    with flavour(request.param) as client:
        yield client


@pytest.fixture
def way(
    client: Flavour, postgres: PostgresService, request: pytest.FixtureRequest
) -> Iterator[Way]:
    """A healthy way to the server; the target is the test's own."""
    threads = set(threading.enumerate())
    with FaultProxy((postgres.host, postgres.port)) as proxy:
        yield Way(client, postgres, proxy, request.node.nodeid)
    assert set(threading.enumerate()) <= threads


def assert_works(way: Way) -> None:
    """Connect and ask something."""
    with way.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_healthy(way: Way) -> None:
    """SCRAM, large answers, COPY and transactions pass as if the proxy were not there."""
    with way.connect() as connection:
        row = connection.execute(MEGABYTE).fetchone()
        assert row is not None
        assert len(row[0]) == 1_000_000
        connection.execute("CREATE TEMP TABLE copied (n int)")
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            copy.write("".join(f"{number}\n" for number in range(100_000)))
        assert connection.execute("SELECT sum(n) FROM copied").fetchone() == (4_999_950_000,)
    assert way.proxy.accepted == 1
    assert way.proxy.bytes_down > 1_000_000


def test_many_sessions(way: Way) -> None:
    """Fifty sessions at once work side by side."""

    def session(number: int) -> int:
        with way.connect() as connection:
            row = connection.execute("SELECT %s::int", [number]).fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(session, range(200))) == list(range(200))
    assert way.proxy.accepted == 200


def test_refuse(way: Way) -> None:
    """A refused connection is Refused; healed, the next connect works on the same port."""
    way.proxy.refuse()
    with pytest.raises(tieline.Refused):
        way.connect()
    way.proxy.heal()
    assert_works(way)


def test_drop(way: Way) -> None:
    """A connection request without an answer ends at the deadline; healed, the next works."""
    way.proxy.drop()
    with tieline.deadline(0.2), pytest.raises((tieline.DeadlineExceeded, tieline.ConnectTimeout)):
        way.connect()
    way.proxy.heal()
    assert_works(way)


def test_server_down(way: Way) -> None:
    """A server that is down behind the proxy is HandshakeFailed: accepted, then cut."""
    way.postgres.kill()
    with pytest.raises(tieline.HandshakeFailed):
        way.connect()
    way.postgres.start()
    assert_works(way)


def test_stall_during_a_statement(way: Way) -> None:
    """A statement whose answer is stalled ends with the deadline, and not later."""
    with way.connect() as connection:
        connection.execute("SELECT 1")
        way.proxy.stall(Direction.DOWN)
        started = time.monotonic()
        with tieline.deadline(0.5), pytest.raises(tieline.DeadlineExceeded):
            connection.execute("SELECT 2")
        assert 0.5 <= time.monotonic() - started < 2
    way.proxy.heal()
    assert_works(way)


def test_stall_during_connect(way: Way) -> None:
    """Connecting through a stall ends with the deadline, and not later."""
    way.proxy.stall()
    started = time.monotonic()
    with tieline.deadline(0.3), pytest.raises(tieline.DeadlineExceeded):
        way.connect()
    assert 0.3 <= time.monotonic() - started < 2
    way.proxy.heal()
    assert_works(way)


def test_a_stall_that_heals_in_time(way: Way) -> None:
    """A statement that is held back and then let through has its answer."""
    with way.connect() as connection, ThreadPoolExecutor() as pool:
        connection.execute("SELECT 1")
        way.proxy.stall(Direction.DOWN)
        statement = "SELECT 42 AS held"
        answer = pool.submit(lambda: connection.execute(statement).fetchone())
        way.wait_for("idle in transaction", statement)
        assert not answer.done()
        way.proxy.heal()
        assert answer.result(5) == (42,)


@pytest.mark.parametrize("autocommit", [False, True])
def test_reset_during_a_statement(way: Way, autocommit: bool) -> None:
    """A reset is ConnectionLost in a transaction, and OutcomeUnknown where there is none."""
    statement = "SELECT pg_sleep(30)"
    expected = tieline.OutcomeUnknown if autocommit else tieline.ConnectionLost

    def reset() -> None:
        way.wait_for("active", statement)
        way.proxy.reset()

    with way.connect(autocommit=autocommit) as connection, ThreadPoolExecutor() as pool:
        resetting = pool.submit(reset)
        with pytest.raises(expected) as caught:
            connection.execute(statement)
        resetting.result()
    assert caught.value.maybe_applied is autocommit
    assert_works(way)


@pytest.mark.parametrize("rst", [False, True])
def test_cut_in_an_answer(way: Way, rst: bool) -> None:
    """An answer that breaks off is ConnectionLost, by FIN as by RST; healed, the next works."""
    with way.connect() as connection:
        connection.execute("SELECT 1")
        before = way.proxy.bytes_down
        way.proxy.cut(5000, rst=rst)
        with pytest.raises(tieline.ConnectionLost):
            connection.execute(MEGABYTE)
        assert way.proxy.bytes_down == before + 5000
    way.proxy.heal()
    assert_works(way)


def test_cut_in_a_commit(way: Way) -> None:
    """A COMMIT whose answer is cut off is OutcomeUnknown."""
    with way.connect() as connection:
        connection.execute("CREATE TEMP TABLE doubtful ()")
        way.proxy.cut(1)
        with pytest.raises(tieline.OutcomeUnknown):
            connection.commit()


def test_cut_during_connect(way: Way) -> None:
    """A login that is cut, at whatever byte, is HandshakeFailed."""
    for after in (0, 1, 2, 10, 20, 50, 100):
        way.proxy.cut(after)
        with pytest.raises(tieline.HandshakeFailed):
            way.connect()
        way.proxy.heal()
        assert_works(way)


def test_delay(way: Way) -> None:
    """A delayed answer comes late, and complete."""
    with way.connect() as connection:
        way.proxy.delay(0.05)
        started = time.monotonic()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert time.monotonic() - started >= 0.1
        way.proxy.heal()
