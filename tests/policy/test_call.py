"""One call: what it decides, and what it never does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.world import DENIED, LOST, REFUSED, START, TIMEOUT, World, sent, unsent
from tieline import events
from tieline.endpoint import Proxy
from tieline.errors import CircuitOpen, DeadlineExceeded, TargetUnhealthy
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import CircuitBreaker, State
from tieline.policy.budget import Budget
from tieline.policy.decision import Proceed, Raise, Sleep, Terms
from tieline.policy.gate import Snapshot, Verdict
from tieline.policy.limits import DEFAULT_LEASE, LEASE_MARGIN, USEFUL_SLICE, Limits
from tieline.policy.outcome import EFFECTS
from tieline.policy.policy import Policy
from tieline.policy.retry import Reason, Retry

if TYPE_CHECKING:
    from tieline.policy.call import Call
    from tieline.policy.decision import Decision

BUSY = unsent(Kind.BUSY, Phase.HANDSHAKE)
HOPELESS = Failure(Phase.RESOLVE, Kind.NO_NAME, Safety.NEVER)
STANDBY = unsent(Kind.WRONG_ROLE, Phase.HANDSHAKE)


# --- any call ----------------------------------------------------------------------------------

OUTCOMES = st.sampled_from(
    [
        REFUSED,
        DENIED,
        LOST,
        TIMEOUT,
        BUSY,
        HOPELESS,
        STANDBY,
        unsent(Kind.STALE, Phase.SEND),
        unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=3.0),
        unsent(Kind.BUSY, Phase.HANDSHAKE, retry_after=0.5),
        sent(Kind.TIMEOUT),
        sent(Kind.NOT_READY, retry_after=2.0),
        Failure(Phase.RECEIVE, Kind.EOF, Safety.NEVER, maybe_applied=True),
        "success",
        "cancelled",
    ]
)
POLICIES = st.builds(
    Policy,
    call_timeout=st.sampled_from([None, 4.0, 25.0]),
    attempt_timeout=st.sampled_from([0.5, 4.0]),
    retry=st.builds(Retry, max_attempts=st.sampled_from([1, 2, 3, 5])),
    backoff=st.sampled_from(
        [
            Backoff(),
            Backoff(initial=0.0),
            Backoff(initial=1.0),
            Backoff(jitter="equal"),
            Backoff(jitter="decorrelated"),
            Backoff(jitter="none"),
        ]
    ),
    breaker=st.sampled_from(
        [None, CircuitBreaker(failures=1), CircuitBreaker(), CircuitBreaker(rate=0.1, min_calls=2)]
    ),
    budget=st.sampled_from([None, Budget(), Budget(tokens=2), "fleet"]),
)


class Scenario(NamedTuple):
    """Calls one after the other on one target, and how each of their attempts ends."""

    policy: Policy
    lanes: int
    idempotent: bool
    deadline: float | None
    seed: int
    script: list[tuple[Failure | str, float]]
    """How an attempt ends, and after which part of its time."""
    down: tuple[float, float] | None
    """From when until when, in seconds from the start, the health source says that it is down."""


SCENARIOS = st.builds(
    Scenario,
    policy=POLICIES,
    lanes=st.integers(1, 3),
    idempotent=st.booleans(),
    deadline=st.sampled_from([None, 0.3, 3.0, 60.0]),
    seed=st.integers(0, 2**32),
    script=st.lists(
        st.tuples(OUTCOMES, st.sampled_from([0.0, 0.1, 0.5, 1.0])), min_size=1, max_size=25
    ),
    down=st.sampled_from([None, None, (0.0, 1e9), (0.3, 5.0), (2.0, 3.0)]),
)


class Step(NamedTuple):
    at: float
    decision: object


class Played(NamedTuple):
    world: World
    started: float
    call: object
    steps: list[Step]
    failures: list[Failure]
    """What each attempt but a last successful one failed with; None for a cancelled one."""


def play(scenario: Scenario) -> list[Played]:
    """Run calls until the script is used up."""
    world = World(scenario.policy, lanes=scenario.lanes, draw=random.Random(scenario.seed).random)

    def health() -> Snapshot | None:
        edges = None if scenario.down is None else [START + edge for edge in scenario.down]
        if edges is None or not edges[0] <= world.now < edges[1]:
            return None
        return Snapshot(Verdict.DOWN, edges[0])

    script = list(scenario.script)
    played = []
    while script:
        limit = None if scenario.deadline is None else world.now + scenario.deadline
        call = world.call(deadline=limit, idempotent=scenario.idempotent, health=health)
        started = world.now
        steps, failures = [], []
        decision = world.start(call)
        while True:
            steps.append(Step(world.now, decision))
            if isinstance(decision, Raise):
                script = script if call.attempts else script[1:]
                break
            if isinstance(decision, Sleep):
                decision = world.wake(call, decision)
                continue
            outcome, part = script.pop(0) if script else ("success", 0.0)
            world.now += part * decision.timeout
            if outcome == "success":
                world.succeed(call)
                steps.append(Step(world.now, "success"))
                break
            if outcome == "cancelled":
                world.abandon(call)
                break
            failures.append(outcome)
            decision = world.fail(call, outcome)
        played.append(Played(world, started, call, steps, failures))
        world.now += 0.5
    return played


def decisions(played: Played, kind: type) -> list:
    """What was decided, of one kind."""
    return [step.decision for step in played.steps if isinstance(step.decision, kind)]


@given(SCENARIOS)
def test_attempts_are_bounded(scenario: Scenario) -> None:
    """No call goes more rounds than allowed, nor asks an endpoint twice in one."""
    for played in play(scenario):
        proceeds = decisions(played, Proceed)
        assert all(p.number <= scenario.policy.retry.max_attempts for p in proceeds)
        assert len({(p.number, p.lane) for p in proceeds}) == len(proceeds)


@given(SCENARIOS)
def test_deadline_is_never_passed(scenario: Scenario) -> None:
    """Waits and attempts end by the deadline, and no attempt is given no time."""
    for played in play(scenario):
        limits = [scenario.deadline, scenario.policy.call_timeout]
        left = min((limit for limit in limits if limit is not None), default=None)
        for step in played.steps:
            if left is not None and isinstance(step.decision, Proceed):
                assert step.at + step.decision.timeout <= played.started + left + 1e-9
            if isinstance(step.decision, Proceed):
                assert step.decision.timeout > 0
            if left is not None and isinstance(step.decision, Sleep):
                wakes = step.at + step.decision.seconds
                assert wakes + USEFUL_SLICE <= played.started + left + 1e-9


@given(SCENARIOS)
def test_unsafe_is_never_repeated(scenario: Scenario) -> None:
    """Once something was sent nothing follows unless the caller allows it; never after NEVER."""
    for played in play(scenario):
        attempts = decisions(played, Proceed)
        for count, failure in enumerate(played.failures, 1):
            if count == len(attempts):
                continue
            assert not (failure.maybe_applied and failure.safety is Safety.NEVER)
            assert scenario.idempotent or not failure.sent
            if failure.safety is Safety.NEVER:
                # Another endpoint may know better, in this round or the next.
                assert scenario.lanes > 1
                assert EFFECTS[failure.kind].elsewhere


@given(SCENARIOS)
def test_no_retry_while_down(scenario: Scenario) -> None:
    """While the health source says "down" no round follows another; only a dead socket is renewed.

    Nothing at all is tried at an endpoint that has not answered since.
    """
    if scenario.down is None:
        return
    begins, ends = (START + edge for edge in scenario.down)
    answered: dict[int, float] = {}
    for played in play(scenario):
        outcomes = iter([*played.failures, None])
        before, lane = None, 0
        for step in played.steps:
            if isinstance(step.decision, Proceed):
                lane = step.decision.lane
                if begins <= step.at < ends:
                    assert answered.get(lane, 0.0) >= begins
                    assert step.decision.number == 1 or before.kind is Kind.STALE
                before = next(outcomes)
            elif step.decision == "success":
                answered[lane] = step.at


@given(SCENARIOS)
def test_hint_is_never_undercut(scenario: Scenario) -> None:
    """No endpoint is asked again before the time that it asked for."""
    for played in play(scenario):
        asked: dict[int, float] = {}
        failures = iter(played.failures)
        for step in played.steps:
            if not isinstance(step.decision, Proceed):
                continue
            lane = step.decision.lane
            assert step.at >= asked.get(lane, step.at) - 1e-9
            failure = next(failures, None)
            if failure is not None and failure.retry_after is not None:
                asked[lane] = step.at + failure.retry_after


@given(SCENARIOS)
def test_same_seed_same_schedule(scenario: Scenario) -> None:
    """A call has no chance of its own: the same draws give the same decisions."""
    assert [p.steps for p in play(scenario)] == [p.steps for p in play(scenario)]


@given(SCENARIOS)
def test_budget_stays_in_its_bounds(scenario: Scenario) -> None:
    """The bucket never overflows, never falls below nothing, and refuses instead of waiting."""
    for played in play(scenario):
        budget = played.world.budget
        if budget is not None:
            assert 0 <= budget.tokens <= scenario.policy.budget.tokens
        for decision in decisions(played, Raise):
            thin = scenario.policy.budget is not None and scenario.policy.budget.chance is not None
            assert decision.reason is not Reason.BUDGET or thin or not budget.full


@given(SCENARIOS)
def test_no_permit_leaks(scenario: Scenario) -> None:
    """After any calls, however they ended, each breaker lets somebody in when it is time."""
    world = play(scenario)[-1].world
    for breaker in world.breakers:
        assert breaker is None or breaker.would_admit(world.now + 100)


@given(SCENARIOS)
def test_every_end_is_told_once(scenario: Scenario) -> None:
    """Each failed attempt, each retry and each failed call is one event, in that order."""
    for played in play(scenario):
        heard = played.call.take_events()
        failed = [e for e in heard if isinstance(e, events.AttemptFailed)]
        assert [e.failure for e in failed] == played.failures
        ended = [e for e in heard if isinstance(e, events.CallFailed)]
        assert [e.reason for e in ended] == [d.reason for d in decisions(played, Raise)]
        scheduled = [e for e in heard if isinstance(e, events.RetryScheduled)]
        rounds = {p.number for p in decisions(played, Proceed)}
        assert {e.number + 1 for e in scheduled} >= rounds - {1}
        if ended:
            assert heard[-1] is ended[0]
        assert played.call.take_events() == []


@given(SCENARIOS)
def test_first_failure_of_the_round_speaks(scenario: Scenario) -> None:
    """A call that made an attempt ends with what that raised, or with the deadline."""
    for played in play(scenario):
        for decision in decisions(played, Raise):
            wanted = {None, DeadlineExceeded} if played.failures else {CircuitOpen, TargetUnhealthy}
            assert decision.error in wanted


# --- the order of the questions ----------------------------------------------------------------

QUESTIONS = (
    Reason.SENT,
    Reason.OUTER,
    Reason.ATTEMPTS,
    Reason.DEADLINE,
    Reason.BREAKER,
    Reason.UNHEALTHY,
    Reason.BUDGET,
)


@pytest.mark.parametrize("first", range(len(QUESTIONS)), ids=lambda i: QUESTIONS[i].name)
@pytest.mark.parametrize("alone", [False, True])
def test_first_objection_is_the_reason(first: int, alone: bool) -> None:
    """Safe, attempts, deadline, breaker, health, budget: the first no is the reason, alone or not."""
    holding = {QUESTIONS[first]} if alone else set(QUESTIONS[first:])
    world = World(
        Policy(
            retry=Retry(max_attempts=1 if Reason.ATTEMPTS in holding else 3),
            breaker=CircuitBreaker(failures=1 if Reason.BREAKER in holding else 5),
        )
    )
    if Reason.BUDGET in holding:
        world.budget.drain(9)
    short = USEFUL_SLICE if Reason.DEADLINE in holding else 10
    outer = (lambda: True) if Reason.OUTER in holding else None
    call = world.call(deadline=START + short, outer_repeats=outer)
    world.start(call)
    if Reason.UNHEALTHY in holding:
        world.news = Snapshot(Verdict.DOWN, START)
    failure = sent(Kind.RESET) if Reason.SENT in holding else unsent(Kind.RESET)
    decision = world.fail(call, failure)
    assert (decision.error, decision.reason) == (None, QUESTIONS[first])


def test_no_objection() -> None:
    """Without any objection it sleeps."""
    assert World().once(unsent(Kind.RESET)) == Sleep(0.05)


def test_outer_guard_that_may_not_repeat() -> None:
    """An outer guard that would not repeat leaves repeating to this call."""
    assert isinstance(World().once(REFUSED, outer_repeats=lambda: False), Sleep)


def test_useful_slice() -> None:
    """A retry needs a useful slice of time behind its wait; exactly that much will do."""
    for extra, wanted in ((0.0, Sleep), (-0.001, Raise)):
        world = World(draw=lambda: 0.0)
        failure = unsent(Kind.NOT_READY, Phase.HANDSHAKE)
        decision = world.once(failure, deadline=START + 0.5 + USEFUL_SLICE + extra)
        assert isinstance(decision, wanted)


def test_last_allowed_attempt() -> None:
    """Three attempts are three, not two and not four."""
    world = World()
    call = world.call()
    decision = world.start(call)
    numbers = []
    while isinstance(decision, Proceed):
        numbers.append(decision.number)
        decision = world.fail(call, REFUSED)
        if isinstance(decision, Sleep):
            decision = world.wake(call, decision)
    assert numbers == [1, 2, 3]
    assert decision == Raise(None, Reason.ATTEMPTS)


def test_budget_stops_retries_at_half() -> None:
    """Retries end with the fifth failure that counts; first attempts go on."""
    world = World(Policy(breaker=None))
    reasons = [world.once(TIMEOUT) for _ in range(6)]
    assert [isinstance(d, Sleep) for d in reasons] == [True] * 4 + [False] * 2
    assert reasons[-1] == Raise(None, Reason.BUDGET)


# --- time --------------------------------------------------------------------------------------


def test_attempt_gets_what_is_left() -> None:
    """An attempt gets its own timeout or what is left, whichever is less."""
    world = World()
    assert world.start(world.call()).timeout == 5.0
    assert world.start(world.call(deadline=START + 2)).timeout == 2.0
    world = World(Policy(call_timeout=None, attempt_timeout=None))
    assert world.start(world.call()).timeout is None


def test_earlier_of_both_deadlines() -> None:
    """The policy's total and a deadline from outside: the earlier counts."""
    assert Limits(Policy(), START, None).deadline == START + 25
    assert Limits(Policy(), START, START + 2).deadline == START + 2
    assert Limits(Policy(), START, START + 200).deadline == START + 25


