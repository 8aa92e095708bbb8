"""The health gate: it holds back what is said to be down, and believes our own eyes first."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.world import LOST, REFUSED, START, TIMEOUT, World, sent, unsent
from tieline import events
from tieline.errors import CircuitOpen, TargetUnhealthy
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import CircuitBreaker, State
from tieline.policy.decision import Lane, Proceed, Raise, Sleep
from tieline.policy.gate import Snapshot, Verdict, admits, allows_retry
from tieline.policy.policy import Policy
from tieline.policy.retry import Reason, Retry
from tieline.rules.translate import final_error

HOUR = 3600.0
HELD_BACK = Raise(TargetUnhealthy, Reason.UNHEALTHY)


def down(since: float = START) -> Snapshot:
    """Everybody says that it is down."""
    return Snapshot(Verdict.DOWN, since, passing=0, registered=3)


@pytest.mark.parametrize(
    ("snapshot", "answered", "admitted", "retried"),
    [
        (None, None, True, True),
        (Snapshot(Verdict.UP, 10.0), None, True, True),
        (Snapshot(Verdict.UNKNOWN, 10.0), None, True, True),
        (Snapshot(Verdict.DOWN, 10.0), None, False, False),
        (Snapshot(Verdict.DOWN, 10.0), 9.9, False, False),
        (Snapshot(Verdict.DOWN, 10.0), 10.0, True, False),
        (Snapshot(Verdict.DOWN, 10.0), 11.0, True, False),
    ],
)
def test_rule(
    snapshot: Snapshot | None, answered: float | None, admitted: bool, retried: bool
) -> None:
    """Only "down" holds back, and not from what answered since; it always stops retries."""
    assert admits(snapshot, answered) is admitted
    assert allows_retry(snapshot) is retried


@pytest.mark.parametrize(
    ("verdict", "passing", "registered", "fraction"),
    [
        (Verdict.UP, 3, 3, 1.0),
        (Verdict.UP, 1, 4, 0.25),
        (Verdict.UP, 0, 0, 1.0),
        (Verdict.UP, 5, 4, 1.0),
        (Verdict.DOWN, 0, 3, 0.0),
        (Verdict.UNKNOWN, 0, 3, 1.0),
    ],
)
def test_fraction(verdict: Verdict, passing: int, registered: int, fraction: float) -> None:
    """What is not known counts as healthy, and nothing is healthier than that."""
    assert Snapshot(verdict, 0.0, passing, registered).fraction == fraction


def test_down_holds_back() -> None:
    """A target that is said to be down, and never answered, is not tried; the event says why."""
    world = World()
    world.news = down()
    call = world.call()
    assert world.start(call) == HELD_BACK
    assert call.take_events() == [
        events.CallFailed("t", None, 0, 0.0, None, "the target is reported to be down")
    ]


def test_what_callers_get() -> None:
    """The error says that nothing was tried, why, and where to look."""
    world = World()
    world.news = down()
    call = world.call()
    decision = world.start(call)
    assert isinstance(decision, Raise)
    error = final_error(call, decision, None, "", world.now)
    assert isinstance(error, TargetUnhealthy)
    assert str(error) == "t: the target is reported to be down"
    assert (error.attempts, error.maybe_applied, error.retry_after) == ((), False, None)
    assert "health checks" in error.hint


@pytest.mark.parametrize("news", [None, Verdict.UP, Verdict.UNKNOWN])
def test_anything_else_lets_through(news: Verdict | None) -> None:
    """Silence, doubt and good news hold nothing back."""
    world = World()
    world.news = None if news is None else Snapshot(news, START)
    assert isinstance(world.start(world.call()), Proceed)
    assert isinstance(world.start(world.call(health=None)), Proceed)


def test_breaker_never_hears_of_it() -> None:
    """What the gate holds back is no failure, takes no permit, and probes nothing."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    world.news = down()
    for _ in range(50):
        assert world.once(REFUSED) == HELD_BACK
    assert (world.breaker.quiet, world.budget.tokens) == (True, 10.0)
    world.trip()
    world.now += 10
    generation = world.breaker.generation
    assert world.once(REFUSED) == HELD_BACK
    assert (world.breaker.state, world.breaker.generation) == (State.OPEN, generation)


@given(
    st.lists(st.tuples(st.floats(0.001, 60), st.booleans()), max_size=60),
    st.integers(0, 2**32),
    st.sampled_from(["fleet", None]),
)
def test_an_hour_of_wrong_news(
    calls: list[tuple[float, bool]], seed: int, budget: str | None
) -> None:
    """An endpoint that answered once since is refused nothing, an hour and more, and keeps calm.

    There is no breaker here: whoever is refused was refused by the gate.
    """
    policy = Policy(breaker=None, budget=budget)
    world = World(policy, draw=random.Random(seed).random)
    call = world.call()
    assert isinstance(world.start(call), Proceed)
    world.news = down()
    world.succeed(call)
    for gap, fails in calls:
        world.now += gap
        if fails:
            assert world.once(TIMEOUT).reason is Reason.UNHEALTHY
            world.now += 1e-3
        assert world.once(None) is None
    world.now = START + HOUR
    assert world.once(None) is None


