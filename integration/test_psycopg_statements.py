"""What becomes of a statement when its connection breaks, its time is up, or somebody interrupts."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import FLAVOURS, flavour
from tieline.testing import reset_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.services.postgres import PostgresService
    from tests.dropins.flavours import Flavour

WAIT = "SELECT pg_sleep(30)"
SLOW_COMMIT = """
CREATE TABLE slow (id int);
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


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
def tables(postgres: PostgresService) -> Iterator[PostgresService]:
    """The server with `kept`, an empty table, and `slow`, whose COMMIT takes half a minute."""
    with native.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        connection.execute(SLOW_COMMIT)
    yield postgres
    if not postgres.running:
        postgres.start()
    with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
        # A server goes on with a statement whose client has left.
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            (postgres.user,),
        )
    with native.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("DROP TABLE kept, slow; DROP FUNCTION dawdle")


def rows(postgres: PostgresService, table: str = "kept") -> int:
    """How many there are."""
    with native.connect(postgres.conninfo) as connection:
        return len(connection.execute(f"SELECT FROM {table}").fetchall())  # type: ignore[call-overload]


def terminate(postgres: PostgresService, connection: native.Connection[Any]) -> None:
    """End its session, and wait until the server has told it so."""
    with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
        pid = connection.info.backend_pid
        assert admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)


@contextmanager
def struck(postgres: PostgresService, how: str = "terminate") -> Iterator[None]:
    """The session that sleeps in the server, once it does, is terminated, or all are killed."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid != ALL (%s)"
    with native.connect(postgres.admin_conninfo) as admin:
        others = [row[0] for row in admin.execute(query, ([],))]

    def strike() -> None:
        with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
            while (row := admin.execute(query, (others,)).fetchone()) is None:
                time.sleep(0.01)
            if how == "terminate":
                admin.execute("SELECT pg_terminate_backend(%s)", row)
            else:
                postgres.kill()

    striker = threading.Thread(target=strike)
    striker.start()
    try:
        yield
    finally:
        striker.join()


def lost(statement: Callable[[], object]) -> tieline.TielineError:
    """The error of a statement whose connection broke."""
    with pytest.raises(native.Error) as caught:
        statement()
    assert isinstance(caught.value, tieline.TielineError)
    return caught.value


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_lost_in_a_transaction(client: Flavour, tables: PostgresService, how: str) -> None:
    """Inside a transaction nothing can have been applied, and the error says so."""
    with client.connect(tables.conninfo, target="orders-db") as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        with struck(tables, how):
            error = lost(lambda: connection.execute(WAIT))
        assert isinstance(error, tieline.ConnectionLost)
        assert not error.maybe_applied
        assert error.target == "orders-db"
        assert connection.broken
    if how == "kill":
        tables.start()
    assert rows(tables) == 0


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_lost_outside_a_transaction(client: Flavour, tables: PostgresService, how: str) -> None:
    """In autocommit mode a statement under way may have been applied."""
    with client.connect(tables.conninfo, autocommit=True) as connection, struck(tables, how):
        error = lost(lambda: connection.execute(WAIT))
    assert isinstance(error, tieline.OutcomeUnknown)
    assert isinstance(error, native.OperationalError)
    assert error.maybe_applied


def commit(connection: native.Connection[Any]) -> None:
    """By the method."""
    connection.execute("INSERT INTO slow VALUES (1)")
    connection.commit()


def commit_by_hand(connection: native.Connection[Any]) -> None:
    """By a statement, behind a comment."""
    connection.execute("INSERT INTO slow VALUES (1)")
    connection.execute("/* done */ COMMIT")


def commit_by_block(connection: native.Connection[Any]) -> None:
    """At the end of a transaction block."""
    with connection.transaction():
        connection.execute("INSERT INTO slow VALUES (1)")


def commit_in_autocommit(connection: native.Connection[Any]) -> None:
    """At the end of a transaction block in autocommit mode."""
    connection.set_autocommit(True)
    commit_by_block(connection)


def commit_with_the_connection(connection: native.Connection[Any]) -> None:
    """At the end of the connection's own block."""
    with connection:
        connection.execute("INSERT INTO slow VALUES (1)")


def commit_behind_a_statement(connection: native.Connection[Any]) -> None:
    """In one message with the statement."""
    connection.execute("INSERT INTO slow VALUES (1); COMMIT")


def commit_in_a_string(connection: native.Connection[Any]) -> None:
    """Behind what looks like a comment, and is a string."""
    connection.execute("INSERT INTO slow VALUES (1)")
    connection.execute("SELECT '--'; COMMIT")