@pytest.mark.parametrize("late", [0.0, 1.0])
def test_no_time_at_the_start(late: float) -> None:
    """Without time nothing is attempted."""
    world = World()
    call = world.call(deadline=START - late)
    assert world.start(call) == Raise(DeadlineExceeded, Reason.DEADLINE)
    assert call.attempts == []


def test_overslept() -> None:
    """A sleep that ended too late is followed by the failure, not by an attempt without time."""
    world = World()
    call = world.call(deadline=START + 1)
    world.start(call)
    assert isinstance(world.fail(call, REFUSED), Sleep)
    world.now = START + 1
    assert call.woke(world.now, world.draw) == Raise(None, Reason.DEADLINE)


def test_zero_delay_is_no_sleep() -> None:
    """A backoff of nothing goes on at once, without a Sleep."""
    world = World(Policy(backoff=Backoff(initial=0)))
    assert isinstance(world.once(REFUSED), Proceed)


def test_decorrelated_waits_follow_each_other() -> None:
    """Each wait is drawn from the one before, also across a repetition without any."""
    world = World(Policy(backoff=Backoff(jitter="decorrelated"), retry=Retry(max_attempts=9)))
    call = world.call()
    world.start(call)
    waits = []
    for failure in (REFUSED, unsent(Kind.STALE, Phase.SEND), REFUSED, REFUSED):
        decision = world.fail(call, failure)
        if isinstance(decision, Sleep):
            waits.append(decision.seconds)
            world.wake(call, decision)
    assert waits == pytest.approx([0.2, 0.35, 0.575])


