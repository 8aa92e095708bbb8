"""Which statements make work permanent."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.rules.sql import FATES, Fate, ends_transaction

ENDS = (
    b"COMMIT",
    b"commit",
    b" \n\tCommit;",
    b"COMMIT WORK",
    b"COMMIT AND CHAIN",
    b"COMMIT PREPARED 'x'",
    b"END",
    b"end transaction;",
    b"PREPARE TRANSACTION 'x'",
    b"prepare\n  transaction 'x'",
    b"PREPARE /* two */ TRANSACTION 'x'",
    b"PREPARE--two\nTRANSACTION 'x'",
    b"/* a */ COMMIT",
    b"/* a /* b */ c */ COMMIT",
    b"-- a\n-- b\nCOMMIT",
    b"-- a\r\n  COMMIT",
    b"/* a */ -- b\n /* c */ END",
    b"INSERT INTO t VALUES (1); COMMIT",
    b"INSERT INTO t VALUES (1);COMMIT;",
    b"INSERT INTO t VALUES ('--'); COMMIT",
    b"INSERT INTO t VALUES ('/*'); COMMIT",
    b"INSERT INTO t VALUES (E'it\\'s'); COMMIT",
    b"INSERT INTO t VALUES (1); -- done\n COMMIT",
    b"SELECT 'a; commit'",
    b"ROLLBACK; INSERT INTO t VALUES (1)",
    b"abort ; insert into t values (1)",
)
GOES_ON = (
    b"",
    b"SELECT 1",
    b"SELECT CASE WHEN a THEN 1 ELSE 2 END",
    b"SELECT CASE\n  WHEN a THEN 1\nEND\nFROM t",
    b"SELECT CASE WHEN a THEN 1 END; SELECT 2",
    b"SELECT a AS commit",
    b"SELECT committed FROM t; SELECT ending FROM t",
    b"UPDATE t SET x = 1 -- commit",
    b"UPDATE t SET x = 1 /* commit */",
    b"PREPARE plan AS SELECT 1",
    b"PREPARE transactional AS SELECT 1",
    b"ROLLBACK",
    b"ROLLBACK; ",
    b"ROLLBACK TO SAVEPOINT a",
    b"SAVEPOINT a",
    b"BEGIN",
    b"commits",
    b"endpoint",
)
KEYWORDS = st.sampled_from([b"COMMIT", b"commit work", b"END", b"PREPARE TRANSACTION 'x'"])
GAPS = st.lists(
    st.sampled_from([b" ", b"\n", b"\t", b"/* x */", b"/* /* y */ */", b"-- z\n", b"--\r\n"])
).map(b"".join)


@pytest.mark.parametrize("statement", ENDS)
def test_ends(statement: bytes) -> None:
    """What may commit is never called rolled back: it would be done twice."""
    assert ends_transaction(statement)


@pytest.mark.parametrize("statement", GOES_ON)
def test_goes_on(statement: bytes) -> None:
    """What stays inside its transaction is known to be rolled back with it."""
    assert not ends_transaction(statement)


@given(st.binary(max_size=50), GAPS, KEYWORDS)
def test_commit_after_anything(before: bytes, gap: bytes, keyword: bytes) -> None:
    """Whatever precedes it, quotes and comments included, a COMMIT after a semicolon is seen."""
    assert ends_transaction(before + b";" + gap + keyword)
    assert ends_transaction(gap + keyword)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("part", [b"-", b"--\n", b";", b" ", b"; ", b"/*", b"*/", b"rollback "])
def test_long_statements_take_no_time(part: bytes) -> None:
    """A long statement must not hang the thread that has just lost its connection."""
    assert not ends_transaction(part * 200_000 + b"x")


def test_fates_are_total() -> None:
    """Rolled back needs both: inside a transaction, and nothing that could have ended it."""
    assert set(FATES) == set(itertools.product([True, False], repeat=2))
    rolled_back = [key for key, fate in FATES.items() if fate is Fate.ROLLED_BACK]
    assert rolled_back == [(True, False)]