def commit_in_a_pipeline(connection: native.Connection[Any]) -> None:
    """In pipeline mode."""
    with connection.pipeline():
        connection.execute("INSERT INTO slow VALUES (1)")
        connection.commit()


def many(connection: native.Connection[Any]) -> None:
    """Several statements, each of which commits itself."""
    connection.set_autocommit(True)
    connection.cursor().executemany("INSERT INTO slow VALUES (%s)", [(1,), (2,)])


def copy_in(connection: native.Connection[Any]) -> None:
    """A COPY that commits itself."""
    connection.set_autocommit(True)
    with connection.cursor().copy("COPY slow FROM STDIN") as copy:
        copy.write_row((1,))


def rolled_back_then_more(connection: native.Connection[Any]) -> None:
    """What follows a ROLLBACK in one message commits itself."""
    connection.execute("SELECT 1")
    connection.execute("ROLLBACK; INSERT INTO slow VALUES (1)")


@pytest.mark.parametrize(
    "end",
    [
        commit,
        commit_by_hand,
        commit_by_block,
        commit_in_autocommit,
        commit_with_the_connection,
        commit_behind_a_statement,
        commit_in_a_string,
        commit_in_a_pipeline,
        many,
        copy_in,
        rolled_back_then_more,
    ],
    ids=lambda end: end.__name__,
)
def test_a_commit_in_flight(
    client: Flavour, tables: PostgresService, end: Callable[[native.Connection[Any]], None]
) -> None:
    """However a COMMIT is said, one without an answer raises OutcomeUnknown."""
    connection = client.connect(tables.conninfo)
    try:
        with struck(tables):
            error = lost(lambda: end(connection))
    finally:
        connection.close()
    assert isinstance(error, tieline.OutcomeUnknown)
    assert error.maybe_applied


def test_a_commit_of_two_phases_in_flight(client: Flavour, tables: PostgresService) -> None:
    """A commit of a two-phase transaction that is not prepared is a COMMIT like any other."""
    with client.connect(tables.conninfo) as connection:
        connection.tpc_begin("one")
        connection.execute("INSERT INTO slow VALUES (1)")
        with struck(tables):
            error = lost(connection.tpc_commit)
    assert isinstance(error, tieline.OutcomeUnknown)


def test_a_commit_that_a_kill_cuts(client: Flavour, tables: PostgresService) -> None:
    """A server that dies during COMMIT, and comes back, holds the row or not; nothing is replayed."""
    with client.connect(tables.conninfo) as connection:
        connection.execute("INSERT INTO slow VALUES (1)")
        with struck(tables, "kill"):
            error = lost(connection.commit)
    assert isinstance(error, tieline.OutcomeUnknown)
    tables.start()
    assert rows(tables, "slow") == 0


def insert(connection: native.Connection[Any]) -> None:
    """One row."""
    connection.execute("INSERT INTO kept VALUES (2)")


def copy_to_server(connection: native.Connection[Any]) -> None:
    """More rows than fit into any buffer."""
    with connection.cursor().copy("COPY kept FROM STDIN") as copy:
        for number in range(10_000_000):
            copy.write_row((number,))


def copy_from_server(connection: native.Connection[Any]) -> None:
    """All rows."""
    with connection.cursor().copy("COPY kept TO STDOUT") as copy:
        for _ in copy:
            pass


def stream(connection: native.Connection[Any]) -> None:
    """All rows, one by one."""
    for _ in connection.cursor().stream("SELECT * FROM kept"):
        pass


def server_cursor(connection: native.Connection[Any]) -> None:
    """A cursor in the server."""
    with connection.cursor("named") as cursor:
        cursor.execute("SELECT * FROM kept")


def savepoint(connection: native.Connection[Any]) -> None:
    """A transaction in the transaction."""
    with connection.transaction():
        insert(connection)


@pytest.mark.parametrize(
    "use",
    [insert, copy_to_server, copy_from_server, stream, server_cursor, savepoint],
    ids=lambda use: use.__name__,
)
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "first"])
def test_terminated_while_idle(
    client: Flavour,
    tables: PostgresService,
    use: Callable[[native.Connection[Any]], None],
    *,
    begun: bool,
) -> None:
    """In a transaction, or at its BEGIN, a terminated session applied nothing: ConnectionLost."""
    with client.connect(tables.conninfo) as connection:
        if begun:
            connection.execute("INSERT INTO kept VALUES (1)")
        terminate(tables, connection)
        error = lost(lambda: use(connection))
        assert isinstance(error, tieline.ConnectionLost)
        assert not error.maybe_applied
        assert connection.broken
    assert rows(tables) == 0


