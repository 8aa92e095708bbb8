"""When a loop over connections opens the next one, or ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.failure import Safety
from tieline.policy.decision import Raise, Sleep
from tieline.policy.limits import USEFUL_SLICE
from tieline.policy.retry import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.failure import Failure
    from tieline.policy.reconnect import Reconnect


class Reconnection:
    """Where one loop over connections stands.

    Args:
        settings: The windows.

    Attributes:
        failures: Connections in a row that failed to open or did not live long enough.
    """

    __slots__ = ("_begins", "_settings", "failures")

    def __init__(self, settings: Reconnect) -> None:
        """Nothing has failed yet."""
        self.failures = 0
        self._settings = settings
        self._begins = 0.0

    def after(
        self,
        failure: Failure | None,
        now: float,
        draw: Callable[[], float],
        *,
        lived: float | None = None,
        asked: float | None = None,
        deadline: float | None = None,
        affordable: bool = True,
        given: float | None = None,
    ) -> Sleep | Raise:
        """What follows a connection that was lost, or an opening that failed.

        Args:
            failure: How it ended; None where we did not even try.
            now: The time.
            draw: Source of randomness.
            lived: Seconds that the connection lived; None for one that did not open.
            asked: Seconds that the server, or the breaker, asked us to wait; never undercut.
            deadline: A time from outside that ends the loop.
            affordable: Whether the retry budget allows an opening. Where it does not, the window
                has its full length at once: a budget refuses and never blocks, and nobody would
                be left to earn a token if each loop ended with the first long outage.
            given: Seconds to wait by a schedule of the caller's own, in place of the windows.
        """
        settings = self._settings
        if lived is not None and lived >= settings.reset_after:
            self.failures = 0
            self._begins = now
        if failure is not None and failure.safety is Safety.NEVER:
            return Raise(None, Reason.HOPELESS)
        self.failures += 1
        most = settings.max_attempts
        if most is not None and self.failures >= most:
            return Raise(None, Reason.ATTEMPTS, asked)
        earliest = now + (asked or 0.0)
        if given is None:
            length = settings.window(self.failures) if affordable else settings.max
            begins = max(earliest, self._begins)
            self._begins = begins + length
            at = begins + draw() * length
        else:
            at = max(earliest, now + given)
        if deadline is not None and at + USEFUL_SLICE > deadline:
            return Raise(None, Reason.DEADLINE, asked)
        return Sleep(at - now)