def test_history_remembers_waits() -> None:
    """Each attempt of the history knows how long it took and how long was slept before it."""
    world = World()
    call = world.call()
    world.start(call)
    wait = world.fail(call, REFUSED, after=0.2)
    world.wake(call, wait)
    world.fail(call, REFUSED, after=0.3)
    assert [a.number for a in call.attempts] == [1, 2]
    assert [a.elapsed for a in call.attempts] == pytest.approx([0.2, 0.3])
    assert [a.waited for a in call.attempts] == pytest.approx([0, wait.seconds])


# --- the breaker -------------------------------------------------------------------------------


def test_open_breaker_declines() -> None:
    """With the breaker open nothing is attempted, and the call says when to come back."""
    world = World()
    world.trip()
    call = world.call()
    assert world.start(call) == Raise(CircuitOpen, Reason.BREAKER, 1.0)
    (event,) = call.take_events()
    assert (event.number, event.failure, event.reason) == (0, None, Reason.BREAKER)


def test_opening_breaker_ends_the_call() -> None:
    """The failure that opens the breaker is the last one, though attempts are left."""
    world = World(Policy(breaker=CircuitBreaker(failures=2), retry=Retry(max_attempts=9)))
    call = world.call()
    world.start(call)
    world.wake(call, world.fail(call, REFUSED))
    assert world.fail(call, REFUSED) == Raise(None, Reason.BREAKER, 1.0)


