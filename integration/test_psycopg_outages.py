"""tieline.psycopg through the outages of a real PostgreSQL: what it says, and what the server saw."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import FLAVOURS, flavour
from tieline import Kind, Phase
from tieline.events import CallRecovered
from tieline.testing import RecordingListener, reset_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.services.postgres import PostgresService
    from tests.dropins.flavours import Flavour

pytestmark = pytest.mark.integration

ONCE = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None, budget=None)
PATIENT = tieline.Policy(
    retry=tieline.Retry(max_attempts=None),
    backoff=tieline.Backoff(initial=0.05, max=0.1),
    breaker=None,
    budget=None,
)
WAIT = "SELECT pg_sleep(30)"
# What ends by itself takes less, and so does what ends on time and is seen a little later.
AT_ONCE = 3.0


class Witness:
    """What the server has noted in its log since this began."""

    def __init__(self, database: PostgresService) -> None:
        self._database = database
        self._since = self._mark()

    def count(self, *words: str, settled: bool = True) -> int:
        """Lines with all of some words.

        Args:
            words: Of a line.
            settled: Whether to wait for what is under way; the server must be within reach.
        """
        if settled:
            self._mark()
        lines = self._database.log().partition(self._since)[2].splitlines()
        return sum(all(word in line for word in words) for line in lines)

    def logins(self, *, settled: bool = True) -> int:
        """Sessions of the application."""
        return self.count("connection authorized: user=app", settled=settled)

    def _mark(self) -> str:
        """Have the server write a line of ours, and wait until it is there: a log may lag behind."""
        mark = f"mark {secrets.token_hex(8)}"
        with native.connect(self._database.admin_conninfo, autocommit=True) as admin:
            admin.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")  # type: ignore[call-overload]
        deadline = time.monotonic() + 5
        while mark not in self._database.log():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return mark


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    """`tieline.psycopg`, in threads and on asyncio."""
    with flavour(request.param) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_targets() -> None:
    """Every breaker closed and every budget full."""
    reset_targets()


@pytest.fixture
def kept(database: PostgresService) -> Iterator[PostgresService]:
    """The server with an empty table."""
    with native.connect(database.conninfo) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    yield database
    database.restore()
    with native.connect(database.admin_conninfo, autocommit=True) as admin:
        # A server goes on with a session whose client it has not missed yet.
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            (database.user,),
        )
        admin.execute("DROP TABLE kept")


def rows(database: PostgresService) -> int:
    """How many there are."""
    with native.connect(database.conninfo) as connection:
        return len(connection.execute("SELECT FROM kept").fetchall())


def failed(expected: type[tieline.TielineError], call: Callable[[], object]) -> Any:
    """The error of a call, which is ours and psycopg's."""
    with pytest.raises(expected) as caught:
        call()
    assert isinstance(caught.value, native.OperationalError)
    assert caught.value.failure is not None
    return caught.value


def cause(error: tieline.TielineError) -> tuple[Phase, Kind, str]:
    """Phase, kind and code."""
    assert error.failure is not None
    return error.failure.phase, error.failure.kind, error.failure.code


@contextmanager
def soon(action: Callable[[], object], seconds: float = 0.3) -> Iterator[None]:
    """Something that happens while the block runs."""
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@contextmanager
def takes(least: float, most: float = AT_ONCE) -> Iterator[None]:
    """Seconds that the block takes."""
    began = time.monotonic()
    yield
    elapsed = time.monotonic() - began
    assert least <= elapsed < least + most


def test_a_restart(client: Flavour, kept: PostgresService) -> None:
    """A transaction is lost, by the server's own word; a connect outlasts the rest of a restart."""
    witness = Witness(kept)
    with client.connect(kept.conninfo) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        kept.stop()
        with takes(0):
            lost = failed(tieline.ConnectionLost, lambda: connection.execute("SELECT 1"))
    assert cause(lost) == (Phase.RECEIVE, Kind.SHUTDOWN, "57P01")
    assert not lost.maybe_applied
    with takes(0):
        refused = failed(tieline.Refused, lambda: client.connect(kept.conninfo, policy=ONCE))
    assert cause(refused) == (Phase.CONNECT, Kind.REFUSED, "ECONNREFUSED")
    with RecordingListener() as heard, soon(kept.start), takes(0.25, 5):
        client.connect(kept.conninfo, policy=PATIENT).close()
    assert heard.of(CallRecovered)
    assert witness.logins() == 2
    assert witness.count("received fast shutdown request") == 1
    assert rows(kept) == 0


def test_a_kill(client: Flavour, kept: PostgresService) -> None:
    """A statement under way is lost at once, and neither repeated nor applied."""
    witness = Witness(kept)
    with client.connect(kept.conninfo) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        with soon(kept.kill), takes(0.3):
            lost = failed(tieline.ConnectionLost, lambda: connection.execute(WAIT))
    phase, kind, _ = cause(lost)
    assert phase is Phase.RECEIVE
    # A server that dies sends FIN, or RST if it has left something unread; so does a proxy. In a
    # container a session may live long enough to miss its postmaster, and say so.
    assert kind in {Kind.EOF, Kind.RESET, Kind.SHUTDOWN}
    assert not lost.maybe_applied
    refused = failed(tieline.Refused, lambda: client.connect(kept.conninfo, policy=ONCE))
    assert cause(refused) == (Phase.CONNECT, Kind.REFUSED, "ECONNREFUSED")
    kept.start()
    assert witness.count("database system was not properly shut down") == 1
    assert witness.logins() == 1
    assert rows(kept) == 0


