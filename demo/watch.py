"""The live view: a line a side that updates on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tieline
from demo.console import GREEN, RED, YELLOW, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.console import Console
    from demo.load import Side
    from demo.outage import Stage

_PLAIN_INTERVAL = 1.0
"""Seconds between two plain lines, at least."""

_COLOURS = {"up": GREEN, "down": RED, "closed": GREEN, "half-open": YELLOW, "open": RED}
_HEADINGS = "   attempts  refused  answered  failed  waiting  breaker    back after"


@dataclass(frozen=True, slots=True)
class Look:
    """One side at one instant.

    Attributes:
        name: Of the side.
        attempts: To connect, by now.
        refused: Attempts that nobody accepted.
        answered: Calls.
        failed: Calls.
        waiting: Calls under way.
        breaker: State of the circuit breaker.
        back: Seconds from the end of the last outage to the first answer; None before it.
    """

    name: str
    attempts: int
    refused: int
    answered: int
    failed: int
    waiting: int
    breaker: str
    back: float | None


def look(side: Side, back: float | None) -> Look:
    """Count.

    Args:
        side: What to look at.
        back: Seconds from the end of the last outage to its first answer.
    """
    errors = [call.error for call in side.calls if call.error is not None]
    answered = len(side.calls) - len(errors)
    if side.heard is None:
        # The plain client tries once a call, and what went wrong is for the reader of its text.
        attempts = len(side.calls)
        refused = sum("Connection refused" in str(error) for error in errors)
        breaker = "none"
    else:
        lost = (tieline.ConnectionLost, tieline.OutcomeUnknown)
        attempts = side.heard.failed + answered + sum(isinstance(error, lost) for error in errors)
        refused, breaker = side.heard.refused, side.heard.breaker
    return Look(side.name, attempts, refused, answered, len(errors), side.waiting, breaker, back)


class Watch:
    """Shows how both sides are doing.

    Args:
        console: Where to.
        stage: The server.
        sides: Who calls it.
        name: What the server is called.
    """

    def __init__(
        self, console: Console, stage: Stage, sides: Sequence[Side], name: str = "PostgreSQL"
    ) -> None:
        """The clock of the view starts now."""
        self._name = name
        self._column = max(len(side.name) for side in sides)
        self._console = console
        self._stage = stage
        self._sides = sides
        self._begin = time.monotonic()
        self._printed: object = None
        self._due = 0.0

    def frame(self) -> None:
        """Show what has changed."""
        now = time.monotonic()
        up, since = self._stage.state(now)
        looks = [look(side, self._back(side) if up else None) for side in self._sides]
        if self._console.live:
            self._console.update(self._block(now, looks, up=up, since=since))
            return
        # Half-open is a matter of milliseconds, and no news to a reader of a log.
        changed = (up, *((each.breaker == "closed", each.back) for each in looks))
        if changed != self._printed and now >= self._due:
            self._printed, self._due = changed, now + _PLAIN_INTERVAL
            self._console.print(self._line(now, looks, up=up))

    def _back(self, side: Side) -> float | None:
        if not self._stage.outages:
            return None
        outage = self._stage.outages[-1]
        for call in side.calls:
            if call.error is None and call.ended >= outage.started:
                return max(0.0, call.ended - outage.accepts)
        return None

    def _block(
        self, now: float, looks: Sequence[Look], *, up: bool, since: float | None
    ) -> list[list[Span]]:
        state = "up" if up else "down"
        duration = "" if since is None else f" {'again ' if up else ''}for {since:.1f} s"
        clock = Span(f"{now - self._begin:7.1f} s  {self._name} is ")
        return [
            [clock, Span(state, _COLOURS[state]), Span(duration)],
            [Span(" " * self._column + _HEADINGS)],
            *(self._row(each) for each in looks),
        ]

    def _row(self, each: Look) -> list[Span]:
        numbers = (
            f"  {each.name:{self._column}} {each.attempts:9}{each.refused:9}{each.answered:10}"
            f"{each.failed:8}{each.waiting:9}  "
        )
        back = "" if each.back is None else f"{each.back:.2f} s"
        return [
            Span(numbers),
            Span(f"{each.breaker:9}", _COLOURS.get(each.breaker, "")),
            Span(f"{back:>12}"),
        ]

    def _line(self, now: float, looks: Sequence[Look], *, up: bool) -> str:
        sides = (
            f"{each.name}: {each.answered} answered, {each.failed} failed, {each.waiting} waiting"
            + (f", breaker {each.breaker}" if each.breaker != "none" else "")
            for each in looks
        )
        server = f"{self._name} {'up' if up else 'down'}"
        return f"{now - self._begin:5.1f} s  {server:16}  {'  |  '.join(sides)}"
