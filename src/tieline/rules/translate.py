"""From the end of a call to the exception that its caller gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tieline.errors import (
    CircuitOpen,
    ConfigError,
    DeadlineExceeded,
    TargetUnhealthy,
    TielineError,
    code_to_errno,
)
from tieline.rules.classes import class_of
from tieline.rules.fuse import fuse
from tieline.rules.hints import HINTS
from tieline.rules.natives import native_base
from tieline.rules.phrases import describe, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tieline.endpoint import Endpoint
    from tieline.failure import Attempt, Failure
    from tieline.policy.call import Call
    from tieline.policy.decision import Raise

MAX_NOTES = 10
"""Attempts listed in the notes: the last ones, when a call made more."""

_VERDICTS: Mapping[type[TielineError], tuple[str, str]] = {
    CircuitOpen: ("the circuit breaker is open", "breaker"),
    DeadlineExceeded: ("the deadline was exceeded", "deadline"),
    TargetUnhealthy: ("the target is reported to be down", "unhealthy"),
}
"""What we say of our own verdicts, and the key of the hint."""


_HUNG_UP = frozenset({"EPIPE", "ECONNRESET", "ENOTCONN"})
"""What a WSGI server takes for a client that went away if it is the errno of an OSError that
leaves an application: gunicorn then answers nothing, and logs nothing that anybody sees."""

_new = CircuitOpen.__new__
_OPEN, _OPEN_HINT = _VERDICTS[CircuitOpen][0], HINTS["breaker"]


def final_error(
    call: Call,
    decision: Raise,
    cause: BaseException | None,
    client: str,
    now: float,
    *,
    ours: type[TielineError] | None = None,
) -> BaseException:
    """The exception that ends a call.

    Args:
        call: What happened.
        decision: Why it ends.
        cause: What the last attempt raised; None when none was made.
        client: Whose native base to use; empty for a guarded function.
        now: The time.
        ours: Our class for the last failure, where the table has none for it: an answer.
    """
    last = call.attempts[-1] if call.attempts else None
    elapsed = now - call.started
    facts: dict[str, Any] = {
        "target": call.target,
        "attempts": tuple(call.attempts),
        "elapsed": elapsed,
        "maybe_applied": call.maybe_applied,
        "retry_after": decision.retry_after,
    }
    ending = _ending(call, decision, elapsed)
    if isinstance(cause, TielineError) and decision.error is None:
        # A client of ours inside a guarded function: its error is the last failure itself.
        cause.attempts = facts["attempts"]
        cause.add_note(f"{call.target}: {ending}")
        return cause
    if decision.error is None:
        assert last is not None  # noqa: S101 - without an attempt there is a verdict of ours
        assert cause is not None  # noqa: S101 - an attempt that failed raised something
        return lost(
            ours or class_of(last.failure),
            last.failure,
            cause,
            endpoint=last.endpoint,
            facts=facts,
            ending=ending,
            client=client,
        )
    saying, hint = _VERDICTS[decision.error]
    if last is not None:
        saying += f": {describe(last.failure, last.endpoint)}"
    native = native_base(client, decision.error, None if last is None else last.failure.phase)
    if cause is not None and native is not None and isinstance(cause, native):
        native = type(cause)
    facts |= {
        "failure": None if last is None else last.failure,
        "endpoint": call.endpoint if last is None else last.endpoint,
        "hint": HINTS[hint],
    }
    return _build(decision.error, native, cause, saying=saying, ending=ending, facts=facts)


def circuit_open(target: str, wait: float) -> CircuitOpen:
    """The error of a call that a guarded function does not make, as `final_error` would give it.

    Its message and notes are written when somebody reads them: most of these errors are caught
    by a fallback that does not look.

    Args:
        target: Name of the target.
        wait: Seconds until the breaker lets a probe through.
    """
    error = _new(CircuitOpen, _OPEN)
    # In one go: rejecting is all that an open breaker does.
    error.__dict__ = {
        "target": target,
        "elapsed": 0.0,
        "retry_after": wait,
        "hint": _OPEN_HINT,
        "late": _late,
    }
    return error


def _late(error: CircuitOpen) -> tuple[str, list[str]]:
    assert error.retry_after is not None  # noqa: S101 - set above
    saying = f"{error.target}: {error.args[0]}; {_next_probe(error.retry_after)}"
    return " ".join(saying.splitlines()), [f"hint: {error.hint}"]


def _next_probe(wait: float) -> str:
    return f"the next probe may go in {seconds(wait)}"


def _errno(code: str, cause: BaseException) -> int | None:
    """The number behind a code; None where it would pass for that of a server's own client."""
    if isinstance(cause, OSError) and not isinstance(cause, ConnectionError) and code in _HUNG_UP:
        return cause.errno
    return code_to_errno(code)


