"""What an exception out of a guarded function means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tieline.errors import NotAttempted, TielineError
from tieline.failure import Failure, Phase, Safety
from tieline.rules import system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


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
    """The exception, then what it was raised from or while handling, outermost first.

    What the caller was handling when it called the function is no cause: a fallback that is
    called in an ``except`` block has its own troubles. Such an error was caught by a frame that
    this exception has not passed.
    """
    seen: set[int] = set()
    passed: set[FrameType] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        traceback = current.__traceback__
        while traceback is not None:
            passed.add(traceback.tb_frame)
            traceback = traceback.tb_next
        following = current.__cause__
        if following is None and not current.__suppress_context__:
            following = current.__context__
            caught = None if following is None else following.__traceback__
            if caught is None or caught.tb_frame not in passed:
                return
        current = following


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
