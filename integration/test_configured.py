"""The application that its environment configures, against a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.postgres import PostgresService

APP = Path(__file__).parent.parent / "examples" / "configured.py"

pytestmark = pytest.mark.integration


@pytest.fixture
def orders(postgres: PostgresService) -> Iterator[PostgresService]:
    """The server, with the table of the application."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id serial PRIMARY KEY)")
    yield postgres
    if not postgres.running:
        postgres.start()
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("DROP TABLE orders")


def start(**variables: str) -> subprocess.Popen[str]:
    """The application in an environment of these variables and no others of its kind."""
    clean = {name: text for name, text in os.environ.items() if name[:2] not in {"PG", "TI"}}
    return subprocess.Popen(
        [sys.executable, "-W", "error", APP],
        stdout=subprocess.PIPE,
        text=True,
        env={**clean, **variables},
    )


def test_two_environments(orders: PostgresService, tmp_path: Path) -> None:
    """Unchanged, it gives up at once in one environment and outlives a restart in the other."""
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:*:*:*:{orders.password}\n")
    passwords.chmod(0o600)
    dsn = tmp_path / "dsn"
    dsn.write_text(f"postgresql://{orders.user}@{orders.host}:{orders.port}/{orders.dbname}\n")
    hurried = {
        "TIELINE_TARGETS__ORDERS_DB__DSN": orders.conninfo,
        "TIELINE_RETRY__MAX_ATTEMPTS": "1",
    }
    patient = {
        "PGPASSFILE": str(passwords),
        "TIELINE_TARGETS__ORDERS_DB__DSN_FILE": str(dsn),
        "TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS": "none",
        "TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT": "30s",
        "TIELINE_BREAKER": "none",
        "TIELINE_BUDGET": "none",
    }
    for variables in (hurried, patient):
        with start(**variables) as running:
            assert running.communicate()[0] == "0 open orders\n"
    orders.stop()
    with start(**hurried) as running:
        assert running.communicate()[0].startswith("Refused after 1 attempts: orders-db: ")
    with start(**patient) as running:
        orders.start()
        assert running.communicate()[0] == "0 open orders\n"
