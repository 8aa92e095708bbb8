"""The promises, each checked against what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tieline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.load import Call
    from demo.outage import Outage
    from demo.result import Result, SideResult


def broken(result: Result) -> Iterator[str]:
    """One sentence for each promise that tieline broke; nothing if all held.

    Args:
        result: What happened.
    """
    for side in result.ours:
        yield from (f"{side.name}: {sentence}" for sentence in _broken(side, result))
    if result.leaked:
        yield "a password was printed, or stood in an error"


def _broken(ours: SideResult, result: Result) -> Iterator[str]:
    if ours.audit.lost:
        yield f"{result.noun}s lost: {len(ours.audit.lost)} answered and not in {result.store}"
    if ours.audit.twice:
        yield f"{result.noun}s written twice: {len(ours.audit.twice)}"
    silent = ours.audit.stored - ours.audit.unknown
    if silent:
        yield (
            "calls that failed as if nothing were stored, and whose "
            f"{result.noun} is there: {len(silent)}"
        )
    if ours.longest_wait > result.call_timeout:
        yield f"a call waited {ours.longest_wait:.2f} s, its call_timeout is {result.call_timeout:g} s"
    for name, outage in zip(("restart", "outage"), result.outages, strict=True):
        first = ours.first_answer(outage)
        if first is None:
            yield f"no answer after the {name}"
        elif first > result.back_within:
            yield (
                f"the first answer after the {name} took {first:.2f} s, "
                f"more than {result.back_within:.2f} s"
            )
    wrong = [call for call in ours.failures if not _names_the_cause(call, result)]
    if wrong:
        error = wrong[0].error
        yield f"errors of the wrong class: {len(wrong)}, the first {type(error).__name__}: {error}"


def _names_the_cause(call: Call, result: Result) -> bool:
    """Whether the class of the error says what was the case while the call was under way."""
    # The drop-in's errors are the client's as well, or handlers written for it would miss them.
    if not isinstance(call.error, result.native):
        return False
    return any(
        isinstance(call.error, kind) and call.overlaps(*window)
        for outage in result.outages
        for kind, window in _true_when(outage, result.back_within)
    )


def _true_when(
    outage: Outage, back_within: float
) -> Iterator[tuple[type[tieline.TielineError], tuple[float, float]]]:
    """When, in an outage, each class tells the truth."""
    yield tieline.Refused, (outage.killed, outage.accepts)
    # The breaker cannot know that the server is back before its next probe.
    yield tieline.CircuitOpen, (outage.killed, outage.accepts + back_within)
    # Accepted by a process that was then killed.
    yield tieline.HandshakeFailed, (outage.killed, outage.dead)
    yield tieline.ConnectionLost, (outage.killed, outage.dead)
    yield tieline.OutcomeUnknown, (outage.killed, outage.dead)
    yield tieline.NotReady, (outage.started, outage.accepts)
