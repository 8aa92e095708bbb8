"""Events as log records.

It is there from the start, and silent in an application that does not set up logging. Messages
can be read alone; ``extra`` holds the same facts by name. Nothing of a call's arguments is logged.
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
# Without any handler, the logging package would print warnings to stderr.
logger.addHandler(logging.NullHandler())


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "tieline.phase": failure.phase.value,
        "tieline.kind": failure.kind.value,
        "tieline.code": failure.code,
    }


def _attempt_failed(event: events.AttemptFailed) -> tuple[str, dict[str, object]]:
    said = describe(event.failure, event.endpoint)
    text = f"attempt {event.number} failed after {seconds(event.elapsed)}: {said}"
    return text, {"tieline.attempt": event.number, **_failure(event.failure)}


def _retry_scheduled(event: events.RetryScheduled) -> tuple[str, dict[str, object]]:
    said = describe(event.failure, event.endpoint)
    of = "" if event.max_attempts is None else f" of {event.max_attempts}"
    text = f"{said}; attempt {event.number}{of}, next in {seconds(event.delay)}"
    facts = {"tieline.attempt": event.number, "tieline.wait_s": event.delay}
    return text, {**facts, **_failure(event.failure)}


def _recovered(event: events.CallRecovered) -> tuple[str, dict[str, object]]:
    text = f"recovered: attempt {event.number} succeeded after {seconds(event.elapsed)}"
    return text, {"tieline.attempt": event.number}


def _opened(event: events.BreakerOpened) -> tuple[str, dict[str, object]]:
    text = f"circuit breaker opened for {seconds(event.open_for)}"
    return text, {"tieline.wait_s": event.open_for}


def _closed(event: events.BreakerClosed) -> tuple[str, dict[str, object]]:
    text = f"circuit breaker closed after {seconds(event.open_for)}"
    return text, {}


_RECORDS: Final[
    Mapping[type[events.Event], tuple[int, Callable[..., tuple[str, dict[str, object]]]]]
] = {
    events.AttemptFailed: (logging.DEBUG, _attempt_failed),
    events.RetryScheduled: (logging.WARNING, _retry_scheduled),
    events.CallRecovered: (logging.INFO, _recovered),
    events.BreakerOpened: (logging.WARNING, _opened),
    events.BreakerClosed: (logging.INFO, _closed),
}
"""How an event reads. A failed call is not logged: its caller gets the exception."""


class LoggingListener:
    """Writes events to the logger ``tieline``: DEBUG each attempt, WARNING what needs a look."""

    def on_event(self, event: events.Event) -> None:
        """Write one event."""
        level, record = _RECORDS.get(type(event), (logging.NOTSET, None))
        if record is not None and logger.isEnabledFor(level):
            text, facts = record(event)
            extra = {"tieline.target": event.target, **facts}
            logger.log(level, "%s: %s", event.target, text, extra=extra)
