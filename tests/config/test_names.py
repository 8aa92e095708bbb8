"""The names of variables, and what is said about one that is none."""

from __future__ import annotations

import dataclasses
import warnings

import pytest

import tieline
from tieline import config
from tieline.config import environment, names

DEFAULTS = ("RETRY__MAX_ATTEMPTS", "CALL_TIMEOUT", "BREAKER", "BUDGET", "BREAKER__FAILURES")


@pytest.fixture(autouse=True)
def unwarned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was warned before."""
    monkeypatch.setattr(environment, "_warned", set())


@pytest.mark.parametrize("name", ["orders-db", "orders.db", "ORDERS_DB", "Orders-DB"])
def test_name_of_a_target(name: str) -> None:
    """Names that differ in case, hyphen and dot alone share their variables."""
    assert names.of_target(name) == "TIELINE_TARGETS__ORDERS_DB__"


@pytest.mark.parametrize(
    "name",
    [
        "TIELINE_ENABLED",
        *(f"TIELINE_{name}" for name in DEFAULTS),
        *(f"TIELINE_TARGETS__ORDERS_DB__{name}" for name in DEFAULTS),
        "TIELINE_TARGETS__ORDERS_DB__DSN",
        "TIELINE_TARGETS__ORDERS_DB__DSN_FILE",
        "TIELINE_TARGETS__A__URL_FILE",
        "TIELINE_TARGETS__A__HEADERS__X_API_KEY",
        "TIELINE_TARGETS__A__HEADERS__AUTHORIZATION_FILE",
    ],
)
def test_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting is no cause for a warning."""
    monkeypatch.setenv(name, "1")
    environment.current()
    assert names.is_known(name)


def test_every_setting_has_a_variable() -> None:
    """Nothing in a policy is left out: each field of each part is a variable."""
    policy = tieline.Policy()
    for field in dataclasses.fields(policy):
        part = getattr(policy, field.name)
        inner = dataclasses.fields(part) if dataclasses.is_dataclass(part) else ()
        for name in [f"{field.name}__{below.name}" for below in inner] or [field.name]:
            assert names.is_known(f"TIELINE_{name.upper()}")
            assert names.is_known(f"TIELINE_TARGETS__X__{name.upper()}")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("TIELINE_ENABLE", "TIELINE_ENABLED"),
        ("TIELINE_MAX_ATTEMPTS", "TIELINE_RETRY__MAX_ATTEMPTS"),
        ("TIELINE_RETRY_MAX_ATTEMPTS", "TIELINE_RETRY__MAX_ATTEMPTS"),
        ("TIELINE_RETRY", "TIELINE_RETRY__MAX_ATTEMPTS"),
        ("TIELINE_CALL_TIMEOUTS", "TIELINE_CALL_TIMEOUT"),
        ("TIELINE_TARGET__ORDERS_DB__DSN", "TIELINE_TARGETS__ORDERS_DB__DSN"),
        ("TIELINE_TARGETS__ORDERS_DB_DSN", "TIELINE_TARGETS__ORDERS_DB__DSN"),
        ("TIELINE_ORDERS_DB__DSN", "TIELINE_TARGETS__ORDERS_DB__DSN"),
        ("TIELINE_TARGETS__X__DNS", "TIELINE_TARGETS__X__DSN"),
        ("TIELINE_TARGETS__X__DSNFILE", "TIELINE_TARGETS__X__DSN_FILE"),
        ("TIELINE_TARGETS__X__RETRY", "TIELINE_TARGETS__X__RETRY__MAX_ATTEMPTS"),
        ("TIELINE_TARGETS__X__HEADER__A_B", "TIELINE_TARGETS__X__HEADERS__A_B"),
        ("TIELINE_TARGETS__X__RETRY__CALL_TIMEOUT", "TIELINE_TARGETS__X__CALL_TIMEOUT"),
        (
            "TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATEMPTS",
            "TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS",
        ),
        ("TIELINE_SOMETHING_ELSE_ENTIRELY", None),
        ("TIELINE_TARGETS__X__PASSWORD", None),
        ("TIELINE_", None),
    ],
)
def test_typo(typo: str, meant: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no setting is answered by the right name, once, when a client is built."""
    monkeypatch.setenv(typo, "geheim")
    with pytest.warns(tieline.ConfigWarning) as caught:
        config.resolve("psycopg")
    said = str(caught[0].message)
    assert said == f"{typo} is not a setting" + (f"; did you mean {meant}?" if meant else "")
    assert meant is None or names.is_known(meant)
    monkeypatch.setenv("TIELINE_CALL_TIMEOUT", "9")
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        config.resolve("psycopg")
    assert again == []


def test_foreign_variables_are_no_business_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said about variables that do not begin with TIELINE_."""
    monkeypatch.setenv("PGHOTS", "x")
    monkeypatch.setenv("tieline_retry", "x")
    assert environment.current().variables == {}