def lost(
    ours: type[TielineError],
    failure: Failure,
    cause: BaseException,
    *,
    endpoint: Endpoint | None,
    facts: Mapping[str, Any],
    ending: str,
    client: str,
) -> BaseException:
    """An error of ours fused with the class of what the client raised.

    Args:
        ours: Our class.
        failure: The classified failure.
        cause: What the client raised.
        endpoint: Where it happened.
        facts: Further attributes.
        ending: Why the call ends here.
        client: Names the base to use where the two classes cannot be fused.
    """
    facts = {
        **facts,
        "failure": failure,
        "errno": _errno(failure.code, cause) or _resolver_number(failure, cause),
        "endpoint": endpoint,
        "hint": HINTS.get(failure.hint),
    }
    saying = describe(failure, endpoint)
    try:
        return _build(ours, type(cause), cause, saying=saying, ending=ending, facts=facts)
    except TypeError:
        native = native_base(client, ours, failure.phase)
        return _build(ours, native, cause, saying=saying, ending=ending, facts=facts)


def _resolver_number(failure: Failure, cause: BaseException) -> int | None:
    """The number of ``socket.EAI_NONAME`` and its like, which handlers compare with."""
    number = getattr(cause, "errno", None) if failure.code.startswith("EAI_") else None
    return number if isinstance(number, int) else None


def config_error(
    problems: tuple[str, ...], client: str, *, target: str | None = None
) -> ConfigError:
    """An error about settings, with every problem, fused with the client's own.

    Args:
        problems: One line each, nothing secret in it.
        client: Whose native base to use.
        target: Name of the target.
    """
    native = native_base(client, ConfigError)
    facts = {"problems": problems, "target": target}
    error = fuse(ConfigError, native, None, "; ".join(problems), facts)
    assert isinstance(error, ConfigError)  # noqa: S101 - for the type checkers
    return error


def _build(
    ours: type[TielineError],
    native: type[BaseException] | None,
    cause: BaseException | None,
    *,
    saying: str,
    ending: str,
    facts: Mapping[str, Any],
) -> TielineError:
    target, endpoint = facts.get("target"), facts["endpoint"]
    if target and (endpoint is None or endpoint.address not in target):
        saying = f"{target}: {saying}"
    error = fuse(ours, native, cause, "; ".join(filter(None, (saying, ending))), facts)
    error.__cause__ = cause
    for line in _history(facts.get("attempts", ())):
        error.add_note(line)
    if facts["hint"]:
        error.add_note(f"hint: {facts['hint']}")
    return error


def _ending(call: Call, decision: Raise, elapsed: float) -> str:
    count = call.attempts[-1].number if call.attempts else 0
    if not count:
        after = decision.retry_after
        return "" if after is None else _next_probe(after)
    plural = "attempt" if count == 1 else "attempts"
    text = f"{count} {plural} in {seconds(elapsed)}"
    return text if decision.error is not None else f"{text}, {decision.reason}"


def _history(attempts: tuple[Attempt, ...]) -> Iterator[str]:
    if len(attempts) > MAX_NOTES:
        yield f"{len(attempts) - MAX_NOTES} earlier attempts not shown"
    for attempt in attempts[-MAX_NOTES:]:
        waited = f"after a wait of {seconds(attempt.waited)}, " if attempt.waited else ""
        said = describe(attempt.failure, attempt.endpoint)
        yield f"attempt {attempt.number}: {waited}{said}, {seconds(attempt.elapsed)}"
