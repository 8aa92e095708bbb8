"""Events as log records.

It is there from the start, and as quiet as logging itself is until configured. Messages can be
read alone; ``extra`` holds the same facts by name. Nothing of a call's arguments is logged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tieline import events
from tieline.rules.phrases import describe, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tieline.failure import Failure

logger = logging.getLogger("tieline")


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "tieline.phase": failure.phase.value,
        "tieline.kind": failure.kind.value,
        "tieline.code": failure.code,
    }


def _attempt_failed(event: events.AttemptFailed) -> tuple[int, str, dict[str, object]]:
    said = describe(event.failure, event.endpoint)
    text = f"attempt {event.number} failed after {seconds(event.elapsed)}: {said}"
    return logging.DEBUG, text, {"tieline.attempt": event.number, **_failure(event.failure)}


def _retry_scheduled(event: events.RetryScheduled) -> tuple[int, str, dict[str, object]]:
    said = describe(event.failure, event.endpoint)
    of = "" if event.max_attempts is None else f" of {event.max_attempts}"
    text = f"{said}; attempt {event.number}{of}, next in {seconds(event.delay)}"
    facts = {"tieline.attempt": event.number, "tieline.wait_s": event.delay}
    return logging.WARNING, text, {**facts, **_failure(event.failure)}


def _recovered(event: events.CallRecovered) -> tuple[int, str, dict[str, object]]:
    text = f"recovered: attempt {event.number} succeeded after {seconds(event.elapsed)}"
    return logging.INFO, text, {"tieline.attempt": event.number}


def _opened(event: events.BreakerOpened) -> tuple[int, str, dict[str, object]]:
    text = f"circuit breaker opened for {seconds(event.open_for)}"
    return logging.WARNING, text, {"tieline.wait_s": event.open_for}


def _closed(event: events.BreakerClosed) -> tuple[int, str, dict[str, object]]:
    text = f"circuit breaker closed after {seconds(event.open_for)}"
    return logging.INFO, text, {}


_RECORDS: Final[Mapping[type[events.Event], Callable[..., tuple[int, str, dict[str, object]]]]] = {
    events.AttemptFailed: _attempt_failed,
    events.RetryScheduled: _retry_scheduled,
    events.CallRecovered: _recovered,
    events.BreakerOpened: _opened,
    events.BreakerClosed: _closed,
}
"""How an event reads. A failed call is not logged: its caller gets the exception."""


class LoggingListener:
    """Writes events to the logger ``tieline``: DEBUG each attempt, WARNING what needs a look."""

    def on_event(self, event: events.Event) -> None:
        """Write one event."""
        record = _RECORDS.get(type(event))
        if record is None:
            return
        level, text, facts = record(event)
        if logger.isEnabledFor(level):
            extra = {"tieline.target": event.target, **facts}
            logger.log(level, "%s: %s", event.target, text, extra=extra)
