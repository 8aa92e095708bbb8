"""The breaker: when it opens, whom it lets through, what it ignores."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.policy.world import middle
from tieline.policy.breaker import (
    MAX_NEUTRAL_PROBES,
    BreakerState,
    CircuitBreaker,
    Permit,
    Refusal,
    State,
)
from tieline.policy.window import Window

LEASE = 6.0


def breaker(**settings) -> BreakerState:
    """A closed breaker."""
    return BreakerState(CircuitBreaker(**settings))


def tripped(**settings) -> BreakerState:
    """Opened at 0."""
    state = breaker(**settings)
    while state.state is State.CLOSED:
        state.failed(admit(state, 0.0), 0.0, middle)
    return state


def admit(state: BreakerState, now: float) -> Permit | Refusal:
    """Ask for leave."""
    return state.admit(now, LEASE, middle)


def picture(state: BreakerState) -> tuple[object, ...]:
    """Everything it knows."""
    window = state._window  # noqa: SLF001 - nothing public tells all of it
    parts = () if window is None else [getattr(window, name) for name in Window.__slots__]
    own = [getattr(state, name) for name in BreakerState.__slots__ if name != "_window"]
    return copy.deepcopy((*own, *parts))


def test_opens_after_consecutive_failures() -> None:
    """The fifth failure in a row opens it, and not the fourth."""
    state = breaker()
    for _ in range(4):
        state.failed(admit(state, 0), 0, middle)
    assert state.state is State.CLOSED
    state.failed(admit(state, 0), 0, middle)
    assert state.state is State.OPEN


def test_success_clears_the_count() -> None:
    """Failures that are not consecutive never open it, where only those count."""
    state = breaker(failures=2, rate=None)
    for _ in range(10):
        state.failed(admit(state, 0), 0, middle)
        state.succeeded(admit(state, 0), 0)
    assert state.quiet


def test_quiet() -> None:
    """It is quiet only while success has nothing to clear."""
    state = breaker()
    assert state.quiet
    state.failed(admit(state, 0), 0, middle)
    assert not state.quiet
    assert not tripped().quiet


def test_open_refuses_until_it_is_time() -> None:
    """An open breaker says how long to wait, and lets a probe through at that moment."""
    state = tripped()
    assert admit(state, 0.25) == Refusal(0.75)
    assert state.open_for(0.25) == 0.75
    assert not state.would_admit(0.999)
    assert isinstance(admit(state, 0.999), Refusal)
    assert state.would_admit(1.0)
    assert admit(state, 1.0) == Permit(state.generation, probe=True)
    assert state.open_for(1.0) == 0.0
    assert state.state is State.HALF_OPEN


def test_open_time_doubles_up_to_the_longest() -> None:
    """Each failed probe doubles the open time, up to 30 s."""
    state, now, times = tripped(), 0.0, []
    for _ in range(8):
        times.append(state.open_for(now))
        now += times[-1]
        state.failed(admit(state, now), now, middle)
    assert times == [1, 2, 4, 8, 16, 30, 30, 30]
    assert state.been_open(now) == now


def test_refused_probes_do_not_lengthen_the_open_time() -> None:
    """A probe that never reached the server cost it nothing, so the next one need not be later."""
    state, now, times = tripped(), 0.0, []
    for strained in (False, False, True, False, True):
        times.append(state.open_for(now))
        now += times[-1]
        state.failed(admit(state, now), now, middle, strained=strained)
    assert [*times, state.open_for(now)] == [1, 1, 1, 2, 2, 4]


@given(draw=st.floats(0, 1, exclude_max=True), probes=st.integers(0, 9))
def test_jitter_spreads_by_a_fifth(draw: float, probes: int) -> None:
    """Each open time lies within 20 % of its nominal value."""
    state, now = tripped(), 1.0
    nominal = min(30.0, 2.0**probes)
    for _ in range(probes - 1):
        state.failed(admit(state, now), now, middle)
        now += state.open_for(now)
    if probes:
        state.failed(admit(state, now), now, lambda: draw)
    else:
        state = breaker(failures=1)
        state.failed(admit(state, now), now, lambda: draw)
    assert 0.8 * nominal - 1e-6 <= state.open_for(now) <= 1.2 * nominal + 1e-6
    assert state.open_for(now) == pytest.approx(nominal * (0.8 + 0.4 * draw))


def test_one_probe_at_a_time() -> None:
    """While a probe is under way everybody else is refused until its lease ends."""
    state = tripped()
    assert isinstance(admit(state, 1), Permit)
    assert [admit(state, 3) for _ in range(16)] == [Refusal(4.0)] * 16
    assert not state.would_admit(3)


def test_successful_probe_closes() -> None:
    """One success is enough."""
    state = tripped()
    state.succeeded(admit(state, 1), 1)
    assert state.state is State.CLOSED
    assert state.would_admit(1)
    assert not admit(state, 1).probe


def test_lost_probe_counts_as_failed() -> None:
    """A lease that runs out opens the breaker with the next interval, from that moment on."""
    state = tripped()
    lost = admit(state, 1)
    assert not state.would_admit(7)
    assert admit(state, 7) == Refusal(2.0)
    assert state.state is State.OPEN
    assert state.failures == 6
    state.succeeded(lost, 7)
    assert state.state is State.OPEN


def test_lost_probe_long_ago() -> None:
    """Who asks long after a lease ran out probes at once: the interval began with its end."""
    state = tripped()
    admit(state, 1)
    permit = admit(state, 9.0)
    assert isinstance(permit, Permit)
    assert permit.probe
    state.failed(permit, 9, middle)
    assert state.open_for(9) == 4.0


@pytest.mark.parametrize("late", ["succeeded", "failed", "released"])
@pytest.mark.parametrize("stage", ["open", "half-open", "closed again"])
def test_late_results_change_nothing(late: str, stage: str) -> None:
    """What began before the breaker changed its state is void."""
    state = breaker(failures=1)
    old = admit(state, 0)
    state.failed(admit(state, 0), 0, middle)
    if stage != "open":
        probe = admit(state, 1)
        if stage == "closed again":
            state.succeeded(probe, 1)
    before = picture(state)
    report(state, late, old, 2)
    assert picture(state) == before


@pytest.mark.parametrize("late", ["succeeded", "failed", "released"])
@pytest.mark.parametrize("stage", ["open", "half-open", "closed again"])
def test_late_probes_change_nothing(late: str, stage: str) -> None:
    """A probe that reports after its lease ran out is void, whatever has happened since."""
    state = tripped()
    old = admit(state, 1)
    assert isinstance(admit(state, 7), Refusal)
    if stage != "open":
        probe = admit(state, 9)
        if stage == "closed again":
            state.succeeded(probe, 9)
    before = picture(state)
    report(state, late, old, 9)
    assert picture(state) == before


def report(state: BreakerState, how: str, permit: Permit, now: float) -> None:
    """End an attempt."""
    if how == "succeeded":
        state.succeeded(permit, now)
    elif how == "failed":
        state.failed(permit, now, middle)
    else:
        state.released(permit, now, middle)


def test_neutral_probe_frees_the_place() -> None:
    """A probe without a verdict lets the next one through at once."""
    state = tripped()
    state.released(admit(state, 1), 1, middle)
    assert state.state is State.HALF_OPEN
    assert admit(state, 1).probe


def test_neutral_probes_are_limited() -> None:
    """A loop of cancelled probes opens the breaker again, for the same time as before."""
    state = tripped()
    for _ in range(MAX_NEUTRAL_PROBES):
        assert state.state is not State.OPEN or state.would_admit(1)
        state.released(admit(state, 1), 1, middle)
    assert admit(state, 1) == Refusal(1.0)
    assert MAX_NEUTRAL_PROBES == 3
    # The next interval may have as many again.
    for _ in range(MAX_NEUTRAL_PROBES - 1):
        state.released(admit(state, 2), 2, middle)
    assert state.would_admit(2)


def test_release_outside_a_probe() -> None:
    """A permit of a closed breaker that ends without a verdict leaves everything as it is."""
    state = breaker()
    before = picture(state)
    state.released(admit(state, 0), 0, middle)
    assert picture(state) == before


def test_relapse_on_probation_opens_at_once() -> None:
    """Within its first open time after closing, one failure opens it again, for twice as long."""
    state = tripped()
    state.succeeded(admit(state, 1), 1)
    state.failed(admit(state, 1.9), 1.9, middle)
    assert state.state is State.OPEN
    assert state.open_for(1.9) == 2.0


def test_success_does_not_end_probation() -> None:
    """A success in between does not shorten the probation."""
    state = tripped()
    state.succeeded(admit(state, 1), 1)
    state.succeeded(admit(state, 1.5), 1.5)
    state.failed(admit(state, 1.9), 1.9, middle)
    assert state.state is State.OPEN


@pytest.mark.parametrize("success_between", [False, True])
def test_after_probation_all_is_forgotten(success_between: bool) -> None:
    """Afterwards it takes the full number of failures, and the open time starts over."""
    state = tripped()
    state.failed(admit(state, 1), 1, middle)
    state.succeeded(admit(state, 3), 3)
    if success_between:
        state.succeeded(admit(state, 4), 4)
        assert state.quiet
    for count in range(5):
        assert (state.state, count) == (State.CLOSED, count)
        state.failed(admit(state, 4), 4, middle)
    assert state.state is State.OPEN
    assert state.open_for(4) == 1.0
    assert state.been_open(5) == 1.0


def test_reset_voids_what_is_under_way() -> None:
    """A reset closes it, and results of calls that began before are void."""
    state = tripped(failures=1)
    probe = admit(state, 1)
    state.reset()
    before = picture(state)
    state.failed(probe, 1, middle)
    assert picture(state) == before
    assert state.quiet
    assert state.open_for(1) == 0


# --- the rate ------------------------------------------------------------------------------------


def mixed(state: BreakerState, pattern: str, now: float = 0.0) -> BreakerState:
    """Let calls end one after the other: S in success, F in failure, N in neither."""
    for how in pattern:
        permit = admit(state, now)
        assert isinstance(permit, Permit), pattern
        report(state, {"S": "succeeded", "F": "failed", "N": "released"}[how], permit, now)
    return state


def test_opens_at_half_of_ten() -> None:
    """The tenth call opens it when it is the fifth failure, in whatever order they came."""
    for pattern in ("SF" * 5, "FFFF" + "S" * 5 + "F", "S" * 5 + "FFFF" + "F"):
        state = mixed(breaker(), pattern[:9])
        assert state.state is State.CLOSED
        state = mixed(state, pattern[9:])
        assert (state.state, state.failures, state.open_for(0.0)) == (State.OPEN, 5, 1.0)


def test_below_half_stays_closed() -> None:
    """Four failures of ten are too few, and so are five of eleven."""
    assert mixed(breaker(), "SFSFSFSSSF").state is State.CLOSED
    assert mixed(breaker(), "SSFSFSFSFSF").state is State.CLOSED


def test_neutral_counts_neither_way() -> None:
    """What says nothing of the server is no call at all."""
    state = mixed(breaker(), "N" * 50 + "SF" * 4 + "S" + "N" * 50)
    assert state.state is State.CLOSED
    assert mixed(state, "F").state is State.OPEN


def test_success_does_not_open() -> None:
    """Only a failure opens it, though a success may be the call that makes enough of them."""
    state = mixed(breaker(), "FSFSFSFSF" + "S")
    assert state.state is State.CLOSED
    assert mixed(state, "F").state is State.OPEN


def test_rate_at_another_threshold() -> None:
    """Rate, calls and length are what the settings say."""
    settings = {"rate": 0.1, "min_calls": 30, "window": 5.0}
    assert mixed(breaker(**settings), "S" * 27 + "FF").state is State.CLOSED
    assert mixed(breaker(**settings), "S" * 27 + "FFF").state is State.OPEN
    assert mixed(breaker(**settings), "S" * 28 + "FFF").state is State.CLOSED
    state = mixed(mixed(breaker(**settings), "S" * 20 + "FFF"), "S" * 26 + "FF", now=5.0)
    assert state.state is State.CLOSED


def test_rate_is_the_number_that_was_written() -> None:
    """Seven of a hundred are 0.07, though 0.07 times a hundred is a little more than seven."""
    assert 0.07 * 100 > 7
    state = mixed(breaker(failures=50, rate=0.07, min_calls=100), "S" * 93 + "F" * 6)
    assert state.state is State.CLOSED
    assert mixed(state, "F").state is State.OPEN


def test_more_failures_in_a_row_need_more_calls() -> None:
    """Who puts up with twenty failures in a row is not cut off after ten."""
    state = mixed(breaker(failures=20), "F" * 19)
    assert state.state is State.CLOSED
    assert mixed(breaker(failures=20), "SF" * 9 + "S").state is State.CLOSED
    assert mixed(breaker(failures=20), "SF" * 10).state is State.OPEN


def test_no_rate() -> None:
    """With rate None nothing but failures in a row opens it."""
    assert mixed(breaker(rate=None), "FFFFS" * 100).state is State.CLOSED


def test_rate_forgets() -> None:
    """Failures of more than the window ago do not count."""
    state = mixed(breaker(), "FFFFSS", now=0.0)
    assert mixed(state, "FFFF", now=30.0).state is State.CLOSED
    state = mixed(breaker(), "FFFFSS", now=0.0)
    assert mixed(state, "FFFF", now=26.0).state is State.OPEN


def test_fresh_window_after_closing() -> None:
    """Closed again, it knows nothing of the calls before, and needs as many as at first."""
    state = mixed(breaker(), "SF" * 5)
    state.succeeded(admit(state, 1.0), 1.0)
    assert mixed(state, "SF" * 4 + "S", now=2.0).state is State.CLOSED
    assert mixed(state, "F", now=2.0).state is State.OPEN


def test_uncounted_successes() -> None:
    """Successes counted without a lock weigh as much as any."""
    state = BreakerState(CircuitBreaker(), since=0.0)
    state.successes += 5
    assert mixed(state, "FFFFSF", now=10.0).state is State.CLOSED
    assert mixed(state, "F", now=10.0).state is State.OPEN
    assert state.failures == 6


def test_ten_minutes_of_success() -> None:
    """Six thousand successes in ten minutes weigh as 270 in half a minute: so many failures do."""
    for since, opens in ((0.0, True), (None, False)):
        state = BreakerState(CircuitBreaker(min_calls=540), since=since)
        state.successes += 6000
        for _ in range(134):
            mixed(state, "FF", now=600.0)
            state.failures = 0
        mixed(state, "FF", now=600.0)
        assert state.state is (State.OPEN if opens else State.CLOSED)


def test_successes_before_closing_are_void() -> None:
    """What was counted before it opened does not speak for the server after it closed."""
    state = BreakerState(CircuitBreaker(), since=0.0)
    state.successes += 1000
    state = mixed(state, "FFFFF")
    state.succeeded(admit(state, 1.0), 1.0)
    assert mixed(state, "SF" * 5, now=2.0).state is State.OPEN


def test_reset_forgets_calls() -> None:
    """A reset forgets the window, and successes counted elsewhere so far."""
    state = mixed(breaker(), "SF" * 4 + "S")
    state.successes += 1000
    state.reset(5.0)
    assert mixed(state, "SF" * 4 + "S", now=5.0).state is State.CLOSED
    assert mixed(state, "F", now=5.0).state is State.OPEN


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from("SSFFFN"), st.integers(0, 3)), max_size=60),
    st.integers(1, 12),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
)
def test_never_opens_below_its_least(
    calls: list[tuple[float, str, int]], min_calls: int, rate: float
) -> None:
    """The rate opens it only when so many calls ended in the window, and so many of them badly."""
    settings = CircuitBreaker(failures=4, rate=rate, min_calls=min_calls, window=10.0)
    state = BreakerState(settings, since=0.0)
    least = max(min_calls, 4)
    now, pending, past = 0.0, 0, []
    for gap, how, uncounted in calls:
        now += gap
        if state.quiet:
            state.successes += uncounted
            pending += uncounted
        if how != "N":
            # Spread over the time until now, so that none of them is younger than that.
            past += [(now, "S")] * pending + [(now, how)]
            pending = 0
        mixed(state, how, now)
        if state.state is State.OPEN:
            recent = [end for at, end in past if now - at <= 10.0 + 1e-6]
            in_a_row = [end for _, end in past[-4:]] == ["F"] * 4
            assert in_a_row or len(recent) >= least
            assert in_a_row or recent.count("F") >= rate * least - 1e-6
            return


def test_wait() -> None:
    """Refused callers may come back when it is open no longer, or a probe's lease has ended."""
    state = tripped()
    assert state.wait(0.25) == 0.75
    assert state.wait(3.0) == 0.0
    admit(state, 1.0)
    assert state.wait(3.0) == 4.0
    assert breaker().wait(3.0) == 0.0


