"""Connecting to a real PostgreSQL that declines, is full, restarts or goes away."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import FLAVOURS, flavour
from tieline.events import CallRecovered
from tieline.testing import FaultServer, RecordingListener, reset_targets
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.services.postgres import PostgresService
    from tests.dropins.flavours import Flavour

ONCE = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None, budget=None)
PATIENT = tieline.Policy(
    retry=tieline.Retry(max_attempts=None),
    backoff=tieline.Backoff(initial=0.05, max=0.1),
    breaker=None,
    budget=None,
)


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    """`tieline.psycopg`, in threads and on asyncio."""
    with flavour(request.param) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_targets() -> None:
    """Every breaker closed and every budget full."""
    reset_targets()


def end_sessions(postgres: PostgresService) -> None:
    """End those that earlier tests have left: a server goes on with what nobody waits for."""
    with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            (postgres.user,),
        )


def declined(client: Flavour, postgres: PostgresService, **wrong: Any) -> tieline.TielineError:
    """The error of a connect with something wrong."""
    with pytest.raises(tieline.Declined) as caught:
        client.connect(**postgres.params | wrong)
    assert isinstance(caught.value, native.OperationalError)
    assert postgres.password not in str(caught.value)
    return caught.value


def test_a_wrong_password_is_sent_once(client: Flavour, postgres: PostgresService) -> None:
    """28P01: one attempt, one line in the server's log, however many addresses and hosts."""
    before = postgres.log().count("password authentication failed")
    error = declined(client, postgres, host="127.0.0.1,localhost", password="wrong")
    assert isinstance(error, tieline.AuthenticationFailed)
    assert error.failure is not None
    assert error.failure.code == "28P01"
    assert len(error.attempts) == 1
    assert postgres.log().count("password authentication failed") == before + 1


def test_no_password(client: Flavour, postgres: PostgresService) -> None:
    """A server that asks for a password that nobody gave: AuthenticationFailed, once."""
    error = declined(client, postgres, password="")
    assert isinstance(error, tieline.AuthenticationFailed)
    assert error.hint is not None
    assert "none was given" in error.hint


def test_no_such_database(client: Flavour, postgres: PostgresService) -> None:
    """3D000 is TargetNotFound."""
    error = declined(client, postgres, dbname="nowhere")
    assert isinstance(error, tieline.TargetNotFound)
    assert error.failure is not None
    assert error.failure.code == "3D000"


def test_no_entry_for_replication(client: Flavour, postgres: PostgresService) -> None:
    """28000, no entry in pg_hba.conf, is AuthenticationFailed."""
    error = declined(client, postgres, replication="true")
    assert isinstance(error, tieline.AuthenticationFailed)
    assert error.failure is not None
    assert error.failure.code == "28000"


def test_a_bad_setting(client: Flavour, postgres: PostgresService) -> None:
    """22023, a setting that the server rejects, is Declined and not repeated."""
    error = declined(client, postgres, options="-c work_mem=banana")
    assert error.failure is not None
    assert (error.failure.kind, error.failure.code) == (tieline.Kind.SETTINGS, "22023")
    assert len(error.attempts) == 1


@pytest.mark.parametrize("role", ["standby", "read-only"])
def test_another_role(client: Flavour, postgres: PostgresService, role: str) -> None:
    """A primary where a standby is asked for: Declined, which says nothing of its health."""
    error = declined(client, postgres, target_session_attrs=role, policy=ONCE)
    assert error.failure is not None
    assert error.failure.kind is tieline.Kind.WRONG_ROLE