@pytest.mark.parametrize(("hint", "wanted"), [(None, 1.0), (0.5, 1.0), (7.0, 7.0)])
def test_opened_breaker_says_when(hint: float | None, wanted: float) -> None:
    """Whoever opened it may come back when it lets a probe through, or when the server said."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    failure = unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=hint)
    assert world.once(failure) == Raise(None, Reason.BREAKER, wanted)


def test_opened_breaker_with_a_probe_under_way() -> None:
    """A breaker that is busy with somebody's probe says when the lease of that ends."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    late = world.call()
    late.begun(world.breaker.generation)
    world.trip()
    world.now += 1
    assert isinstance(world.start(world.call()), Proceed)
    assert world.fail(late, REFUSED) == Raise(None, Reason.BREAKER, 5.0 + LEASE_MARGIN)


def test_soonest_of_several_opened_breakers() -> None:
    """Of several open breakers the first to let a probe through is the one to wait for."""
    world = World(lanes=2, policy=Policy(breaker=CircuitBreaker(failures=1)))
    call = world.call()
    world.start(call)
    world.fail(call, REFUSED)
    assert world.fail(call, REFUSED, after=0.4) == Raise(None, Reason.BREAKER, pytest.approx(0.6))


def test_only_an_open_breaker_says_when() -> None:
    """A call that ends for another reason repeats the server's hint, and makes up none."""
    world = World(Policy(breaker=CircuitBreaker(failures=1), retry=Retry(max_attempts=1)))
    assert world.once(REFUSED) == Raise(None, Reason.ATTEMPTS)


