"""One logical operation: the state machine that decides what happens next.

A driver asks `start`, does what the decision says, and reports back with `failed`, `woke`,
`succeeded` or `abandoned` until the decision is to raise. After a failed attempt the questions
come cheapest first: safe to repeat? attempts left? does the wait fit the deadline? would a
breaker admit it? is the target known to be down? The budget comes last, so that nothing is spent
on a retry that cannot happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline import events
from tieline.errors import DeadlineExceeded
from tieline.failure import Attempt, Kind
from tieline.policy.decision import NO_TERMS, Proceed, Raise, Sleep
from tieline.policy.gate import allows_retry
from tieline.policy.limits import TIMER_SLACK, Limits
from tieline.policy.outcome import EFFECTS, Mark
from tieline.policy.retry import Reason, repeatable
from tieline.policy.route import VERDICTS, Blocked, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tieline.endpoint import Endpoint
    from tieline.failure import Failure
    from tieline.policy.budget import BudgetState
    from tieline.policy.decision import Decision, Lane, Terms
    from tieline.policy.gate import Snapshot
    from tieline.policy.policy import Policy


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
        health: Gives what a health source last said of the target, without waiting for it and
            without ever raising; None without one.
        sent: Whether something was sent before it began, as by a request that was redirected.
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
        health: Callable[[], Snapshot | None] | None = None,
        sent: bool = False,
    ) -> None:
        """Nothing happens before `start`."""
        self.target = target
        self.attempts: list[Attempt] = []
        self.started = started
        self._policy = policy
        self._budget = budget
        self._limits = Limits(policy, started, deadline)
        self._idempotent = idempotent
        self._outer_repeats = outer_repeats
        self._events: list[events.Event] = []
        self._route = Route(target, lanes, health, self._events)
        self._number = 0
        self._begun = started
        self._allowed: float | None = None
        self._waited = 0.0
        self._delay = 0.0
        self._slept_at = started
        self._sent = sent
        self._once_used = False
        self._terms = NO_TERMS
        self._round: list[Attempt] = []

    @property
    def endpoint(self) -> Endpoint | None:
        """The last one tried; None before the first attempt, and for a guarded function."""
        return None if self._route.lane is None else self._route.lane.endpoint

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
        taken = self._events.copy()
        self._events.clear()
        return taken

    def start(self, now: float, draw: Callable[[], float]) -> Decision:
        """Begin."""
        if self._limits.over(now):
            return self._end(Raise(DeadlineExceeded, Reason.DEADLINE), now)
        return self._begin_round(now, draw)

    def begun(self, generation: int) -> None:
        """Begin in the middle: the first attempt, let through by a closed breaker, has failed.

        The healthy path makes no `Call` before there is a failure to think about.

        Args:
            generation: The breaker's generation when that attempt began.
        """
        self._number = 1
        self._route.begun(generation)
        self._begun = self.started
        self._allowed = self._limits.for_attempt(self.started)

    def failed(
        self,
        failure: Failure,
        now: float,
        draw: Callable[[], float],
        *,
        place: Endpoint | None = None,
        terms: Terms = NO_TERMS,
    ) -> Decision:
        """The attempt failed.

        Args:
            failure: How.
            now: The time.
            draw: Source of randomness.
            place: Where, if not at the endpoint itself but on the way there: at a proxy.
            terms: What the caller's own retry settings say of another attempt.
        """
        elapsed = now - self._begun
        where = place or self.endpoint
        attempt = Attempt(self._number, where, failure, elapsed, self._waited)
        self.attempts.append(attempt)
        self._events.append(
            events.AttemptFailed(self.target, where, self._number, failure, elapsed)
        )
        self._terms = terms
        self._waited = 0.0
        self._sent = self._sent or failure.sent
        # Whether the deadline, and not the attempt's own timeout, ended the attempt.
        cut = failure.kind is Kind.TIMEOUT and self._limits.over(now, TIMER_SLACK)
        self._record(failure, now, draw, cut=cut)
        if cut:
            return self._end(Raise(DeadlineExceeded, Reason.DEADLINE), now)
        self._round.append(attempt)
        deciding = self._round
        if self._sent or not EFFECTS[failure.kind].elsewhere:
            # No other endpoint is asked, and what those before have said does not matter.
            deciding = [attempt]
            self._route.finish()
        if self._route.fresh:
            if not self._limits.leave_time(now):
                return self._end(Raise(None, Reason.DEADLINE, failure.retry_after), now)
            following = self._try_lanes(now, draw)
            if isinstance(following, Proceed):
                return following
        return self._after_round(deciding, now, draw)

    def woke(self, now: float, draw: Callable[[], float]) -> Decision:
        """The sleep is over."""
        self._waited = now - self._slept_at
        if self._limits.over(now):
            return self._end(Raise(None, Reason.DEADLINE), now)
        if not allows_retry(self._route.news()):
            return self._end(Raise(None, Reason.UNHEALTHY), now)
        return self._begin_round(now, draw)

    def succeeded(self, now: float, draw: Callable[[], float]) -> None:
        """The attempt succeeded."""
        self._route.report(Mark.SUCCESS, now, draw)
        if self._budget is not None:
            self._budget.deposit()
            if not self.attempts:
                self._budget.called(now, failed=False)
        if self.attempts:
            elapsed = now - self.started
            self._events.append(
                events.CallRecovered(self.target, self.endpoint, self._number, elapsed)
            )

    def abandoned(self, now: float, draw: Callable[[], float]) -> None:
        """The attempt was cancelled, or ended in a way that says nothing: give the permit back."""
        self._route.report(Mark.NEUTRAL, now, draw)

    def _begin_round(self, now: float, draw: Callable[[], float]) -> Decision:
        self._number += 1
        self._round = []
        self._route.restart()
        following = self._try_lanes(now, draw)
        if isinstance(following, Proceed):
            return following
        verdict = None if self.attempts else VERDICTS[following.reason]
        return self._end(Raise(verdict, following.reason, following.retry_after), now)

    def _try_lanes(self, now: float, draw: Callable[[], float]) -> Proceed | Blocked:
        """Go on with the next endpoint that may be asked, or say why there is none."""
        allowed = self._limits.for_attempt(now)
        lane = self._route.go_on(now, self._limits.for_probe(now), draw)
        if isinstance(lane, Blocked):
            return lane
        self._begun, self._allowed = now, allowed
        return Proceed(self._number, self.endpoint, allowed, lane)

    def _after_round(
        self, deciding: Sequence[Attempt], now: float, draw: Callable[[], float]
    ) -> Decision:
        """Whether to ask all endpoints again, and when."""
        # One endpoint that may do better next time is reason enough.
        hopeful = [attempt for attempt in deciding if self._unsafe(attempt.failure) is None]
        decisive = hopeful[-1] if hopeful else deciding[0]
        failure = decisive.failure
        effects = [EFFECTS[attempt.failure.kind] for attempt in self._round]
        asked = max(attempt.failure.retry_after or 0.0 for attempt in self._round)
        floor = max(asked, self._terms.wait)
        at_once = all(effect.once for effect in effects) and not self._once_used
        delay = 0.0
        if not at_once:
            base = max(effect.base for effect in effects)
            delay = self._policy.backoff.delay(
                self._number, draw(), base=base, floor=floor, previous=self._delay
            )
        reason = self._objection(failure, now, delay, draw, at_once=at_once)
        if reason is not None:
            if reason is Reason.BREAKER:
                asked = max(asked, self._route.wait(now))
            return self._end(Raise(None, reason, asked or None), now)
        self._once_used = self._once_used or at_once
        most = self._policy.retry.max_attempts
        self._events.append(
            events.RetryScheduled(
                self.target, decisive.endpoint, self._number, most, delay, failure
            )
        )
        self._slept_at, self._delay = now, delay or self._delay
        return Sleep(delay) if delay > 0 else self._begin_round(now, draw)

    def _objection(
        self,
        failure: Failure,
        now: float,
        delay: float,
        draw: Callable[[], float],
        *,
        at_once: bool,
    ) -> Reason | None:
        """The first reason against another round, the cheapest looked for first."""
        most = self._policy.retry.max_attempts
        used_up = EFFECTS[failure.kind].once and self._once_used
        budget, news = self._budget, self._route.news()
        fraction = 1.0 if news is None else news.fraction
        objections: tuple[tuple[Reason, Callable[[], bool]], ...] = (
            (Reason.CALLER, lambda: self._terms.stop),
            (Reason.OUTER, lambda: self._outer_repeats is not None and self._outer_repeats()),
            (Reason.ATTEMPTS, lambda: used_up or (most is not None and self._number >= most)),
            (Reason.DEADLINE, lambda: not self._limits.leave_time(now + delay)),
            (Reason.BREAKER, lambda: not self._route.open(now)),
            # The replacement of a dead kept connection is no retry.
            (Reason.UNHEALTHY, lambda: not at_once and not allows_retry(news)),
            (
                Reason.BUDGET,
                lambda: (
                    budget is not None and not at_once and not budget.allows(now, draw, fraction)
                ),
            ),
        )
        return self._unsafe(failure) or next((why for why, holds in objections if holds()), None)

    def _unsafe(self, failure: Failure) -> Reason | None:
        return repeatable(failure, sent=self._sent, idempotent=self._idempotent)

    def _record(
        self, failure: Failure, now: float, draw: Callable[[], float], *, cut: bool
    ) -> None:
        """Tell the breaker and the budget."""
        effect = EFFECTS[failure.kind]
        mark = effect.breaker
        # A caller in a hurry says nothing about the server.
        hurried = cut and self._limits.hurried(self._allowed)
        if hurried:
            mark = Mark.NEUTRAL
        if self._budget is not None:
            if len(self.attempts) == 1:
                self._budget.called(now, failed=True)
            if mark is Mark.SUCCESS and not effect.cost:
                self._budget.deposit()
            elif not hurried:
                self._budget.drain(effect.cost)
        self._route.report(mark, now, draw, strained=effect.cost > 0)

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