@pytest.mark.parametrize("autocommit", [True, False])
def test_use_after_the_loss(client: Flavour, tables: PostgresService, *, autocommit: bool) -> None:
    """A connection known to be lost says so, and that nothing was sent, by every way to use it."""
    connection = client.connect(tables.conninfo, autocommit=autocommit)
    cursor = connection.cursor()
    terminate(tables, connection)
    lost(lambda: insert(connection))
    for use in (
        lambda: insert(connection),
        lambda: cursor.execute("INSERT INTO kept VALUES (3)"),
        connection.cursor,
        connection.commit,
        connection.rollback,
    ):
        error = lost(use)
        assert isinstance(error, tieline.ConnectionLost)
        assert not error.maybe_applied
        assert error.failure is not None
        assert error.failure.safety is tieline.Safety.ALWAYS
        assert f"{tables.host}:{tables.port}" in str(error)
    connection.close()
    assert rows(tables) == 0


def test_a_listener_sent_nothing(client: Flavour, tables: PostgresService) -> None:
    """A session lost while it waits for notifications leaves no outcome unknown."""
    with client.connect(tables.conninfo, autocommit=True) as connection:
        connection.execute("LISTEN news")
        terminate(tables, connection)
        error = lost(lambda: list(connection.notifies()))
    assert isinstance(error, tieline.ConnectionLost)
    assert not error.maybe_applied


def test_a_closed_connection(client: Flavour, postgres: PostgresService) -> None:
    """A connection closed by its user raises psycopg's error, and nothing of ours."""
    connection = client.connect(postgres.conninfo)
    connection.close()
    with pytest.raises(native.OperationalError, match="the connection is closed") as caught:
        connection.execute("SELECT 1")
    assert not isinstance(caught.value, tieline.TielineError)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO kept VALUES (1), (1)", native.errors.UniqueViolation),
        ("SELEKT 1", native.errors.SyntaxError),
        ("SELECT 1/0", native.errors.DivisionByZero),
        ("SELECT FROM nowhere", native.errors.UndefinedTable),
    ],
)
@pytest.mark.parametrize("autocommit", [True, False])
def test_errors_of_sql_pass(
    client: Flavour,
    tables: PostgresService,
    statement: str,
    expected: type[Exception],
    *,
    autocommit: bool,
) -> None:
    """An error that says nothing of the connection is psycopg's own object, class and all."""
    with client.connect(tables.conninfo, autocommit=autocommit) as connection:
        with pytest.raises(expected) as caught:
            connection.execute(statement)  # type: ignore[call-overload]
        assert type(caught.value) is expected
        assert not hasattr(caught.value, "__notes__")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_deadline_cuts_a_statement(
    client: Flavour, tables: PostgresService, *, autocommit: bool
) -> None:
    """On time, and the connection goes with it: its answer must not be taken for another's."""
    with client.connect(tables.conninfo, autocommit=autocommit) as connection:
        began = time.monotonic()
        with pytest.raises(tieline.DeadlineExceeded) as caught, tieline.deadline(0.35):
            connection.execute(WAIT)
        assert 0.35 <= time.monotonic() - began < 0.6
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, native.OperationalError)
        assert caught.value.maybe_applied == autocommit
        assert connection.closed
        assert connection.broken


def test_a_deadline_ends_with_its_block(client: Flavour, postgres: PostgresService) -> None:
    """A connection opened inside a deadline outlives it."""
    with tieline.deadline(0.2):
        connection = client.connect(postgres.conninfo)
    with connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(0.3)").fetchone() == (1,)
        with tieline.deadline(5):
            assert connection.execute("SELECT 1 FROM pg_sleep(0.15)").fetchone() == (1,)


def test_nothing_begins_after_the_deadline(client: Flavour, tables: PostgresService) -> None:
    """A statement that there is no time for is not sent, and an idle connection stays usable."""
    with client.connect(tables.conninfo, autocommit=True) as connection:
        with tieline.deadline(0.05):
            time.sleep(0.06)
            with pytest.raises(tieline.DeadlineExceeded) as caught:
                insert(connection)
        assert not caught.value.maybe_applied
        insert(connection)
    assert rows(tables) == 1