def test_breaker_opened_by_others_while_asleep() -> None:
    """Who wakes up before an open breaker gets the failure and the time to come back."""
    world = World()
    call = world.call()
    world.start(call)
    asleep = world.fail(call, REFUSED)
    world.trip()
    decision = world.wake(call, asleep)
    assert decision == Raise(None, Reason.BREAKER, pytest.approx(0.95))


@pytest.mark.parametrize(("timeout", "lease"), [(5.0, 5.0 + LEASE_MARGIN), (None, DEFAULT_LEASE)])
def test_lease_of_a_probe(timeout: float | None, lease: float) -> None:
    """A probe that never returns blocks others for its timeout and a margin, no longer."""
    world = World(
        Policy(call_timeout=None, attempt_timeout=timeout, breaker=CircuitBreaker(failures=1))
    )
    world.trip()
    world.now += 1
    assert isinstance(world.start(world.call()), Proceed)
    assert world.start(world.call()).retry_after == pytest.approx(lease)
    world.now += lease
    assert world.start(world.call()).retry_after == pytest.approx(2.0)


def test_breaker_events() -> None:
    """Opening, probing, opening again and closing are told once each."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    heard = []

    def run(failure: Failure | None) -> None:
        call = world.call()
        if isinstance(world.start(call), Proceed):
            world.succeed(call) if failure is None else world.fail(call, failure)
        heard.extend(e for e in call.take_events() if type(e).__name__.startswith("Breaker"))

    run(TIMEOUT)
    run(TIMEOUT)
    world.now += 1
    run(TIMEOUT)
    world.now += 2
    run(None)
    place = world.lanes[0].endpoint
    assert heard == [
        events.BreakerOpened("t", place, 1, 1.0),
        events.BreakerProbing("t", place),
        events.BreakerOpened("t", place, 2, 2.0),
        events.BreakerProbing("t", place),
        events.BreakerClosed("t", place, 3.0),
    ]


def test_begun_on_the_healthy_path() -> None:
    """A call made only after its first attempt failed counts it as if it had been there."""
    world = World()
    call = world.call()
    call.begun(world.breaker.generation)
    assert isinstance(world.fail(call, REFUSED, after=0.5), Sleep)
    assert world.breaker.failures == 1
    assert [(a.number, a.elapsed) for a in call.attempts] == [(1, 0.5)]


def test_begun_before_the_breaker_changed() -> None:
    """A first attempt that began before the breaker opened counts no more."""
    world = World()
    generation = world.breaker.generation
    world.trip()
    call = world.call()
    call.begun(generation)
    assert world.fail(call, REFUSED) == Raise(None, Reason.BREAKER, 1.0)
    assert world.breaker.failures == 5


def test_recovery_is_told() -> None:
    """Success after a failure is an event; plain success is none."""
    world = World()
    call = world.call()
    world.start(call)
    world.wake(call, world.fail(call, REFUSED))
    world.succeed(call)
    told = call.take_events()[-1]
    assert told == events.CallRecovered("t", world.lanes[0].endpoint, 2, pytest.approx(0.05))
    call = world.call()
    world.start(call)
    world.succeed(call)
    assert call.take_events() == []


# --- several endpoints -------------------------------------------------------------------------


def test_round_asks_every_endpoint() -> None:
    """All endpoints make one attempt: no wait between them, one between rounds."""
    world = World(lanes=3, policy=Policy(retry=Retry(max_attempts=2)))
    call = world.call()
    decision = world.start(call)
    lanes = []
    while not isinstance(decision, Raise):
        if isinstance(decision, Sleep):
            lanes.append("sleep")
            decision = world.wake(call, decision)
        else:
            lanes.append(decision.lane)
            decision = world.fail(call, REFUSED)
    assert lanes == [0, 1, 2, "sleep", 0, 1, 2]
    assert decision.reason is Reason.ATTEMPTS


def test_denied_stops_at_once() -> None:
    """A rejected password is offered to no other endpoint, whatever the first one said."""
    world = World(lanes=3)
    call = world.call()
    world.start(call)
    assert world.fail(call, REFUSED).lane == 1
    assert world.fail(call, DENIED) == Raise(None, Reason.HOPELESS)


def test_nothing_elsewhere_after_sending() -> None:
    """Once sent, not even another endpoint is asked in the same round, and its backoff holds."""
    world = World(lanes=2)
    assert world.once(LOST) == Raise(None, Reason.SENT)
    assert isinstance(world.once(LOST, idempotent=True), Sleep)


def test_hopeless_endpoint_does_not_end_the_round() -> None:
    """One endpoint that may recover is reason enough for another round."""
    for order in ([HOPELESS, REFUSED], [REFUSED, HOPELESS]):
        world = World(lanes=2)
        call = world.call()
        world.start(call)
        assert isinstance(world.fail(call, order[0]), Proceed)
        assert isinstance(world.fail(call, order[1]), Sleep)
    world = World(lanes=2)
    call = world.call()
    world.start(call)
    world.fail(call, HOPELESS)
    assert world.fail(call, HOPELESS) == Raise(None, Reason.HOPELESS)


def test_round_waits_for_the_longest_hint() -> None:
    """What one endpoint asked for is not undercut because another one asked for less."""
    world = World(lanes=2)
    call = world.call()
    world.start(call)
    world.fail(call, unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=4.0))
    decision = world.fail(call, REFUSED)
    assert decision.seconds >= 4.0


@pytest.mark.parametrize("first", [True, False])
def test_stale_does_not_hurry_the_others(first: bool) -> None:
    """A dead kept connection is no reason to come back to another endpoint before its time."""
    busy = unsent(Kind.BUSY, Phase.HANDSHAKE, retry_after=4.0)
    stale = unsent(Kind.STALE, Phase.SEND)
    world = World(lanes=2)
    call = world.call()
    world.start(call)
    world.fail(call, stale if first else busy)
    decision = world.fail(call, busy if first else stale)
    assert isinstance(decision, Sleep)
    assert decision.seconds >= 4.0


def test_round_waits_for_the_slowest_failure() -> None:
    """What takes a second to pass at one endpoint is given it, whatever the others said."""
    world = World(lanes=2, draw=lambda: 0.0)
    call = world.call()
    world.start(call)
    world.fail(call, BUSY)
    assert world.fail(call, REFUSED) == Sleep(1.0)


def test_hint_before_a_failure_that_ends_the_round() -> None:
    """What the first endpoint asked for holds also when the second one ends the round."""
    world = World(lanes=2)
    call = world.call(idempotent=True)
    world.start(call)
    world.fail(call, unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=4.0))
    decision = world.fail(call, LOST)
    assert isinstance(decision, Sleep)
    assert decision.seconds >= 4.0


def test_last_hopeful_failure_is_the_reason() -> None:
    """Of several failures that may pass, a round is repeated for the last one."""
    world = World(lanes=2)
    call = world.call()
    world.start(call)
    world.fail(call, REFUSED)
    world.fail(call, TIMEOUT)
    told = call.take_events()[-1]
    assert (told.endpoint, told.failure) == (world.lanes[1].endpoint, TIMEOUT)


def test_open_lanes_are_passed_over() -> None:
    """An endpoint with an open breaker is skipped; with all of them open, nothing is tried."""
    world = World(lanes=2)
    first = world.breaker
    while first.state is State.CLOSED:
        first.failed(first.admit(world.now, 1, world.draw), world.now, world.draw)
    call = world.call()
    assert world.start(call).lane == 1
    assert isinstance(world.fail(call, REFUSED), Sleep)
    world.trip()
    assert world.start(world.call()) == Raise(CircuitOpen, Reason.BREAKER, 1.0)


def test_soonest_breaker_is_named() -> None:
    """With several open breakers the time to come back is that of the first to probe."""
    world = World(lanes=2)
    world.trip()
    world.now += 0.4
    second = world.breakers[1]
    second.reset()
    while second.state is State.CLOSED:
        second.failed(second.admit(world.now, 1, world.draw), world.now, world.draw)
    assert world.start(world.call()).retry_after == pytest.approx(0.6)


def test_failed_endpoint_stays_named() -> None:
    """The call's endpoint is the last one tried, not one that an open breaker kept away."""
    world = World(lanes=2)
    second = world.breakers[1]
    while second.state is State.CLOSED:
        second.failed(second.admit(world.now, 1, world.draw), world.now, world.draw)
    call = world.call()
    world.start(call)
    world.fail(call, REFUSED)
    assert call.endpoint == world.lanes[0].endpoint


