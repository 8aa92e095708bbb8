"""What a run has shown, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from demo.audit import Audit
    from demo.load import Call
    from demo.outage import Outage


@dataclass(frozen=True, slots=True)
class SideResult:
    """One row of the table.

    Attributes:
        name: Of the side.
        calls: All its calls.
        most_waiting: Calls under way at once, at most.
        audit: What the database says.
    """

    name: str
    calls: tuple[Call, ...]
    most_waiting: int
    audit: Audit

    @property
    def failures(self) -> list[Call]:
        """The calls that failed, in the order in which they began."""
        failed = [call for call in self.calls if call.error is not None]
        return sorted(failed, key=lambda call: call.started)

    @property
    def longest_wait(self) -> float:
        """Seconds that the slowest call took, answered or not."""
        return max((call.wait for call in self.calls), default=0.0)

    def first_answer(self, outage: Outage) -> float | None:
        """Seconds from "the server accepts again" to the first answer; None without one.

        Args:
            outage: One that is over.
        """
        answers = (
            call.ended for call in self.calls if call.error is None and call.ended >= outage.started
        )
        first = min(answers, default=None)
        # A call may be quicker than our look at whether the server accepts.
        return None if first is None else max(0.0, first - outage.accepts)


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that the table and the promises are made of.

    Attributes:
        plain: The app on the plain client.
        ours: The app on tieline: in threads, and on asyncio.
        restart: The short outage.
        outage: The long one.
        call_timeout: Seconds that a call of ours may take.
        back_within: Seconds from "the server accepts again" in which we owe an answer.
        leaked: Whether a password stood in an error of ours.
        native: The class of errors that callers of the plain client catch.
        noun: What a call stores.
        store: Where.
    """

    plain: SideResult
    ours: tuple[SideResult, ...]
    restart: Outage
    outage: Outage
    call_timeout: float
    back_within: float
    leaked: bool
    native: type[Exception] = psycopg.OperationalError
    noun: str = "row"
    store: str = "the database"

    @property
    def sides(self) -> tuple[SideResult, ...]:
        """All of them."""
        return self.plain, *self.ours

    @property
    def outages(self) -> tuple[Outage, Outage]:
        """Both, in order."""
        return self.restart, self.outage