@pytest.mark.parametrize(
    ("failure", "answered"),
    [
        (Failure(Phase.RECEIVE, Kind.ANSWERED, Safety.NEVER), True),
        (sent(Kind.CONFLICT), True),
        (REFUSED, False),
        (TIMEOUT, False),
        (unsent(Kind.BUSY, Phase.HANDSHAKE), False),
    ],
)
def test_what_is_an_answer(failure: Failure, answered: bool) -> None:
    """A server that said no is alive; one that is silent, refuses or is busy proves nothing."""
    world = World(Policy(retry=Retry(max_attempts=1)))
    world.once(failure)
    world.news = down()
    assert isinstance(world.start(world.call()), Proceed) is answered


def test_answer_before_the_news() -> None:
    """An answer of before the verdict turned is no evidence; the verdict is believed."""
    world = World()
    world.once(None)
    world.now += 1
    world.news = down(since=world.now)
    assert world.start(world.call()) == HELD_BACK


def test_evidence_is_the_endpoint_s_own() -> None:
    """With several endpoints the one that answered is tried, and the others are passed over."""
    world = World(lanes=3)
    world.news = down()
    world.lanes[1].seen.answered = START
    call = world.call()
    assert world.start(call).lane == 1
    assert world.fail(call, REFUSED) == Raise(None, Reason.UNHEALTHY)
    assert len(call.attempts) == 1


def test_gate_beside_an_open_breaker() -> None:
    """With one endpoint held back and the other behind an open breaker, health is the reason."""
    world = World(lanes=2)
    world.lanes[0].seen.answered = START
    world.trip()
    assert world.start(world.call()).error is CircuitOpen
    world.news = down()
    assert world.start(world.call()) == Raise(TargetUnhealthy, Reason.UNHEALTHY, 1.0)


def test_retries_stop_while_down() -> None:
    """A first attempt is let through on our own evidence; its failure is not repeated."""
    world = World()
    world.once(None)
    world.news = down()
    assert world.once(LOST, idempotent=True) == Raise(None, Reason.UNHEALTHY)
    world.news = None
    assert isinstance(world.once(LOST, idempotent=True), Sleep)


def test_hint_is_kept() -> None:
    """What the server asked for is passed on, though nobody repeats."""
    world = World()
    world.once(None)
    world.news = down()
    failure = unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=4.0)
    assert world.once(failure) == Raise(None, Reason.UNHEALTHY, 4.0)


def test_news_while_asleep() -> None:
    """Bad news that come during the wait end the call with its failure."""
    world = World()
    world.once(None)
    call = world.call()
    world.start(call)
    asleep = world.fail(call, REFUSED)
    world.news = down()
    assert world.wake(call, asleep) == Raise(None, Reason.UNHEALTHY)
    assert len(call.attempts) == 1


@pytest.mark.parametrize("policy", [Policy(), Policy(backoff=Backoff(initial=0))])
def test_good_news_while_asleep(policy: Policy) -> None:
    """Retries go on as soon as the news is good again, or too old."""
    world = World(policy)
    call = world.call()
    world.start(call)
    decision = world.fail(call, REFUSED)
    for verdict in (Verdict.UP, Verdict.UNKNOWN):
        world.news = Snapshot(verdict, world.now)
        if isinstance(decision, Sleep):
            decision = world.wake(call, decision)
        assert isinstance(decision, Proceed)
        decision = world.fail(call, REFUSED)


def test_dead_kept_connection_is_replaced() -> None:
    """Wrong news does not turn an idle connection that died into an error."""
    world = World()
    world.once(None)
    world.news = down()
    stale = unsent(Kind.STALE, Phase.SEND)
    assert isinstance(world.once(stale), Proceed)
    # The same from an endpoint without an answer since: that one is not tried again.
    world.lanes[0].seen.answered = None
    world.news = None
    call = world.call()
    world.start(call)
    world.news = down()
    assert world.fail(call, stale) == Raise(None, Reason.UNHEALTHY)


def test_budget_hears_what_is_up() -> None:
    """A fleet's retries shrink with the part of the target that is up."""
    for passing, wanted in ((4, Sleep), (1, Raise)):
        world = World(Policy(budget="fleet"), draw=lambda: 0.1)
        world.news = Snapshot(Verdict.UP, START, passing, registered=4)
        assert isinstance(world.once(TIMEOUT), wanted)
    assert world.once(TIMEOUT).reason is Reason.BUDGET


def test_budget_counts_calls() -> None:
    """Each call is one piece of evidence, however many attempts it makes and however it ends."""
    world = World(Policy(budget="fleet", breaker=None), draw=lambda: 0.19)
    for _ in range(4):
        call = world.call()
        world.start(call)
        for _ in range(2):
            world.wake(call, world.fail(call, REFUSED))
        world.succeed(call)
        world.once(None)
    world.draw = lambda: 0.5
    assert world.once(REFUSED) == Raise(None, Reason.BUDGET)
    assert isinstance(world.once(REFUSED), Sleep)


def test_lane_behind_another_breaker() -> None:
    """A lane without its breaker is the same endpoint: what is seen of the one, the other knows."""
    lane = Lane(None, World().breaker)
    other = lane._replace(breaker=None)
    other.seen.answered = 5.0
    assert (other.endpoint, other.breaker, lane.seen.answered) == (None, None, 5.0)
    assert Lane(None, None).seen.answered is None
