"""One logical operation: the state machine that decides what happens next.

A driver asks `start`, does what the decision says, and reports back with `failed`, `woke`,
`succeeded` or `abandoned` until the decision is to raise. After a failed attempt the questions
come cheapest first: safe to repeat? attempts left? does the wait fit the deadline? would a
breaker admit it? the budget last, so that nothing is spent on a retry that cannot happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline import events
from tieline.errors import CircuitOpen, DeadlineExceeded
from tieline.failure import Attempt, Kind
from tieline.policy.breaker import Permit, State
from tieline.policy.deadline import earliest
from tieline.policy.decision import Proceed, Raise, Sleep
from tieline.policy.outcome import EFFECTS, Mark
from tieline.policy.retry import Reason, repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tieline.endpoint import Endpoint
    from tieline.failure import Failure
    from tieline.policy.breaker import BreakerState
    from tieline.policy.budget import BudgetState
    from tieline.policy.decision import Decision, Lane
    from tieline.policy.policy import Policy

USEFUL_SLICE = 0.05
"""Seconds that must be left after a wait, or the attempt behind it would be cut at once."""

TIMER_SLACK = 0.005
"""Seconds by which a client's timer may go off early: some count in whole milliseconds."""

LEASE_MARGIN = 1.0
"""Seconds beyond its timeout after which a probe counts as lost."""

DEFAULT_LEASE = 60.0
"""Seconds a probe may take when its attempt has no timeout."""