def test_no_time_for_the_next_endpoint() -> None:
    """The next endpoint of a round is asked only if there is time for it."""
    world = World(lanes=2, policy=Policy(retry=Retry(max_attempts=1)))
    call = world.call(deadline=START + 1)
    world.start(call)
    assert world.fail(call, REFUSED, after=1 - USEFUL_SLICE / 2) == Raise(None, Reason.DEADLINE)


def test_retry_event_names_who_it_is_for() -> None:
    """The endpoint and the failure of a retry event belong together."""
    world = World(lanes=2)
    call = world.call()
    world.start(call)
    world.fail(call, REFUSED)
    world.fail(call, HOPELESS)
    told = call.take_events()[-1]
    assert isinstance(told, events.RetryScheduled)
    assert (told.endpoint, told.failure) == (world.lanes[0].endpoint, REFUSED)


def test_what_was_sent() -> None:
    """The call remembers over all attempts what was sent, and what may have been applied."""
    world = World()
    call = world.call(idempotent=True)
    world.start(call)
    assert (call.sent, call.maybe_applied) == (False, False)
    world.wake(call, world.fail(call, LOST))
    world.fail(call, REFUSED)
    assert (call.sent, call.maybe_applied) == (True, True)


# --- what a client of the caller's own settings brings along -------------------------------------


