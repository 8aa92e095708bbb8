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
        forgiven: bool = False,
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
            forgiven: Whether the caller says to go on, whatever the failure.
            given: Seconds to wait by a schedule of the caller's own, in place of the windows.
        """
        settings = self._settings
        if lived is not None and lived >= settings.reset_after:
            self.failures = 0
            self._begins = now
        if failure is not None and failure.safety is Safety.NEVER and not forgiven:
            return Raise(None, Reason.HOPELESS)
        most = settings.max_attempts
        if failure is None:
            # The server has not heard of us: another time in a window of the same length.
            self._begins = now
        else:
            self.failures += 1
        if most is not None and self.failures >= most:
            return Raise(None, Reason.ATTEMPTS, asked)
        earliest = now + (asked or 0.0)
        if given is None:
            length = settings.window(max(1, self.failures))
            begins = max(earliest, self._begins)
            self._begins = begins + length
            at = begins + draw() * length
        else:
            at = max(earliest, now + given)
        if deadline is not None and at + USEFUL_SLICE > deadline:
            return Raise(None, Reason.DEADLINE, asked)
        return Sleep(at - now)
