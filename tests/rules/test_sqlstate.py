"""SQLSTATE -> what happened."""

from __future__ import annotations

import pytest

from tests.rules.natives import PSYCOPG
from tieline.failure import Kind, Phase, Safety
from tieline.rules import sqlstate
from tieline.rules.hints import HINTS
from tieline.rules.sqlstate import OTHER, SQLSTATES, lookup

KINDS = {
    "08000": Kind.EOF,
    "08001": Kind.EOF,
    "08003": Kind.EOF,
    "08006": Kind.EOF,
    "08P01": Kind.EOF,
    "22023": Kind.SETTINGS,
    "22P02": Kind.ANSWERED,
    "23505": Kind.ANSWERED,
    "25006": Kind.WRONG_ROLE,
    "25P02": Kind.ANSWERED,
    "25P03": Kind.SHUTDOWN,
    "25P04": Kind.SHUTDOWN,
    "28000": Kind.DENIED,
    "28P01": Kind.DENIED,
    "3D000": Kind.NO_TARGET,
    "40001": Kind.CONFLICT,
    "40P01": Kind.CONFLICT,
    "42501": Kind.DENIED,
    "42601": Kind.ANSWERED,
    "42704": Kind.SETTINGS,
    "42P01": Kind.ANSWERED,
    "53100": Kind.SERVER_ERROR,
    "53200": Kind.SERVER_ERROR,
    "53300": Kind.BUSY,
    "53400": Kind.SERVER_ERROR,
    "57014": Kind.ANSWERED,
    "57P01": Kind.SHUTDOWN,
    "57P02": Kind.SHUTDOWN,
    "57P03": Kind.NOT_READY,
    "57P04": Kind.NO_TARGET,
    "57P05": Kind.SHUTDOWN,
    "58030": Kind.SERVER_ERROR,
    "XX000": Kind.SERVER_ERROR,
    "": Kind.ANSWERED,
    "00000": Kind.ANSWERED,
}
NEVER = {"28000", "28P01", "3D000", "42501", "22023", "42704", "53100", "57P04", "58030", "XX000"}
UNSENT = {"25P03", "57P05", "25006"}
CODES = sorted({cls.sqlstate for cls in PSYCOPG if getattr(cls, "sqlstate", None)} | set(KINDS))


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_kind_of_a_code(code: str, kind: Kind) -> None:
    """The codes that decide about retries mean what PostgreSQL's manual says."""
    assert lookup(code).kind is kind


@pytest.mark.parametrize("code", NEVER)
def test_hopeless_codes_are_never_repeated(code: str) -> None:
    """A wrong password offered again and again locks the account."""
    for phase in Phase:
        assert lookup(code).failure(phase, code=code).safety is Safety.NEVER


@pytest.mark.parametrize("code", CODES)
def test_verdict_in_a_request(code: str) -> None:
    """What was sent may have been applied, unless the code itself proves that it was not."""
    failure = lookup(code).failure(Phase.RECEIVE, code=code)
    assert failure.code == code
    assert (failure.safety is Safety.ALWAYS) == (code in UNSENT)
    answered = failure.kind in {Kind.ANSWERED, Kind.CONFLICT}
    assert failure.maybe_applied == (code not in UNSENT and not answered)


@pytest.mark.parametrize("code", CODES)
def test_verdict_in_the_handshake(code: str) -> None:
    """Before we are let in nothing was applied; only hopelessness forbids another attempt."""
    failure = lookup(code).failure(Phase.HANDSHAKE, code=code)
    assert not failure.maybe_applied
    assert not failure.sent
    assert failure.safety is (Safety.ALWAYS if lookup(code).repeat else Safety.NEVER)


@pytest.mark.parametrize("cls", PSYCOPG, ids=lambda cls: cls.__qualname__)
def test_every_class_of_psycopg_has_a_verdict(cls: type[Exception]) -> None:
    """No exception of psycopg, with or without a code, leaves us without an answer."""
    code = getattr(cls, "sqlstate", None) or ""
    for phase in Phase:
        failure = lookup(code).failure(phase, code=code)
        assert failure.phase is phase
        assert failure.hint == "" or failure.hint in HINTS


@pytest.mark.parametrize("row", SQLSTATES)
def test_no_row_is_dead(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row decides about some code: without it the verdict is another one."""
    codes = [code for code in CODES if code == row or (len(row) == 2 and code.startswith(row))]
    before = [lookup(code) for code in codes]
    monkeypatch.setattr(
        sqlstate, "SQLSTATES", {key: rule for key, rule in SQLSTATES.items() if key != row}
    )
    assert before != [lookup(code) for code in codes]


def test_exact_rows_beat_their_class() -> None:
    """53300 passes by waiting, the rest of class 53 does not."""
    assert lookup("53300").repeat
    assert not lookup("53100").repeat
    assert lookup("99999") is OTHER