def test_prefer_standby_takes_a_primary(client: Flavour, postgres: PostgresService) -> None:
    """Without any standby, prefer-standby is content with the primary."""
    with client.connect(**postgres.params, target_session_attrs="prefer-standby") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_full_server(client: Flavour, postgres: PostgresService) -> None:
    """53300 is TooBusy; it is repeated, and succeeds once a slot is free."""
    end_sessions(postgres)
    with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {postgres.user} CONNECTION LIMIT 2")
    try:
        with ExitStack() as slots:
            for _ in range(2):
                slots.enter_context(native.connect(postgres.conninfo))
            error = declined(client, postgres, policy=ONCE)
            assert isinstance(error, tieline.TooBusy)
            assert error.failure is not None
            assert error.failure.code == "53300"
            leaving = threading.Timer(0.3, slots.close)
            leaving.start()
            with client.connect(postgres.conninfo, policy=PATIENT) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            leaving.join()
    finally:
        with native.connect(postgres.admin_conninfo, autocommit=True) as admin:
            admin.execute(f"ALTER ROLE {postgres.user} CONNECTION LIMIT -1")


def test_a_restart_within_one_call(client: Flavour, postgres: PostgresService) -> None:
    """A connect that begins while the server is down ends well when it comes back in time."""
    postgres.kill()
    with pytest.raises(tieline.Refused):
        client.connect(postgres.conninfo, policy=ONCE)
    starter = threading.Timer(0.3, postgres.start)
    starter.start()
    try:
        with (
            RecordingListener() as heard,
            client.connect(postgres.conninfo, policy=PATIENT) as connection,
        ):
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert heard.of(CallRecovered)
    finally:
        starter.join()


def test_a_server_that_shuts_down_is_not_ready(
    client: Flavour, local_postgres: PostgresService
) -> None:
    """57P03, told by a server that is shutting down, is NotReady."""
    end_sessions(local_postgres)
    with client.connect(local_postgres.admin_conninfo) as holder:
        # A smart shutdown waits for its sessions and lets in nobody else.
        pid = holder.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        assert pid
        holder.commit()
        os.kill(int(pid[0].split()[0]), signal.SIGTERM)
        until = time.monotonic() + 5
        code = None
        while code is None:
            try:
                client.connect(local_postgres.conninfo, policy=ONCE).close()
            except tieline.NotReady as error:
                code = error.failure and error.failure.code
            assert time.monotonic() < until
            time.sleep(0.01)
        assert code == "57P03"
    while local_postgres.running:
        time.sleep(0.01)
    local_postgres.start()


def test_the_next_host(client: Flavour, postgres: PostgresService) -> None:
    """A dead host before a living one costs nothing but its refusal."""
    with FaultServer(Refuse()) as dead:
        arguments = postgres.params | {
            "host": f"127.0.0.1,{postgres.host}",
            "port": f"{dead.port},{postgres.port}",
        }
        with client.connect(**arguments) as connection:
            assert connection.info.port == postgres.port
        if native.pq.version() < 160000:
            pytest.skip("load_balance_hosts came with libpq 16")
        for _ in range(10):
            with client.connect(**arguments, load_balance_hosts="random") as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_frozen_server(client: Flavour, postgres: PostgresService) -> None:
    """A server that takes connections and says nothing is left in time."""
    postgres.pause()
    began = time.monotonic()
    try:
        with pytest.raises(tieline.HandshakeFailed) as caught:
            client.connect(postgres.conninfo, connect_timeout=0.3, policy=ONCE)
    finally:
        postgres.resume()
    assert 0.3 <= time.monotonic() - began < 1
    assert caught.value.failure is not None
    assert caught.value.failure.kind is tieline.Kind.TIMEOUT


def test_errors_of_sql_show_no_code(client: Flavour, postgres: PostgresService) -> None:
    """Once connected, messages read as they do natively: the verbosity is back to normal."""
    texts = []
    for connect in (client.connect_natively, client.connect):
        with connect(postgres.conninfo) as connection:
            with pytest.raises(native.errors.UndefinedTable) as caught:
                connection.execute("SELECT FROM nowhere")
            texts.append((str(caught.value), connection.pgconn.get_error_message()))
    assert texts[0] == texts[1]
