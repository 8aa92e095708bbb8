"""The PostgreSQL that other tests rely on does what it says, whatever runs it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from integration.services.postgres_local import LocalPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.services.postgres import PostgresService

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def execute(postgres: PostgresService, statement: str) -> None:
    """Run a statement by psycopg itself."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(statement)


def count(postgres: PostgresService) -> int:
    """Rows that are there."""
    with psycopg.connect(postgres.conninfo) as connection:
        return len(connection.execute("SELECT FROM kept").fetchall())


def refusal(postgres: PostgresService) -> int:
    """The errno of a connection attempt; 0 for none."""
    with socket.socket() as client:
        return client.connect_ex((postgres.host, postgres.port))


def traces(postgres: PostgresService) -> tuple[list[Path], int]:
    """The directory of a running server, those of its processes, and its shared memory."""
    with psycopg.connect(postgres.admin_conninfo) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row
    pid, data, *_, memory, _ = row[0].splitlines()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    processes = [Path("/proc") / number for number in (pid, *children)]
    return [Path(data).parent, *processes], int(memory.split()[1])


def shared_memory() -> set[int]:
    """The System V segments of this machine."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what the kernel does in its own time."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def kept(database: PostgresService) -> Iterator[PostgresService]:
    """The server with an empty table `kept`."""
    execute(database, "CREATE TABLE kept ()")
    yield database
    if not database.running:
        database.start()
    execute(database, "DROP TABLE kept")


def test_the_role_is_an_ordinary_one(database: PostgresService) -> None:
    """The connection parameters lead to the database, as its owner but not as a superuser."""
    query = "SELECT current_user, current_database(), current_setting('is_superuser')"
    with psycopg.connect(**database.params) as connection:
        assert connection.execute(query).fetchone() == ("app", "app", "off")
    with psycopg.connect(database.admin_conninfo) as connection:
        assert connection.execute(query).fetchone() == ("postgres", "app", "on")


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"user": "stranger"}])
def test_a_wrong_password_is_rejected(database: PostgresService, wrong: dict[str, str]) -> None:
    """Nobody gets in without the password."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**database.params | wrong)


def test_kill_refuses_at_once(database: PostgresService) -> None:
    """When kill returns, the port refuses and sessions have lost their server, for good."""
    with psycopg.connect(database.conninfo) as session:
        database.kill()
        assert [refusal(database) for _ in range(500)] == [errno.ECONNREFUSED] * 500
        # In a container a session may live long enough to miss its postmaster, and say so.
        with pytest.raises(
            psycopg.OperationalError, match=r"closed the connection|postmaster exit"
        ):
            session.execute("SELECT 1")
    assert not database.running


def test_nobody_takes_the_port_meanwhile(database: PostgresService) -> None:
    """The port of a killed server is reserved for it."""
    database.kill()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((database.host, database.port))


def test_acknowledged_rows_survive_every_kill(kept: PostgresService) -> None:
    """Each start brings the same port back, and every row that was acknowledged before."""
    port = kept.port
    for kills in range(1, 11):
        with psycopg.connect(kept.conninfo, autocommit=True) as session:
            session.execute("INSERT INTO kept DEFAULT VALUES")
            kept.kill()
        before = time.monotonic()
        accepting = kept.start()
        assert before < accepting <= time.monotonic()
        assert (kept.port, count(kept)) == (port, kills)


def test_stop_is_announced(kept: PostgresService) -> None:
    """A session learns of a shutdown by SQLSTATE 57P01; start brings port and data back."""
    with psycopg.connect(kept.conninfo, autocommit=True) as session:
        session.execute("INSERT INTO kept DEFAULT VALUES")
        kept.stop()
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")
    assert refusal(kept) == errno.ECONNREFUSED
    kept.start()
    assert count(kept) == 1


def test_pause_is_silence(database: PostgresService) -> None:
    """A paused server takes connections and says nothing; resumed it answers them."""
    with psycopg.connect(database.conninfo) as session:
        database.pause()
        with socket.create_connection((database.host, database.port), timeout=0.2) as client:
            client.sendall(SSL_REQUEST)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert database.running
            database.resume()
            client.settimeout(5)
            assert client.recv(1) == b"N"
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_paused_server_can_be_ended(database: PostgresService, end: str) -> None:
    """Both ends work on a paused server, and it starts again."""
    database.pause()
    getattr(database, end)()
    assert refusal(database) == errno.ECONNREFUSED
    database.start()
    execute(database, "SELECT 1")


def test_state_errors(database: PostgresService) -> None:
    """A running server cannot be started, and one that does not run can only be started."""
    with pytest.raises(RuntimeError, match="running already"):
        database.start()
    database.stop()
    for operation in (
        database.stop,
        database.kill,
        database.pause,
        database.resume,
        database.wait_until_ready,
    ):
        with pytest.raises(RuntimeError, match="not running"):
            operation()


def test_log(database: PostgresService) -> None:
    """The log tells what the server met."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        execute(database, "SELECT FROM nowhere")
    assert 'relation "nowhere" does not exist' in database.log()


@pytest.mark.usefixtures("local_postgres")
@pytest.mark.parametrize("last", ["pause", "kill"])
def test_nothing_is_left_after_exit(last: str) -> None:
    """Exit removes processes, files, shared memory and the reservation, whatever came before."""
    before = set(Path("/proc/self/fd").iterdir())
    with LocalPostgres() as postgres:
        paths, memory = traces(postgres)
        assert paths[0].exists()
        assert memory in shared_memory()
        getattr(postgres, last)()
    assert not [path for path in paths if path.exists()]
    assert memory not in shared_memory()
    assert refusal(postgres) == errno.ECONNREFUSED
    assert set(Path("/proc/self/fd").iterdir()) == before
    postgres.close()


@pytest.mark.usefixtures("local_postgres")
def test_it_does_not_outlive_its_process() -> None:
    """A Python process that is killed takes a server with it, even one that is paused."""
    script = """
        import os, signal
        from integration.services.postgres_local import LocalPostgres
        from integration.test_postgres_service import traces

        with LocalPostgres() as postgres:
            paths, memory = traces(postgres)
            postgres.pause()
            print(memory, *paths, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    memory, home, *_ = done.stdout.split()
    wait_until(lambda: not Path(home).exists())
    assert int(memory) not in shared_memory()