def test_no_commit_after_the_deadline(client: Flavour, tables: PostgresService) -> None:
    """A transaction that the deadline overtakes is rolled back, whatever is done with it later."""
    with client.connect(tables.conninfo, autocommit=True) as connection:
        with (
            pytest.raises(tieline.DeadlineExceeded) as caught,
            tieline.deadline(0.2),
            connection.transaction(),
        ):
            insert(connection)
            time.sleep(0.25)
        assert not caught.value.maybe_applied
        assert connection.closed
    assert rows(tables) == 0


def test_a_deadline_over_a_stream(client: Flavour, postgres: PostgresService) -> None:
    """Rows that trickle in do not extend the deadline."""
    query = "SELECT i, pg_sleep(0.02) FROM generate_series(1, 1000) AS i"
    with client.connect(postgres.conninfo) as connection:
        began = time.monotonic()
        with pytest.raises(tieline.DeadlineExceeded), tieline.deadline(0.3):
            for _ in connection.cursor().stream(query):
                pass
        assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("seconds", [None, 0.35, 20.0])
@pytest.mark.parametrize("ours", [False, True], ids=["native", "ours"])
def test_ctrl_c(
    client: Flavour, postgres: PostgresService, seconds: float | None, *, ours: bool
) -> None:
    """An interrupted statement is cancelled, and the connection goes on as psycopg's does."""
    connect = client.connect if ours else client.connect_natively
    with connect(postgres.conninfo, autocommit=True) as connection:
        before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(KeyboardInterrupt), tieline.deadline(seconds):
                connection.execute(WAIT)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert connection.info.transaction_status == native.pq.TransactionStatus.IDLE
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_guard_does_not_repeat_what_was_sent(client: Flavour, tables: PostgresService) -> None:
    """A statement marks the guard around it: a later refusal does not run it a second time."""
    calls = []

    @tieline.guard("guarded-statement")
    def work() -> None:
        calls.append(1)
        with client.connect(tables.conninfo, autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES (%s)", (len(calls),))
        tables.kill()
        client.connect(tables.conninfo).close()

    with pytest.raises(tieline.Refused):
        work()
    tables.start()
    assert len(calls) == rows(tables) == 1


def test_a_guard_knows_of_an_outcome_that_was_swallowed(
    client: Flavour, tables: PostgresService
) -> None:
    """A statement whose outcome is unknown counts as sent, also when its error is caught inside."""
    calls = []

    @tieline.guard("guarded-unknown")
    def work() -> None:
        calls.append(1)
        connection = client.connect(tables.conninfo, autocommit=True)
        terminate(tables, connection)
        lost(lambda: insert(connection))
        connection.close()
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        work()
    assert len(calls) == 1


def test_a_guard_repeats_what_was_not_sent(client: Flavour, tables: PostgresService) -> None:
    """A connection known to be lost sends nothing, so the guard runs the function again."""
    broken = client.connect(tables.conninfo, autocommit=True)
    terminate(tables, broken)
    lost(lambda: insert(broken))
    calls = []

    @tieline.guard("guarded-unsent", policy=tieline.Policy(backoff=tieline.Backoff(initial=0.01)))
    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            insert(broken)
        with client.connect(tables.conninfo, autocommit=True) as connection:
            insert(connection)

    work()
    broken.close()
    assert (len(calls), rows(tables)) == (2, 1)


def test_nothing_is_replayed(client: Flavour, tables: PostgresService) -> None:
    """Every acknowledged row is there, once; an unacknowledged one at most once."""
    acknowledged = []
    done = threading.Event()

    def write() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            try:
                with client.connect(tables.conninfo, autocommit=True) as connection:
                    connection.execute("INSERT INTO kept VALUES (%s)", (number,))
            except tieline.TielineError:
                continue
            acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        time.sleep(0.2)
        tables.kill()
        tables.start()
    done.set()
    writer.join()
    with native.connect(tables.conninfo) as connection:
        found = {row[0] for row in connection.execute("SELECT id FROM kept")}
    # A second insert of one number would have been a UniqueViolation, which ends the thread.
    assert set(acknowledged) <= found
    assert acknowledged


def test_a_native_pool_drops_what_is_lost(client: Flavour, tables: PostgresService) -> None:
    """A pool of psycopg's own, with our connections, replaces one whose statement was lost."""
    with client.open_pool(tables.conninfo, min_size=1, max_size=1) as pool:
        with pytest.raises(tieline.ConnectionLost), pool.connection() as connection:
            terminate(tables, connection)
            insert(connection)
        with (
            pytest.raises(tieline.DeadlineExceeded),
            pool.connection() as connection,
            tieline.deadline(0.2),
        ):
            connection.execute(WAIT)
        with pool.connection() as connection:
            insert(connection)
    assert rows(tables) == 1
