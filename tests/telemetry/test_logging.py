"""Events as log records: levels, texts, facts, and silence where nobody set logging up."""

from __future__ import annotations

import logging

import pytest

import tieline
from tests.engine.script import run
from tieline import events
from tieline.endpoint import Endpoint
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.telemetry.logging import LoggingListener
from tieline.testing import ManualClock

PLACE = Endpoint("postgresql", "db", 5432)
REFUSED = Failure(Phase.CONNECT, Kind.REFUSED, Safety.ALWAYS, code="ECONNREFUSED")
FACTS = {"tieline.phase": "connect", "tieline.kind": "refused", "tieline.code": "ECONNREFUSED"}
SAID = "connection refused by db:5432 (ECONNREFUSED)"

RECORDS = [
    (
        events.AttemptFailed("orders", PLACE, 2, REFUSED, 0.25),
        "DEBUG",
        f"orders: attempt 2 failed after 0.25 s: {SAID}",
        {"tieline.attempt": 2, **FACTS},
    ),
    (
        events.RetryScheduled("orders", PLACE, 2, 4, 1.5, REFUSED),
        "WARNING",
        f"orders: {SAID}; attempt 2 of 4, next in 1.5 s",
        {"tieline.attempt": 2, "tieline.wait_s": 1.5, **FACTS},
    ),
    (
        events.RetryScheduled("orders", None, 2, None, 0.004, REFUSED),
        "WARNING",
        "orders: connection refused by the other side (ECONNREFUSED); attempt 2, next in 4 ms",
        {"tieline.attempt": 2, "tieline.wait_s": 0.004, **FACTS},
    ),
    (
        events.CallRecovered("orders", PLACE, 3, 12.0),
        "INFO",
        "orders: recovered: attempt 3 succeeded after 12 s",
        {"tieline.attempt": 3},
    ),
    (
        events.BreakerOpened("orders", PLACE, 5, 0.97),
        "WARNING",
        "orders: circuit breaker opened for 0.97 s",
        {"tieline.wait_s": 0.97},
    ),
    (
        events.BreakerClosed("orders", PLACE, 31.0),
        "INFO",
        "orders: circuit breaker closed after 31 s",
        {},
    ),
]
SILENT = [
    events.BreakerProbing("orders", PLACE),
    events.CallFailed("orders", PLACE, 1, 2.0, REFUSED, "why"),
    events.Event("orders", PLACE),
]
each = pytest.mark.parametrize(
    ("event", "level", "text", "facts"), RECORDS, ids=lambda value: type(value).__name__
)


@each
def test_record(event, level, text, facts, caplog: pytest.LogCaptureFixture) -> None:
    """One event, one record: its level, a line that can be read alone, the facts by name."""
    with caplog.at_level("DEBUG", "tieline"):
        LoggingListener().on_event(event)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("tieline", level, text)
    named = {name: value for name, value in vars(record).items() if name.startswith("tieline.")}
    assert named == {"tieline.target": "orders", **facts}


@each
def test_nothing_when_the_level_is_off(  # noqa: PLR0917 - a row of the table
    event, level, text, facts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the level nothing is written, and no text is made."""
    monkeypatch.setattr("tieline.telemetry.logging.seconds", None)
    with caplog.at_level(logging.getLevelName(level) + 1, "tieline"):
        LoggingListener().on_event(event)
    assert caplog.records == []


@pytest.mark.parametrize("event", SILENT, ids=lambda event: type(event).__name__)
def test_events_without_a_record(event, caplog: pytest.LogCaptureFixture) -> None:
    """What the caller sees anyway, as its exception, is not logged; nor is an unknown event."""
    with caplog.at_level("DEBUG", "tieline"):
        LoggingListener().on_event(event)
    assert caplog.records == []


def test_percent_signs(caplog: pytest.LogCaptureFixture) -> None:
    """A name with a percent sign is printed as it is."""
    with caplog.at_level("DEBUG", "tieline"):
        LoggingListener().on_event(events.BreakerClosed("100%s", None, 1.0))
    assert caplog.messages == ["100%s: circuit breaker closed after 1 s"]


def test_there_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """Without any set-up of tieline, a retry is a warning in the application's log."""

    @tieline.guard("orders")
    def function(errors: list[Exception]) -> None:
        if errors:
            raise errors.pop()

    with ManualClock(), caplog.at_level("INFO", "tieline"):
        function([ConnectionRefusedError()])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "connection refused" in caplog.messages[0]
    assert "recovered" in caplog.messages[1]


SCRIPT = """
import {imports}
import tieline
from tieline.testing import ManualClock

{setup}

@tieline.guard("orders")
def function():
    raise ConnectionRefusedError

with ManualClock():
    try:
        function()
    except tieline.Refused:
        pass
    try:
        function()
    except tieline.TielineError:
        pass
"""


def test_silent_without_logging() -> None:
    """An application that never set up logging sees nothing on stderr."""
    result = run(SCRIPT.format(imports="sys", setup=""))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_heard_with_logging() -> None:
    """One line of set-up, the usual one, and the warnings are there."""
    result = run(SCRIPT.format(imports="logging", setup="logging.basicConfig()"))
    assert "WARNING:tieline:orders: connection refused" in result.stderr
    assert "circuit breaker opened" in result.stderr
