"""What a loop over connections does between two of them; the waiting is in the loop."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import process_exception  # type: ignore[attr-defined]  # all have it
from websockets.protocol import State

from tieline.engine import clock as clock_module
from tieline.engine.context import time_limit
from tieline.errors import DeadlineExceeded, NotAttempted, TielineError
from tieline.events import RetryScheduled
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.decision import Raise, Sleep
from tieline.policy.reconnection import Reconnection
from tieline.rules.phrases import seconds
from tieline.rules.translate import MAX_NOTES
from tieline.rules.websockets import classify_close, is_reset
from tieline.websockets._seam import Seam, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tieline.engine.target import TargetState
    from tieline.events import Event
    from tieline.failure import Attempt
    from tieline.websockets._given import Given

NATIVE_DELAYS: Final = "websockets.client"
"""Module whose own schedule, the default of ``reconnect_delays``, gives way to ours."""

LEFT: Final = Failure(Phase.RECEIVE, Kind.UNKNOWN, Safety.ALWAYS, code="")
"""A connection that was closed on this side before the body got it."""


class Comeback:
    """One loop, from its first connection to its end.

    Args:
        given: What the client is to do.
        state: The target.
        judge: ``process_exception`` as given to the client: the client's own leaves it to us.
        delays: ``reconnect_delays``, alike; None in a release that has none.

    Attributes:
        again: Whether there was a connection before.
    """

    def __init__(
        self,
        given: Given,
        state: TargetState,
        judge: Callable[[Exception], Exception | None],
        delays: Callable[[], Generator[float]] | None,
    ) -> None:
        """Nothing was opened yet."""
        self.again = False
        self._given = given
        self._state = state
        self._judge = None if judge is process_exception else judge
        own = delays is not None and getattr(delays, "__module__", "") != NATIVE_DELAYS
        self._delays = delays if own else None
        self._running: Generator[float] | None = None
        self._reconnection = Reconnection(given.policy.reconnect)
        self._history: deque[Attempt] = deque(maxlen=MAX_NOTES)
        self._began = self._opened = clock_module.active.now()
        self._ours, self._fit = False, True
        self._connection: Any = None
        self._told: list[Event] = []

    def opened(self, connection: Any) -> None:
        """A connection is there."""
        self._history.clear()
        self._connection = connection
        self._opened = clock_module.active.now()

    def left(self, *, fit: bool) -> None:
        """The body of the loop is done with it.

        Args:
            fit: Whether the body got it: it may have ended while it was made ready.
        """
        self.again = True
        self._fit = fit
        # One that is still open is closed by us, because the body wants a new one.
        self._ours = fit and self._connection.protocol.state is State.OPEN

    def failed(self, error: Exception) -> float:
        """Seconds until the next opening, after one that failed.

        Args:
            error: What it failed of.

        Raises:
            Exception: The loop ends; it is that error, or what the caller's ``process_exception``
                has put in its place.
        """
        if not isinstance(error, TielineError) or isinstance(error, DeadlineExceeded):
            raise error
        self._history += error.attempts
        return self._after(error, None)

    def ended(self) -> float:
        """Seconds until the next opening, after a connection that is closed by now.

        Raises:
            Exception: The loop ends.
        """
        connection, self._connection = self._connection, None
        lived = clock_module.active.now() - self._opened
        if self._ours:
            return 0.0
        error = self._end_of(connection)
        if not isinstance(error, TielineError):
            # The body has closed it.
            return 0.0
        return self._after(error, lived)

    def _end_of(self, connection: Any) -> BaseException:
        native = connection.protocol.close_exc
        if isinstance(connection, Seam):
            error = connection._tieline_translated(native, Phase.RECEIVE)
            if error is not native or self._fit:
                return error
            failure = None
        else:
            # Of a class that the caller's ``create_connection`` has chosen: nobody has counted
            # what is in flight.
            state = vars(connection)
            reset = is_reset(state.get("connection_exc") or state.get("recv_exc"))
            failure = classify_close(native, Phase.RECEIVE, reset=reset, in_flight=True)
        if failure is None:
            if self._fit:
                return native  # type: ignore[no-any-return]  # a ConnectionClosed
            failure = LEFT
        return ended(native, failure, self._given.place, self._given.target)

    def take_events(self) -> list[Event]:
        """What has happened since the last time this was asked."""
        told, self._told = self._told, []
        return told

    def _after(self, error: TielineError, lived: float | None) -> float:
        failure = error.failure
        hopeless = failure is not None and failure.safety is Safety.NEVER
        # Where the server has not heard of us, there is nothing to judge, but a time to wait.
        verdict = failure is None or isinstance(error, NotAttempted)
        forgiven = self._judge is not None and not verdict and (lived is None or hopeless)
        if forgiven:
            self._judged(error)
        delay = None
        if self._delays is not None:
            if self._running is None or (lived or 0.0) >= self._given.policy.reconnect.reset_after:
                self._running = self._delays()
            delay = next(self._running, None)
            if delay is None:
                raise self._final(error, "its delays are used up")
        limit = time_limit()

        def decide(now: float, draw: Callable[[], float]) -> Sleep | Raise:
            decision = self._reconnection.after(
                failure,
                now,
                draw,
                lived=lived,
                asked=error.retry_after,
                deadline=limit,
                forgiven=forgiven,
                given=delay,
            )
            if error.failure is not None and isinstance(decision, Sleep):
                self._told.append(self._scheduled(error, error.failure, decision.seconds))
            return decision

        decision = self._state.step(self, decide)
        if isinstance(decision, Raise):
            raise self._final(error, decision.reason)
        return decision.seconds

    def _scheduled(self, error: TielineError, failure: Failure, delay: float) -> Event:
        most = self._given.policy.reconnect.max_attempts
        number = self._reconnection.failures
        return RetryScheduled(self._state.name, error.endpoint, number, most, delay, failure)

    def _judged(self, error: TielineError) -> None:
        """Ask the caller's ``process_exception``, as websockets does; return if we may go on."""
        assert self._judge is not None  # noqa: S101 - asked for by who knows
        native = error.__cause__
        if native is not None and isinstance(error, type(native)):
            # It is that error itself, and so its cause is what websockets' own default looks at.
            error.__cause__ = native.__cause__
        try:
            verdict = self._judge(error)
        except Exception as raised:  # noqa: BLE001 - raising is as good as returning
            verdict = raised
        finally:
            error.__cause__ = native
        if verdict is error:
            raise error
        if verdict is not None:
            raise verdict from error

    def _final(self, error: TielineError, reason: str) -> TielineError:
        """The error that ends the loop, with the history of all openings since the last success."""
        error.attempts = tuple(self._history) or error.attempts
        spent = seconds(clock_module.active.now() - self._began)
        error.add_note(f"the loop over connections ends after {spent}: {reason}")
        return error