def test_a_pause(client: Flavour, kept: PostgresService) -> None:
    """Silence ends at the caller's limits, and what waits in the server's queue is not a session."""
    witness = Witness(kept)
    with client.connect(kept.conninfo) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        kept.pause()
        with takes(0.4), tieline.deadline(0.4):
            failed(tieline.DeadlineExceeded, lambda: connection.execute("SELECT 1"))
    with takes(0.4):
        silent = failed(
            tieline.HandshakeFailed,
            lambda: client.connect(kept.conninfo, connect_timeout=0.4, policy=ONCE),
        )
    assert cause(silent)[:2] == (Phase.HANDSHAKE, Kind.TIMEOUT)
    with soon(kept.resume), takes(0.25):
        client.connect(kept.conninfo, policy=PATIENT).close()
    assert witness.logins() == 2
    assert rows(kept) == 0


@pytest.mark.cut
def test_a_cut_network(client: Flavour, kept: PostgresService) -> None:
    """Packets that vanish end at the caller's limits; nothing arrives until the network is back."""
    with client.connect(kept.conninfo) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        witness = Witness(kept)
        arrived = witness.count("connection received")
        kept.cut()
        with takes(0.4), tieline.deadline(0.4):
            failed(tieline.DeadlineExceeded, lambda: connection.execute("SELECT 1"))
    with takes(0.4):
        silent = failed(
            tieline.ConnectTimeout,
            lambda: client.connect(kept.conninfo, connect_timeout=0.4, policy=ONCE),
        )
    assert cause(silent)[:2] == (Phase.CONNECT, Kind.TIMEOUT)
    # It has missed nobody: the session that is gone here is still one of its own.
    assert witness.count("connection received", settled=False) == arrived
    assert witness.count("disconnection", "user=app", settled=False) == 0
    impatient = dataclasses.replace(PATIENT, attempt_timeout=0.2)
    with RecordingListener() as heard, soon(kept.mend), takes(0.25, 5):
        client.connect(kept.conninfo, policy=impatient).close()
    assert heard.of(CallRecovered)
    assert witness.logins() == 1
    assert rows(kept) == 0


def test_a_slow_start(client: Flavour, kept: PostgresService) -> None:
    """57P03 is NotReady, and waited for: one login, when the server lets somebody in."""
    witness = Witness(kept)
    with ExitStack() as start:
        start.enter_context(kept.slow_start())
        with takes(0):
            early = failed(tieline.NotReady, lambda: client.connect(kept.conninfo, policy=ONCE))
        assert cause(early) == (Phase.HANDSHAKE, Kind.NOT_READY, "57P03")
        assert witness.logins(settled=False) == 0
        with RecordingListener() as heard, soon(start.close), takes(0.25, 5):
            client.connect(kept.conninfo, policy=PATIENT).close()
    assert heard.of(CallRecovered)
    assert witness.logins() == 1
    assert witness.count("FATAL", "the database system is") >= 2


def test_too_many_clients(client: Flavour, kept: PostgresService) -> None:
    """53300 is TooBusy, at once and by the server's word; a slot that is left is taken."""
    witness = Witness(kept)
    with ExitStack() as slots:
        with pytest.raises(native.OperationalError, match="slots are reserved"):
            while True:
                slots.enter_context(native.connect(kept.conninfo))
        before = witness.count("FATAL")
        with takes(0):
            busy = failed(tieline.TooBusy, lambda: client.connect(kept.conninfo, policy=ONCE))
        assert cause(busy) == (Phase.HANDSHAKE, Kind.BUSY, "53300")
        assert witness.count("FATAL", "slots are reserved") == before + 1
        logins = witness.logins()
        with RecordingListener() as heard, soon(slots.close), takes(0.25, 5):
            client.connect(kept.conninfo, policy=PATIENT).close()
    assert heard.of(CallRecovered)
    # It turns away whom it has let in, so that the superuser keeps a slot.
    turned_away = witness.count("FATAL") - before - 1
    assert witness.logins() == logins + turned_away + 1


def test_a_wrong_password(client: Flavour, kept: PostgresService) -> None:
    """28P01 is AuthenticationFailed, at once, and the password is sent a single time."""
    witness = Witness(kept)
    wrong = kept.params | {"password": "wrong"}
    with takes(0):
        denied = failed(tieline.AuthenticationFailed, lambda: client.connect(**wrong))
    assert cause(denied) == (Phase.HANDSHAKE, Kind.DENIED, "28P01")
    assert len(denied.attempts) == 1
    assert witness.count("FATAL", "password authentication failed") == 1
    assert witness.logins() == 0
