"""The generated part of the documentation is what the code says."""

from __future__ import annotations

import re

import tieline
from tieline.config import names
from tools import variables


def test_reference_is_what_is_generated() -> None:
    """The tables are those that the tool writes; run `python -m tools.variables` if they are not."""
    page = variables.PAGE.read_text()
    assert variables.render(page) == page


def test_reference_has_everything() -> None:
    """Every setting has a row, every row a meaning, every client a column of its defaults."""
    head, *rows = variables.settings()
    assert len(rows) == len(names.settings()) == len(variables.values.hints())
    assert all(all(cell.strip() for cell in row) and len(row) == len(head) for row in rows)
    assert set(variables.TABLES) == set(
        re.findall(r"<!-- table: (\w+) -->", variables.PAGE.read_text())
    )


def test_defaults_cannot_drift() -> None:
    """A default in the reference is the one of the code."""
    rows = {row[0]: row for row in variables.settings()}
    psycopg = rows["variable"].index("psycopg")
    assert rows["`CALL_TIMEOUT`"][psycopg] == "`25s`"
    assert rows["`BACKOFF__INITIAL`"][psycopg] == "`200ms`"
    assert rows["`RETRY__MAX_ATTEMPTS`"][psycopg] == "`4`"
    assert rows["`CALL_TIMEOUT`"][rows["variable"].index("guard")] == "`none`"


def test_variables_named_in_the_pages_exist() -> None:
    """A variable that a page names is one, but for the one that is shown as misspelt."""
    root = variables.PAGE.parent.parent
    for page in [
        root / "README.md",
        *(root / "docs").glob("*.md"),
        *(root / "examples").glob("*.py"),
    ]:
        for name in re.findall(r"\bTIELINE_[A-Z0-9_]*[A-Z0-9]\b(?!<|_)", page.read_text()):
            assert names.is_known(name) or "ATEMPTS" in name, f"{page.name}: {name}"
    assert tieline.ConfigWarning.__module__ == "tieline"
