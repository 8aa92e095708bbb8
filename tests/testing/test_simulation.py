"""`simulate`: a client that fails as told, all else real."""

from __future__ import annotations

import psycopg as native
import pytest

import tieline
from tieline import psycopg
from tieline.engine import simulation
from tieline.failure import REQUEST_PHASES
from tieline.rules.classes import CLASSES
from tieline.testing import FaultServer, ManualClock, simulate
from tieline.testing.faults import Fin

NOWHERE = "host=127.0.0.1 port=9 dbname=d user=u"
CONNECTING = {cls for (phase, _), cls in CLASSES.items() if phase not in REQUEST_PHASES}
NEVER_CONNECTING = (set(CLASSES.values()) - CONNECTING) | {
    tieline.CircuitOpen,
    tieline.OutcomeUnknown,
    tieline.TielineError,
}


def name(cls: type) -> str:
    """The name of a class, to sort and to show."""
    return cls.__name__


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test."""
    with ManualClock() as clock:
        yield clock


@pytest.mark.parametrize("error", sorted(CONNECTING, key=name), ids=name)
def test_every_class_that_connecting_raises(error: type[tieline.TielineError]) -> None:
    """Each of them can be simulated, and is what psycopg's users catch as well."""
    with simulate(psycopg, error), pytest.raises(error) as caught:
        psycopg.connect(NOWHERE)
    assert isinstance(caught.value, native.OperationalError)
    assert type(caught.value).__name__ == error.__name__


@pytest.mark.parametrize("error", sorted(NEVER_CONNECTING, key=name), ids=name)
def test_class_that_connecting_never_raises(error: type[tieline.TielineError]) -> None:
    """Asking for what cannot happen is an error, and nothing is planned."""
    wrong = pytest.raises(ValueError, match=f"connecting never raises {error.__name__}")
    with wrong, simulate(psycopg, error):
        pytest.fail("the block was entered")
    assert simulation.planned == {}


@pytest.mark.parametrize("client", [native, tieline, pytest, simulation])
def test_wrong_client(client) -> None:
    """Only drop-ins can be told to fail."""
    wrong = pytest.raises(ValueError, match=r"simulate: .* is none of psycopg")
    with wrong, simulate(client, tieline.Refused):
        pytest.fail("the block was entered")


def test_times() -> None:
    """After so many failed attempts the next ones are real."""
    with FaultServer(Fin()) as server:
        host, port = server.address
        conninfo = f"host={host} port={port} dbname=d user=u sslmode=disable gssencmode=disable"
        failing = simulate(psycopg, tieline.Refused, times=2)
        with failing, pytest.raises(tieline.TielineError) as caught:
            psycopg.connect(conninfo, policy=tieline.Policy(attempt_timeout=5))
        kinds = [attempt.failure.kind for attempt in caught.value.attempts]
        assert kinds[:2] == [tieline.Kind.REFUSED] * 2
        assert set(kinds[2:]) == {tieline.Kind.EOF}
        assert server.accepted == len(kinds) - 2 > 0


def test_all_attempts(clock: ManualClock) -> None:
    """Without a number every attempt fails, with real waits on the manual clock."""
    with simulate(psycopg, tieline.Refused), pytest.raises(tieline.Refused) as caught:
        psycopg.connect(NOWHERE)
    assert len(caught.value.attempts) == 4
    assert len(clock.sleeps) == 3


def test_nested() -> None:
    """The innermost simulation counts; the outer one holds again behind it."""
    with simulate(psycopg, tieline.Refused):
        with simulate(psycopg, tieline.AuthenticationFailed):
            with pytest.raises(tieline.AuthenticationFailed) as caught:
                psycopg.connect(NOWHERE)
            assert len(caught.value.attempts) == 1
        with pytest.raises(tieline.Refused):
            psycopg.connect(NOWHERE)
    assert simulation.planned == {}


def test_ends_by_exception() -> None:
    """An exception ends the simulation as well."""
    with pytest.raises(LookupError), simulate(psycopg, tieline.Refused):
        raise LookupError
    assert simulation.planned == {}


def test_breaker_is_real() -> None:
    """Simulated failures open the breaker of the target like real ones."""
    with simulate(psycopg, tieline.Refused):
        for _ in range(2):
            with pytest.raises(tieline.Refused):
                psycopg.connect(NOWHERE)
        with pytest.raises(tieline.CircuitOpen):
            psycopg.connect(NOWHERE)
