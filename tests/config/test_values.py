"""What variables say, and how it is understood."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tieline
from tieline import config
from tieline.config import values
from tieline.config.values import hints, is_duration, value
from tieline.policy.checks import number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0.25", 0.25),
        ("250ms", 0.25),
        ("700ms", 0.7),
        ("5s", 5.0),
        ("1.5 s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        (".5s", 0.5),
        ("none", None),
        ("None", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Numbers are seconds, units are understood, and none means no limit."""
    assert value("call_timeout", text) == seconds


@given(st.integers(1, 10**7))
def test_milliseconds_are_exact(milliseconds: int) -> None:
    """250ms is the same number as 0.25."""
    assert value("backoff.initial", f"{milliseconds}ms") == milliseconds / 1000


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("retry.max_attempts", "4", 4),
        ("retry.max_attempts", "none", None),
        ("breaker.failures", "7", 7),
        ("breaker.rate", "0.3", 0.3),
        ("breaker.rate", "none", None),
        ("backoff.jitter", "equal", "equal"),
        ("budget.tokens", "3", 3.0),
    ],
)
def test_the_rest(path: str, text: str, expected: object) -> None:
    """The dataclasses' types decide what a text comes to."""
    found = value(path, text)
    assert found == expected
    assert type(found) is type(expected)


def test_units_are_for_durations() -> None:
    """A unit makes a duration of nothing else."""
    assert value("budget.tokens", "5s") == "5s"
    assert value("retry.max_attempts", "4m") == "4m"


def test_durations_are_what_the_policy_calls_seconds() -> None:
    """Every setting that a policy checks in seconds is marked as such, and no other."""
    policy = tieline.Policy()
    checked = {
        problem.partition("=")[0]
        for part in (policy.backoff, policy.breaker, policy.budget, policy.reconnect)
        for problem in type(part)(
            **dict.fromkeys(type(part).__dataclass_fields__, "x"),
        ).problems()
        if "seconds" in problem
    }
    assert {path for path in hints() if is_duration(path)} == {
        *checked,
        "call_timeout",
        "attempt_timeout",
    }
    assert list(number("x", "y", least=0, unit="seconds"))


PROBLEMS = [
    ("CALL_TIMEOUT", "5 parsecs", "must be a number, above 0 seconds (or none for no limit)"),
    ("CALL_TIMEOUT", "0", "must be a number, above 0 seconds (or none for no limit)"),
    ("CALL_TIMEOUT", "nan", "must be a number, above 0 seconds (or none for no limit)"),
    ("RETRY__MAX_ATTEMPTS", "four", "must be a whole number, 1 or more (or none for no limit)"),
    ("RETRY__MAX_ATTEMPTS", "0", "must be a whole number, 1 or more (or none for no limit)"),
    ("RETRY__MAX_ATTEMPTS", "2.5", "must be a whole number, 1 or more (or none for no limit)"),
    ("BREAKER__FAILURES", "none", "must be a whole number, 1 or more"),
    ("BREAKER__RATE", "3", "must be a number, above 0 and at most 1 (or none for no limit)"),
    ("BACKOFF__JITTER", "ful", "did you mean 'full'?"),
    ("BACKOFF__INITIAL", "1 minute", "write 250ms, 5s or 2m"),
    ("BUDGET", "flet", "must be 'fleet' or 'none'; did you mean 'fleet'?"),
    ("BREAKER", "off", "must be 'none'"),
    ("ENABLED", "perhaps", "must be '1', 'true', 'yes', 'on', '0', 'false', 'no' or 'off'"),
]


@pytest.mark.parametrize(("name", "text", "right"), PROBLEMS)
def test_bad_value(name: str, text: str, right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that makes no sense is told with its variable, itself, and what would be right."""
    monkeypatch.setenv(f"TIELINE_{name}", text)
    with pytest.raises(tieline.ConfigError) as caught:
        config.resolve("psycopg", "orders-db")
    (problem,) = caught.value.problems
    assert problem.startswith(f"TIELINE_{name}={text!r}: ")
    assert right in problem


def test_no_number_is_infinite() -> None:
    """What Python calls a number is not always one that a policy takes."""
    assert value("call_timeout", "inf") == math.inf
    with pytest.raises(tieline.ConfigError):
        tieline.Policy(call_timeout=math.inf)


@pytest.mark.parametrize("word", [*values.WORDS, "TRUE", "Off"])
def test_booleans(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes and no may be said in the usual ways."""
    monkeypatch.setenv("TIELINE_ENABLED", word)
    expected = word.lower() in {"1", "true", "yes", "on"}
    assert config.resolve("psycopg").enabled is expected
