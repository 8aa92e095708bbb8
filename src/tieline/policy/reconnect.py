"""How a client that lives on one long connection comes back after losing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.policy.backoff import LAST_GROWTH
from tieline.policy.checks import number
from tieline.policy.units import Seconds  # noqa: TC001 - config asks for it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How a loop over connections comes back: one opening in each of a row of growing windows.

    The windows follow each other without a gap, and each opening takes place at a random time in
    the next one. A server that restarts loses all its clients in one moment: they return evenly
    over the first window, none of them twice in it, and those that were too early spread over the
    second, which is twice as long. RFC 6455, 7.2.3, asks for such a wait before the first opening
    too, of 5 seconds at most.

    Attributes:
        initial: Length in seconds of the first window, after the loss of a connection.
        max: Longest such window, in seconds.
        reset_after: Seconds that a connection has to live for the windows to begin anew. One that
            a server accepts and closes at once counts like one that it refuses.
        max_attempts: Openings in a row, of which none led to a connection that lived so long,
            after which the loop ends; None for no limit.
    """

    initial: Seconds = 5.0
    max: Seconds = 60.0
    reset_after: Seconds = 30.0
    max_attempts: int | None = None

    def window(self, failures: int) -> float:
        """Seconds in the window after so many failures, 1 or more."""
        return float(min(self.max, self.initial * 2.0 ** min(failures - 1, LAST_GROWTH)))

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        for name in ("initial", "max", "reset_after"):
            value = getattr(self, name)
            yield from number(f"reconnect.{name}", value, least=0, unit="seconds")
        yield from number(
            "reconnect.max_attempts", self.max_attempts, least=1, whole=True, optional=True
        )
