"""An application with no address and no policy in its code, run unchanged in several environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dropins.test_psycopg_connect import declines
from tieline.testing import FaultServer
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).parent.parent / "examples" / "configured.py"
DSN = "TIELINE_TARGETS__ORDERS_DB__DSN"


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    """The application in an environment of these variables and no others of its kind."""
    clean = {name: text for name, text in os.environ.items() if name[:2] not in {"PG", "TI"}}
    return subprocess.run(
        [sys.executable, APP],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**clean, **variables},
    )


@pytest.fixture
def refusing() -> Iterator[FaultServer]:
    """A place where nobody listens."""
    with FaultServer(Refuse()) as server:
        yield server


def test_two_environments(refusing: FaultServer, tmp_path: Path) -> None:
    """Where the database is and how patient to be with it is up to the environment alone."""
    first = run(
        TIELINE_TARGETS__ORDERS_DB__DSN=f"postgresql://app:geheim@127.0.0.1:{refusing.port}/orders",
        TIELINE_RETRY__MAX_ATTEMPTS="1",
    )
    assert first.returncode == 1
    assert first.stdout.startswith("Refused after 1 attempts: orders-db: connection refused by ")
    with FaultServer(declines("57P03")) as starting:
        file = tmp_path / "dsn"
        file.write_text(f"host=127.0.0.1 port={starting.port} user=app password=geheim\n")
        second = run(
            TIELINE_TARGETS__ORDERS_DB__DSN_FILE=str(file),
            TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS="3",
            TIELINE_TARGETS__ORDERS_DB__BACKOFF__MAX="10ms",
            TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT="20s",
            TIELINE_RETRY__MAX_ATTEMPTS="1",
        )
        assert starting.accepted == 3
    assert second.returncode == 1
    assert second.stdout.startswith(
        f"NotReady after 3 attempts: orders-db: 127.0.0.1:{starting.port} is not ready (57P03)"
    )
    assert "geheim" not in first.stdout + first.stderr + second.stdout + second.stderr


def test_a_typo_is_answered(refusing: FaultServer) -> None:
    """A misspelt variable is answered by the right name, and the application runs on."""
    result = run(
        TIELINE_TARGETS__ORDERS_DB__DSN=f"host=127.0.0.1 port={refusing.port}",
        TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATEMPTS="2",
        TIELINE_RETRY__MAX_ATTEMPTS="1",
    )
    assert (
        "ConfigWarning: TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATEMPTS is not a setting; "
        "did you mean TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS?"
    ) in result.stderr
    assert result.stdout.startswith("Refused after 1 attempts")


def test_mistakes_are_told_at_once() -> None:
    """An environment that makes no sense is a list of what would be right."""
    result = run(
        TIELINE_TARGETS__ORDERS_DB__DSN="host=db geheim",
        TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT="soon",
        TIELINE_RETRY__MAX_ATTEMPTS="0",
    )
    assert result.returncode == 3
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT='soon'",
        "TIELINE_RETRY__MAX_ATTEMPTS='0'",
        DSN,
    ]
    assert "geheim" not in result.stdout + result.stderr


def test_off(refusing: FaultServer) -> None:
    """Switched off, the application is psycopg's: its error, and one attempt."""
    result = run(
        TIELINE_ENABLED="0", TIELINE_TARGETS__ORDERS_DB__DSN=f"host=127.0.0.1 port={refusing.port}"
    )
    assert result.returncode == 1
    assert "\npsycopg.OperationalError: connection failed" in result.stderr
    assert "tieline.Refused" not in result.stderr
