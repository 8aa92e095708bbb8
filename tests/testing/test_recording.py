"""RecordingListener: what happened, as a list."""

from __future__ import annotations

import pytest

import tieline
from tieline import events
from tieline.testing import ManualClock, RecordingListener


@tieline.guard("t", policy=tieline.Policy(retry=tieline.Retry(max_attempts=2)))
def refused() -> None:
    """Fail."""
    raise ConnectionRefusedError


def call() -> None:
    """Fail twice, with a wait in between."""
    with ManualClock(), pytest.raises(tieline.Refused):
        refused()


def test_hears_inside_the_block() -> None:
    """It hears what happens inside its block, in order, and nothing before or after."""
    call()
    with RecordingListener() as heard:
        call()
    call()
    assert [type(event) for event in heard.events] == [
        events.AttemptFailed,
        events.RetryScheduled,
        events.AttemptFailed,
        events.CallFailed,
    ]


def test_of_a_class() -> None:
    """Events can be taken by class; a base class takes all below it."""
    with RecordingListener() as heard:
        call()
    assert [event.number for event in heard.of(events.AttemptFailed)] == [1, 2]
    assert heard.of(events.Event) == heard.events
    assert heard.of(events.BreakerOpened) == []


def test_stops_after_an_exception() -> None:
    """An exception ends the listening as well."""
    heard = RecordingListener()
    with pytest.raises(LookupError), heard:
        raise LookupError
    call()
    assert heard.events == []


def test_nested() -> None:
    """Two listeners hear the same events."""
    with RecordingListener() as outer, RecordingListener() as inner:
        call()
    assert outer.events == inner.events != []
