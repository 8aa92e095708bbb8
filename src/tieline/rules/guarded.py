"""What an exception out of a guarded function means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tieline.errors import NotAttempted, TielineError
from tieline.failure import Failure, Phase, Safety
from tieline.rules import system

if TYPE_CHECKING:
    from collections.abc import Iterator


def classify(error: BaseException, *, sent: bool) -> Failure | None:
    """The failure behind any exception, known by itself or by what caused it; None if unknown.

    Args:
        error: What the function raised.
        sent: Whether any call of ours made inside it may have sent something.
    """
    for cause in causes(error):
        if isinstance(cause, NotAttempted):
            return None
        if isinstance(cause, TielineError):
            return _inner(cause, sent=sent)
        found = system.classify(cause, Phase.RECEIVE)
        if found is not None:
            return _inner_failure(found, sent=sent)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what it was raised from or while handling, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _inner(error: TielineError, *, sent: bool) -> Failure | None:
    if error.failure is None:
        return None
    return _inner_failure(error.failure, sent=sent or error.maybe_applied)


def _inner_failure(failure: Failure, *, sent: bool) -> Failure:
    """The failure of one call inside, seen as the failure of the whole function.

    The function is more than its last call: what an earlier one sent stays sent.
    """
    if not sent or failure.sent or failure.safety is not Safety.ALWAYS:
        return failure
    return dataclasses.replace(failure, safety=Safety.IF_IDEMPOTENT, maybe_applied=True)