SETTINGS = CircuitBreaker(failures=3, rate=0.5, min_calls=5, window=10.0)


class BreakerMachine(RuleBasedStateMachine):
    """Any number of callers, in any order, at any time."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.state = BreakerState(SETTINGS)
        self.now = 0.0
        self.ended: list[tuple[float, str]] = []
        self.pending = 0
        self.generation = self.state.generation
        self.probes: dict[Permit, float] = {}
        self.under_way: list[Permit] = []

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.9, 2.0, 7.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        """Wait."""
        self.now += seconds

    @rule(target=permits, draw=st.floats(0, 1, exclude_max=True))
    def ask(self, draw: float) -> tuple[Permit, int]:
        """Begin an attempt, if there is leave."""
        sure = self.state.would_admit(self.now)
        answer = self.state.admit(self.now, LEASE, lambda: draw)
        assert isinstance(answer, Permit) or not sure
        if isinstance(answer, Refusal):
            assert answer.retry_after > 0
            return Permit(-1, probe=False), -1
        if answer.probe:
            assert not self.live_probes()
            self.probes[answer] = self.now + LEASE
        else:
            assert self.state.state is State.CLOSED
        self.under_way.append(answer)
        return answer, len(self.under_way)

    def live_probes(self) -> list[Permit]:
        """Probes that would still be believed, and whose lease has not run out."""
        return [
            probe
            for probe, ends in self.probes.items()
            if probe.generation == self.state.generation and self.now < ends
        ]

    @rule(
        given=consumes(permits),
        how=st.sampled_from(["succeeded", "failed", "released"]),
    )
    def end(self, given: tuple[Permit, int], how: str) -> None:
        """End one of those under way, or one of long ago."""
        permit, _ = given
        stale = permit.generation != self.state.generation
        before, state, failures = picture(self.state), self.state.state, self.state.failures
        report(self.state, how, permit, self.now)
        if not stale and how != "released":
            # Spread over the time until now, so that none of them is younger than that.
            self.ended += [(self.now, "succeeded")] * self.pending + [(self.now, how)]
            self.pending = 0
        if state is State.CLOSED and self.state.state is State.OPEN:
            recent = [how for at, how in self.ended if self.now - at <= SETTINGS.window + 1e-6]
            by_rate = len(recent) >= 5 and 2 * recent.count("failed") >= 5
            assert by_rate or failures + 1 >= SETTINGS.failures
        if self.state.state is not State.CLOSED or state is not State.CLOSED:
            self.ended.clear()
        if permit in self.under_way:
            self.under_way.remove(permit)
        if permit.probe:
            self.probes.pop(permit, None)
        if stale:
            assert picture(self.state) == before
        elif permit.probe:
            expected = {"succeeded": {State.CLOSED}, "failed": {State.OPEN}}
            assert self.state.state in expected.get(how, {State.OPEN, State.HALF_OPEN})

    @rule(calls=st.integers(1, 20))
    def succeed_uncounted(self, calls: int) -> None:
        """Succeed on the healthy path, which asks and tells nobody."""
        if self.state.quiet:
            self.state.successes += calls
            self.pending += calls

    @rule()
    def reset(self) -> None:
        """Forget everything."""
        self.state.reset()
        self.ended.clear()
        self.pending = 0
        assert self.state.quiet

    @invariant()
    def generation_never_goes_back(self) -> None:
        """Every permit can be told from later ones."""
        assert self.state.generation >= self.generation
        self.generation = self.state.generation

    @invariant()
    def one_live_probe_at_most(self) -> None:
        """The server meets one probe at a time."""
        assert len(self.live_probes()) <= 1

    @invariant()
    def half_open_only_between(self) -> None:
        """A breaker at its threshold is not closed."""
        if self.state.state is State.CLOSED:
            assert self.state.failures < SETTINGS.failures

    def teardown(self) -> None:
        """Whatever happened: once every permit is back, and it is time, somebody is let in."""
        for permit in self.under_way:
            self.state.released(permit, self.now, middle)
        assert isinstance(self.state.admit(self.now + 100, LEASE, middle), Permit)


TestBreakerMachine = BreakerMachine.TestCase