def failed(world: World, call: Call, failure: Failure, **options: object) -> Decision:
    """Let the attempt under way fail, with more said of it."""
    return call.failed(failure, world.now, world.draw, **options)


def test_the_callers_own_wait_is_a_floor() -> None:
    """The longer wait of both, and no word of it in what is raised."""
    world = World()
    call = world.call()
    world.start(call)
    decision = failed(world, call, REFUSED, terms=Terms(wait=7.0))
    assert isinstance(decision, Sleep)
    assert 7.0 <= decision.seconds < 7.2
    world.wake(call, decision)
    assert failed(world, call, REFUSED, terms=Terms(wait=3.0, stop=True)).retry_after is None


def test_the_callers_own_settings_may_stop() -> None:
    """Their no ends the call, before anything of ours is asked; the failure still counts."""
    world = World()
    call = world.call()
    world.start(call)
    decision = failed(world, call, REFUSED, terms=Terms(stop=True))
    assert decision == Raise(None, Reason.CALLER)
    assert world.breaker.failures == 1


def test_terms_hold_for_one_failure() -> None:
    """What was said of one attempt says nothing of the next."""
    world = World()
    call = world.call()
    world.start(call)
    world.wake(call, failed(world, call, REFUSED, terms=Terms(wait=7.0)))
    decision = failed(world, call, REFUSED)
    assert isinstance(decision, Sleep)
    assert decision.seconds < 1.0


def test_sent_before_it_began() -> None:
    """A request that was redirected has been sent, whatever becomes of the rest."""
    world = World()
    decision = world.once(REFUSED, sent=True)
    assert decision == Raise(None, Reason.SENT)
    assert isinstance(world.once(REFUSED, sent=True, idempotent=True), Sleep)


def test_failed_on_the_way() -> None:
    """What happened at a proxy is told of the proxy, and counted where the call was going."""
    world = World()
    proxy = Proxy("http", "p", 3128)
    call = world.call()
    world.start(call)
    failed(world, call, REFUSED, place=proxy)
    assert [attempt.endpoint for attempt in call.attempts] == [proxy]
    told = [event.endpoint for event in call.take_events()]
    assert told[0] == proxy
    assert world.breaker.failures == 1
