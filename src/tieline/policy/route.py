"""The way of one call: past the health gate and the breakers, from endpoint to endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tieline import events
from tieline.errors import CircuitOpen, TargetUnhealthy
from tieline.policy.breaker import Permit, State
from tieline.policy.deadline import earliest
from tieline.policy.gate import admits
from tieline.policy.outcome import Mark
from tieline.policy.retry import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tieline.errors import TielineError
    from tieline.policy.breaker import BreakerState
    from tieline.policy.decision import Lane
    from tieline.policy.gate import Snapshot


class Blocked(NamedTuple):
    """No endpoint is left that would have us.

    Attributes:
        reason: What kept us away.
        retry_after: Seconds until asking again makes sense; None where nobody knows.
    """

    reason: Reason
    retry_after: float | None


VERDICTS: Final[Mapping[Reason, type[TielineError]]] = {
    Reason.BREAKER: CircuitOpen,
    Reason.UNHEALTHY: TargetUnhealthy,
}
"""What kept a call from its first attempt -> how it ends."""


class Route:
    """Where the call is on its way through the lanes, and what it tells their breakers.

    Args:
        target: Name of the target.
        lanes: The endpoints in the order to try them.
        health: Gives the last news of a health source; None without one.
        told: Where to put events.

    Attributes:
        lane: The one of the last attempt; None before the first.
    """

    __slots__ = ("_health", "_lanes", "_next", "_permit", "_target", "_told", "lane")

    def __init__(
        self,
        target: str,
        lanes: Sequence[Lane],
        health: Callable[[], Snapshot | None] | None,
        told: list[events.Event],
    ) -> None:
        """Stand before the first lane."""
        self.lane: Lane | None = None
        self._target = target
        self._lanes = lanes
        self._health = health
        self._told = told
        self._next = 0
        self._permit: Permit | None = None

    @property
    def fresh(self) -> bool:
        """Whether some lane was not asked in this round."""
        return self._next < len(self._lanes)

    def begun(self, generation: int) -> None:
        """Be where a first attempt on the first lane, let through by a closed breaker, leads."""
        self.finish()
        self.lane = self._lanes[0]
        self._permit = None if self.lane.breaker is None else Permit(generation, probe=False)

    def restart(self) -> None:
        """Begin another round."""
        self._next = 0

    def finish(self) -> None:
        """Ask no other lane in this round."""
        self._next = len(self._lanes)

    def go_on(self, now: float, lease: float, draw: Callable[[], float]) -> int | Blocked:
        """Take the next lane that gate and breaker let us use; its index.

        Args:
            now: The time.
            lease: Seconds after which a probe that has not reported counts as failed.
            draw: Source of randomness.
        """
        soonest: float | None = None
        reason = Reason.BREAKER
        news = self.news() if self.fresh else None
        while self.fresh:
            lane = self._lanes[self._next]
            self._next += 1
            if not admits(news, lane.seen.answered):
                reason = Reason.UNHEALTHY
                continue
            permit: Permit | None = None
            if lane.breaker is not None:
                before = lane.breaker.state
                admitted = lane.breaker.admit(now, lease, draw)
                self._note(lane, lane.breaker, before, now)
                if not isinstance(admitted, Permit):
                    soonest = earliest(soonest, admitted.retry_after)
                    continue
                permit = admitted
            self.lane, self._permit = lane, permit
            return self._next - 1
        return Blocked(reason, soonest)

    def report(
        self, mark: Mark, now: float, draw: Callable[[], float], *, strained: bool = True
    ) -> None:
        """Tell how the attempt ended, as far as that says anything of the endpoint.

        Args:
            mark: What the breaker counts.
            now: The time.
            draw: Source of randomness.
            strained: Whether a failure cost the server something.
        """
        lane = self.lane
        if lane is None:
            return
        if mark is Mark.SUCCESS:
            lane.seen.answered = now
        if lane.breaker is None or self._permit is None:
            return
        before = lane.breaker.state
        if mark is Mark.FAILURE:
            lane.breaker.failed(self._permit, now, draw, strained=strained)
        elif mark is Mark.SUCCESS:
            lane.breaker.succeeded(self._permit, now)
        else:
            lane.breaker.released(self._permit, now, draw)
        self._note(lane, lane.breaker, before, now)

    def news(self) -> Snapshot | None:
        """What the health source says now."""
        return None if self._health is None else self._health()

    def open(self, now: float) -> bool:
        """Whether some breaker is sure to let an attempt through."""
        return any(lane.breaker is None or lane.breaker.would_admit(now) for lane in self._lanes)

    def wait(self, now: float) -> float:
        """Seconds until the first breaker may let an attempt through."""
        return min(
            (0.0 if lane.breaker is None else lane.breaker.wait(now)) for lane in self._lanes
        )

    def _note(self, lane: Lane, breaker: BreakerState, before: State, now: float) -> None:
        if breaker.state is before:
            return
        event: events.Event = events.BreakerProbing(self._target, lane.endpoint)
        if breaker.state is State.OPEN:
            event = events.BreakerOpened(
                self._target, lane.endpoint, breaker.failures, breaker.open_for(now)
            )
        elif breaker.state is State.CLOSED:
            event = events.BreakerClosed(self._target, lane.endpoint, breaker.been_open(now))
        self._told.append(event)
