"""What both kinds of connection share: losses told as they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from tieline.engine import clock as clock_module
from tieline.errors import DeadlineExceeded
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.rules.classes import class_of
from tieline.rules.natives import native_class
from tieline.rules.translate import lost
from tieline.rules.websockets import classify_close, is_reset

if TYPE_CHECKING:
    from tieline.endpoint import Endpoint
    from tieline.policy.deadline import Deadline

ENDINGS: Final = {
    True: "what was sent since the last pong may have arrived",
    False: "",
}
"""Whether something is in flight -> what to say of it."""

LATE: Final = "the deadline was exceeded"


class Seam:
    """The part of our connection classes that does not wait.

    Attributes:
        _tieline_sent: When a message was last handed over, by the clock of the pings.
        _tieline_confirmed: When the last ping was sent that has been answered: what was handed
            over before has arrived.
    """

    protocol: Any

    _tieline_target: str | None = None
    _tieline_place: Endpoint | None = None
    _tieline_reset = False
    _tieline_sent = -math.inf
    _tieline_confirmed = -math.inf

    def acknowledge_pings(self, data: bytes) -> None:
        """Note what a pong confirms."""
        # The first name is that of websockets 17.1 and later.
        state = vars(self)
        pending: dict[bytes, tuple[Any, ...]] = state.get("pending_pings") or state.get(
            "pong_waiters", {}
        )
        if data in pending:
            self._tieline_confirmed = pending[data][1]
        super().acknowledge_pings(data)  # type: ignore[misc]  # the native class comes next

    def set_connection_exc(self, exc: BaseException | None) -> None:
        """Note a reset, which may not be the first thing that goes wrong."""
        self._tieline_reset = self._tieline_reset or is_reset(exc)
        super().set_connection_exc(exc)  # type: ignore[misc]  # as above

    def set_recv_exc(self, exc: BaseException | None) -> None:
        """The same in websockets 15 and 16."""
        self._tieline_reset = self._tieline_reset or is_reset(exc)
        super().set_recv_exc(exc)  # type: ignore[misc]  # as above

    def _tieline_translated(self, error: Exception, phase: Phase) -> BaseException:
        """What to raise in place of a ``ConnectionClosed``; the same where we closed it."""
        sent = self._tieline_sent
        in_flight = sent > -math.inf and sent >= self._tieline_confirmed
        failure = classify_close(error, phase, reset=self._tieline_reset, in_flight=in_flight)
        if failure is None:
            return error
        return ended(error, failure, self._tieline_place, self._tieline_target)

    def _tieline_left(self, limit: Deadline, phase: Phase) -> float | None:
        """Seconds until a deadline; None when it bounds nothing.

        Raises:
            DeadlineExceeded: There are none, and so nothing was done.
        """
        left = left_of(limit)
        if left is not None and left <= 0:
            raise self._tieline_out_of_time(phase)
        return left

    def _tieline_out_of_time(
        self, phase: Phase, cause: Exception | None = None, *, sent: bool = False
    ) -> BaseException:
        """The error for a deadline that came.

        Args:
            phase: Whether we were to send or to receive.
            cause: What the client raised; None where the connection is as it was.
            sent: Whether something may have been handed over.
        """
        safety = Safety.IF_IDEMPOTENT if sent else Safety.ALWAYS
        failure = Failure(phase, Kind.TIMEOUT, safety, code="", hint="deadline", maybe_applied=sent)
        return lost(
            DeadlineExceeded,
            failure,
            cause or native_class("websockets", DeadlineExceeded)("deadline exceeded"),
            endpoint=self._tieline_place,
            facts={"target": self._tieline_target, "maybe_applied": sent},
            ending=LATE,
            client="websockets",
        )


def ended(
    error: Exception, failure: Failure, place: Endpoint | None, target: str | None
) -> BaseException:
    """The error for the end of a connection.

    Args:
        error: A ``ConnectionClosed``.
        failure: What it means.
        place: Where the connection led.
        target: Name of the target.
    """
    return lost(
        class_of(failure),
        failure,
        error,
        endpoint=place,
        facts={"target": target, "maybe_applied": failure.maybe_applied},
        ending=ENDINGS[failure.maybe_applied],
        client="websockets",
    )


def left_of(limit: Deadline | None) -> float | None:
    """Seconds until a deadline, below 0 when it has passed; None when nothing bounds us."""
    if limit is None:
        return None
    at = limit.at
    return None if at is None else at - clock_module.active.now()
