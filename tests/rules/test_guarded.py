"""What an exception out of a guarded function means."""

# ruff: noqa: TRY301 - raising and handling in one place is what the tests are about

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import tieline
from tieline import errors
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.rules.guarded import causes, classify

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = Failure(Phase.CONNECT, Kind.REFUSED, Safety.ALWAYS, "ECONNREFUSED", "refused")
LOST = Failure(Phase.RECEIVE, Kind.EOF, Safety.IF_IDEMPOTENT, hint="cut", maybe_applied=True)
DENIED = Failure(Phase.HANDSHAKE, Kind.DENIED, Safety.NEVER, "28P01", "login")


class AppError(Exception):
    """An application's own."""


class EmptyError(Exception):
    """An exception that counts as false."""

    def __len__(self) -> int:
        return 0


def caught(function: Callable[[], object]) -> Exception:
    """What a function raised, as it reaches the guard."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 - as the guard does
        return error
    raise AssertionError("nothing was raised")


def raised_from(cls: type[Exception], cause: Exception | None) -> Exception:
    """An exception with an explicit cause."""

    def function() -> None:
        raise cls("app") from cause

    return caught(function)


def raised_while_handling(error: Exception) -> Exception:
    """An exception with an implicit one."""

    def function() -> None:
        try:
            raise error
        except type(error):
            raise AppError("app")  # noqa: B904 - the point of the test

    return caught(function)


@pytest.mark.parametrize("failure", [REFUSED, LOST, DENIED])
def test_error_of_ours_is_known_by_its_failure(failure: Failure) -> None:
    """A tieline call inside has said already what happened."""
    error = tieline.ConnectFailed("x", failure=failure)
    assert classify(error, sent=False) is failure


@pytest.mark.parametrize(
    "wrap", [raised_while_handling, lambda error: raised_from(AppError, error)]
)
def test_custom_error_is_known_by_its_cause(wrap: Callable[[Exception], Exception]) -> None:
    """Applications wrap errors in their own; the failure is still the same."""
    failure = classify(wrap(ConnectionRefusedError(errno.ECONNREFUSED, "x")), sent=False)
    assert failure is not None
    assert (failure.kind, failure.phase, failure.safety) == (
        Kind.REFUSED,
        Phase.CONNECT,
        Safety.ALWAYS,
    )
    assert classify(wrap(tieline.Refused("x", failure=REFUSED)), sent=False) is REFUSED


def test_empty_cause_counts() -> None:
    """A cause that is false in a condition is a cause all the same."""
    middle = raised_from(EmptyError, ConnectionRefusedError())
    failure = classify(raised_from(AppError, middle), sent=False)
    assert failure is not None
    assert failure.kind is Kind.REFUSED


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError("slow"),
        BrokenPipeError(),
        OSError(errno.EHOSTUNREACH, "no route"),
    ],
)
def test_raw_error_of_unknown_phase_counts_as_sent(error: Exception) -> None:
    """Without a proof of the phase, the request may have been applied."""
    failure = classify(error, sent=False)
    assert failure is not None
    assert failure.safety is Safety.IF_IDEMPOTENT
    assert failure.sent


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        FileNotFoundError(errno.ENOENT, "no such file", "settings.toml"),
        raised_from(ValueError, KeyError("y")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_unknown_errors_pass(error: Exception) -> None:
    """An application's own trouble is no failure of the target."""
    assert classify(error, sent=False) is None


@pytest.mark.parametrize("cls", [errors.NotAttempted, errors.CircuitOpen, errors.TargetUnhealthy])
def test_declined_calls_pass(cls: type[errors.TielineError]) -> None:
    """A call that another policy declined is not repeated against its will."""
    error = cls("open", failure=REFUSED)
    assert classify(error, sent=False) is None
    assert classify(raised_from(AppError, error), sent=False) is None


def test_error_of_ours_without_a_failure_passes() -> None:
    """Wrong settings do not get better by repeating."""
    assert classify(tieline.ConfigError("bad"), sent=False) is None
    assert classify(tieline.DeadlineExceeded("late"), sent=False) is None


@pytest.mark.parametrize(
    ("sent", "applied", "failure", "safety"),
    [
        (False, False, REFUSED, Safety.ALWAYS),
        (True, False, REFUSED, Safety.IF_IDEMPOTENT),
        (False, True, REFUSED, Safety.IF_IDEMPOTENT),
        (True, False, LOST, Safety.IF_IDEMPOTENT),
        (True, False, DENIED, Safety.NEVER),
    ],
)
def test_what_was_sent_before_stays_sent(
    sent: bool, applied: bool, failure: Failure, safety: Safety
) -> None:
    """A refusal after a write inside the same function must not have the write repeated."""
    found = classify(tieline.Aborted("x", failure=failure, maybe_applied=applied), sent=sent)
    assert found is not None
    assert found.safety is safety
    assert found.sent == (safety is Safety.IF_IDEMPOTENT)
    assert found.kind is failure.kind


@pytest.mark.parametrize("length", [1, 2, 3])
def test_cycle_of_causes_ends(length: int) -> None:
    """Exceptions may be each other's cause."""
    ring = [AppError(str(index)) for index in range(length)]
    for index, error in enumerate(ring):
        error.__cause__ = ring[(index + 1) % length]
    assert list(causes(ring[0])) == ring
    assert classify(ring[0], sent=False) is None


def test_suppressed_context_is_no_cause() -> None:
    """`raise ... from None` says that what was being handled has nothing to do with it."""

    def function() -> None:
        try:
            raise ConnectionRefusedError
        except ConnectionRefusedError:
            raise AppError("x") from None

    assert classify(caught(function), sent=False) is None


def test_what_the_caller_was_handling_is_no_cause() -> None:
    """A fallback called in an `except` block has its own troubles: it was not refused."""

    def fallback() -> Exception:
        # The guard stands here; what it calls never saw the refusal.
        return caught(lambda: {}["missing"])

    try:
        raise ConnectionRefusedError
    except ConnectionRefusedError:
        error = fallback()
    assert isinstance(error.__context__, ConnectionRefusedError)
    assert list(causes(error)) == [error]
    assert classify(error, sent=False) is None


def test_contexts_of_several_frames_are_followed() -> None:
    """What the function itself was handling, at whatever depth, does count."""

    def inner() -> None:
        try:
            raise KeyError("x")
        except KeyError:
            raise AppError("app")  # noqa: B904 - the point of the test

    def outer() -> None:
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            inner()

    kinds = [type(error) for error in causes(caught(outer))]
    assert kinds == [AppError, KeyError, ConnectionResetError]