class Call:
    """What one call has been through, and what it does next.

    Args:
        target: Name of the target.
        policy: The settings.
        lanes: The endpoints in the order to try them; all of them make one round, and a round
            is what counts as an attempt.
        budget: The target's retry budget; None for no limit.
        started: When the call began.
        deadline: A time from outside that bounds it.
        idempotent: Whether the caller said that repeating does no harm.
        outer_repeats: Whether a surrounding guard would repeat all of this, so that we need not.
    """

    def __init__(
        self,
        target: str,
        policy: Policy,
        lanes: Sequence[Lane],
        budget: BudgetState | None,
        *,
        started: float,
        deadline: float | None = None,
        idempotent: bool = False,
        outer_repeats: Callable[[], bool] | None = None,
    ) -> None:
        """Nothing happens before `start`."""
        self.target = target
        self.attempts: list[Attempt] = []
        self.started = started
        self.endpoint: Endpoint | None = None
        self._policy = policy
        self._lanes = lanes
        self._budget = budget
        own = None if policy.call_timeout is None else started + policy.call_timeout
        self.deadline = earliest(deadline, own)
        self._idempotent = idempotent
        self._outer_repeats = outer_repeats
        self._events: list[events.Event] = []
        self._number = 0
        self._next_lane = 0
        self._breaker: BreakerState | None = None
        self._permit: Permit | None = None
        self._begun = started
        self._allowed: float | None = None
        self._waited = 0.0
        self._slept_at = started
        self._sent = False
        self._once_used = False
        self._round: list[Attempt] = []

    @property
    def sent(self) -> bool:
        """Whether anything was sent on any attempt so far."""
        return self._sent

    @property
    def maybe_applied(self) -> bool:
        """Whether the request may have been carried out on any attempt so far."""
        return any(attempt.failure.maybe_applied for attempt in self.attempts)

    def take_events(self) -> list[events.Event]:
        """What has happened since the last time this was asked."""
        taken, self._events = self._events, []
        return taken

    def start(self, now: float, draw: Callable[[], float]) -> Decision:
        """Begin."""
        if self.deadline is not None and now >= self.deadline:
            return self._end(Raise(DeadlineExceeded, Reason.DEADLINE), now)
        return self._begin_round(now, draw)

    def begun(self, generation: int) -> None:
        """Begin in the middle: the first attempt, let through by a closed breaker, has failed.

        The healthy path makes no `Call` before there is a failure to think about.

        Args:
            generation: The breaker's generation when that attempt began.
        """
        self._number = 1
        self._next_lane = len(self._lanes)
        lane = self._lanes[0]
        self.endpoint, self._breaker = lane.endpoint, lane.breaker
        self._permit = None
        if lane.breaker is not None:
            self._permit = Permit(generation, probe=False)
        self._begun = self.started
        self._allowed = self._time_for_attempt(self.started)

    def failed(self, failure: Failure, now: float, draw: Callable[[], float]) -> Decision:
        """The attempt failed."""
        elapsed = now - self._begun
        attempt = Attempt(self._number, self.endpoint, failure, elapsed, self._waited)
        self.attempts.append(attempt)
        self._events.append(
            events.AttemptFailed(self.target, self.endpoint, self._number, failure, elapsed)
        )
        self._waited = 0.0
        self._sent = self._sent or failure.sent
        cut = self._was_cut(failure, now)
        self._record(failure, now, draw, cut=cut)
        if cut:
            return self._end(Raise(DeadlineExceeded, Reason.DEADLINE), now)
        self._round.append(attempt)
        deciding = self._round
        if self._sent or not EFFECTS[failure.kind].elsewhere:
            # No other endpoint is asked, and what those before have said does not matter.
            deciding = [attempt]
            self._next_lane = len(self._lanes)
        if self._next_lane < len(self._lanes):
            if not self._time_left(now):
                return self._end(Raise(None, Reason.DEADLINE, failure.retry_after), now)
            following = self._try_lanes(now, draw)
            if isinstance(following, Proceed):
                return following
        return self._after_round(deciding, now, draw)

    def woke(self, now: float, draw: Callable[[], float]) -> Decision:
        """The sleep is over."""
        self._waited = now - self._slept_at
        if self.deadline is not None and now >= self.deadline:
            return self._end(Raise(None, Reason.DEADLINE), now)
        return self._begin_round(now, draw)

    def succeeded(self, now: float, _draw: Callable[[], float]) -> None:
        """The attempt succeeded."""
        if self._breaker is not None and self._permit is not None:
            before = self._breaker.state
            self._breaker.succeeded(self._permit, now)
            self._note_breaker(self._breaker, self.endpoint, before, now)
        if self._budget is not None:
            self._budget.deposit()
        if self.attempts:
            elapsed = now - self.started
            self._events.append(
                events.CallRecovered(self.target, self.endpoint, self._number, elapsed)
            )

    def abandoned(self, now: float, draw: Callable[[], float]) -> None:
        """The attempt was cancelled, or ended in a way that says nothing: give the permit back."""
        if self._breaker is not None and self._permit is not None:
            before = self._breaker.state
            self._breaker.released(self._permit, now, draw)
            self._note_breaker(self._breaker, self.endpoint, before, now)

    def _begin_round(self, now: float, draw: Callable[[], float]) -> Decision:
        self._number += 1
        self._next_lane = 0
        self._round = []
        following = self._try_lanes(now, draw)
        if isinstance(following, Proceed):
            return following
        verdict = None if self.attempts else CircuitOpen
        return self._end(Raise(verdict, Reason.BREAKER, following), now)

    def _try_lanes(self, now: float, draw: Callable[[], float]) -> Proceed | float | None:
        """Go on with the next endpoint whose breaker lets us, or say when one will."""
        soonest: float | None = None
        allowed = self._time_for_attempt(now)
        lease = DEFAULT_LEASE if allowed is None else allowed + LEASE_MARGIN
        while self._next_lane < len(self._lanes):
            endpoint, breaker = self._lanes[self._next_lane]
            self._next_lane += 1
            permit: Permit | None = None
            if breaker is not None:
                before = breaker.state
                admitted = breaker.admit(now, lease, draw)
                self._note_breaker(breaker, endpoint, before, now)
                if not isinstance(admitted, Permit):
                    soonest = earliest(soonest, admitted.retry_after)
                    continue
                permit = admitted
            self.endpoint, self._breaker, self._permit = endpoint, breaker, permit
            self._begun, self._allowed = now, allowed
            return Proceed(self._number, endpoint, allowed, self._next_lane - 1)
        return soonest

    def _after_round(
        self, deciding: Sequence[Attempt], now: float, draw: Callable[[], float]
    ) -> Decision:
        """Whether to ask all endpoints again, and when."""
        # One endpoint that may do better next time is reason enough.
        hopeful = [attempt for attempt in deciding if self._unsafe(attempt.failure) is None]
        decisive = hopeful[-1] if hopeful else deciding[0]
        failure = decisive.failure
        effects = [EFFECTS[attempt.failure.kind] for attempt in self._round]
        floor = max(attempt.failure.retry_after or 0.0 for attempt in self._round)
        at_once = all(effect.once for effect in effects) and not self._once_used
        delay = 0.0
        if not at_once:
            base = max(effect.base for effect in effects)
            delay = self._policy.backoff.delay(self._number, draw(), base=base, floor=floor)
        reason = self._objection(failure, now, delay, at_once=at_once)
        if reason is not None:
            return self._end(Raise(None, reason, floor or None), now)
        self._once_used = self._once_used or at_once
        most = self._policy.retry.max_attempts
        self._events.append(
            events.RetryScheduled(
                self.target, decisive.endpoint, self._number, most, delay, failure
            )
        )
        self._slept_at = now
        return Sleep(delay) if delay > 0 else self.woke(now, draw)

    def _objection(
        self, failure: Failure, now: float, delay: float, *, at_once: bool
    ) -> Reason | None:
        """The first reason against another round, the cheapest looked for first."""
        most = self._policy.retry.max_attempts
        used_up = EFFECTS[failure.kind].once and self._once_used
        objections: tuple[tuple[Reason, Callable[[], bool]], ...] = (
            (Reason.OUTER, lambda: self._outer_repeats is not None and self._outer_repeats()),
            (Reason.ATTEMPTS, lambda: used_up or (most is not None and self._number >= most)),
            (Reason.DEADLINE, lambda: not self._time_left(now + delay)),
            (
                Reason.BREAKER,
                lambda: (
                    not any(
                        lane.breaker is None or lane.breaker.would_admit(now)
                        for lane in self._lanes
                    )
                ),
            ),
            (
                Reason.BUDGET,
                lambda: self._budget is not None and not at_once and not self._budget.allows(),
            ),
        )
        return self._unsafe(failure) or next((why for why, holds in objections if holds()), None)

    def _unsafe(self, failure: Failure) -> Reason | None:
        return repeatable(failure, sent=self._sent, idempotent=self._idempotent)

    def _time_left(self, now: float) -> bool:
        """Whether an attempt that begins then is worth making."""
        return self.deadline is None or now + USEFUL_SLICE <= self.deadline

    def _time_for_attempt(self, now: float) -> float | None:
        left = None if self.deadline is None else max(0.0, self.deadline - now)
        return earliest(self._policy.attempt_timeout, left)

    def _was_cut(self, failure: Failure, now: float) -> bool:
        """Whether the deadline, and not the attempt's own timeout, ended the attempt."""
        if failure.kind is not Kind.TIMEOUT or self.deadline is None:
            return False
        return now + TIMER_SLACK >= self.deadline

    def _record(
        self, failure: Failure, now: float, draw: Callable[[], float], *, cut: bool
    ) -> None:
        """Tell the breaker and the budget."""
        effect = EFFECTS[failure.kind]
        mark = effect.breaker
        full = earliest(self._policy.attempt_timeout, self._policy.call_timeout)
        # A caller in a hurry says nothing about the server.
        hurried = cut and (full is None or self._allowed is None or self._allowed < full / 2)
        if hurried:
            mark = Mark.NEUTRAL
        if self._budget is not None:
            if mark is Mark.SUCCESS and not effect.cost:
                self._budget.deposit()
            elif not hurried:
                self._budget.drain(effect.cost)
        if self._breaker is None or self._permit is None:
            return
        before = self._breaker.state
        if mark is Mark.FAILURE:
            self._breaker.failed(self._permit, now, draw)
        elif mark is Mark.SUCCESS:
            self._breaker.succeeded(self._permit, now)
        else:
            self._breaker.released(self._permit, now, draw)
        self._note_breaker(self._breaker, self.endpoint, before, now)

    def _note_breaker(
        self, breaker: BreakerState, endpoint: Endpoint | None, before: State, now: float
    ) -> None:
        if breaker.state is before:
            return
        event: events.Event = events.BreakerProbing(self.target, endpoint)
        if breaker.state is State.OPEN:
            event = events.BreakerOpened(
                self.target, endpoint, breaker.failures, breaker.open_for(now)
            )
        elif breaker.state is State.CLOSED:
            event = events.BreakerClosed(self.target, endpoint, breaker.been_open(now))
        self._events.append(event)

    def _end(self, decision: Raise, now: float) -> Raise:
        last = self.attempts[-1] if self.attempts else None
        self._events.append(
            events.CallFailed(
                self.target,
                self.endpoint,
                last.number if last is not None else 0,
                now - self.started,
                last.failure if last is not None else None,
                decision.reason,
            )
        )
        return decision
