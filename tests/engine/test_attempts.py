"""`attempts`: the same policy around a block of code."""

from __future__ import annotations

import pytest

import tieline
from tests.engine.test_guard import GUARD, ONCE, breaker, budget, lost, open_breaker
from tieline.engine.context import guard_var, surrounding_guard, time_limit
from tieline.testing import ManualClock


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test."""
    with ManualClock() as clock:
        yield clock


def run(*errors: BaseException, name: str = "t", **options) -> int:
    """How many attempts it takes to get through the errors."""
    left = list(errors)
    for attempt in tieline.attempts(name, **options):
        with attempt:
            if left:
                raise left.pop(0)
    return attempt.number


def test_repeats_while_nothing_was_sent(clock: ManualClock) -> None:
    """The block is run again after a wait while nothing was sent, until it succeeds."""
    assert run(ConnectionRefusedError(), ConnectionRefusedError()) == 3
    assert len(clock.sleeps) == 2


def test_runs_once_when_it_succeeds(clock: ManualClock) -> None:
    """Success ends the loop."""
    assert run() == 1
    assert clock.sleeps == []


def test_last_failure_leaves_the_block() -> None:
    """When the attempts run out the last failure is raised from the block."""
    with pytest.raises(tieline.Refused) as caught:
        run(*[ConnectionRefusedError() for _ in range(9)])
    assert len(caught.value.attempts) == 3


def test_sent_and_idempotent() -> None:
    """What was sent is repeated only when the caller says so."""
    error = lost()
    with pytest.raises(tieline.ConnectionLost) as caught:
        run(error)
    assert caught.value is error
    assert run(lost(), idempotent=True) == 2
    with tieline.idempotent():
        assert run(lost()) == 2


def test_unknown_exceptions_pass() -> None:
    """An exception that tieline does not know leaves the block as it is."""
    error = LookupError()
    with pytest.raises(LookupError) as caught:
        run(error)
    assert caught.value is error
    assert breaker().quiet


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_ending_exceptions_return_the_permit(
    error: type[BaseException], clock: ManualClock
) -> None:
    """Ctrl-C and its like pass, count for nothing and give the permit of a probe back."""
    open_breaker()
    clock.advance(2)
    with pytest.raises(error):
        run(error())
    assert run() == 1
    assert breaker().state == "closed"


def test_open_breaker_raises_from_the_loop() -> None:
    """With the breaker open the block is not entered."""
    open_breaker()
    with pytest.raises(tieline.CircuitOpen):
        for _ in tieline.attempts("t"):
            pytest.fail("the body was run")


def test_no_time_raises_from_the_loop(clock: ManualClock) -> None:
    """Without time the block is not entered."""
    with tieline.deadline(1):
        clock.advance(1)
        with pytest.raises(tieline.DeadlineExceeded):
            for _ in tieline.attempts("t"):
                pytest.fail("the body was run")


def test_overslept_raises_from_the_loop(clock: ManualClock) -> None:
    """A sleep that took all the time is followed by the failure."""
    clock.sleep = lambda seconds: clock.advance(60)
    policy = tieline.Policy()
    with pytest.raises(tieline.Refused) as caught:
        run(ConnectionRefusedError(), policy=policy)
    assert "no time left" in str(caught.value)


@pytest.mark.parametrize("probing", [False, True])
def test_forgotten_with(probing: bool, clock: ManualClock) -> None:
    """A loop whose body does not enter the attempt is told so, and keeps no permit."""
    if probing:
        open_breaker()
        clock.advance(2)
    with pytest.raises(RuntimeError, match="write `with attempt:`"):
        for _ in tieline.attempts("t"):
            pass
    assert run() == 1


def test_break_before_with(clock: ManualClock) -> None:
    """Who leaves the loop before the attempt gives its permit back."""
    open_breaker()
    clock.advance(2)
    for _ in tieline.attempts("t"):
        break
    assert breaker().would_admit(clock.now())


def test_error_before_with(clock: ManualClock) -> None:
    """An exception before the attempt gives its permit back too."""
    open_breaker()
    clock.advance(2)
    with pytest.raises(LookupError):
        for _ in tieline.attempts("t"):
            raise LookupError
    assert breaker().would_admit(clock.now())


def test_break_inside_with_is_success(clock: ManualClock) -> None:
    """Leaving the block by break is success: it did not fail."""
    open_breaker()
    clock.advance(2)
    for attempt in tieline.attempts("t"):
        with attempt:
            break
    assert breaker().state == "closed"


def test_return_inside_with(clock: ManualClock) -> None:
    """Leaving the block by return is success as well."""
    open_breaker()
    clock.advance(2)

    def function() -> int:
        for attempt in tieline.attempts("t"):
            with attempt:
                return attempt.number
        return 0

    assert function() == 1
    assert breaker().state == "closed"
    assert surrounding_guard() is None


def test_break_after_a_failure(clock: ManualClock) -> None:
    """Who gives up after a failed attempt keeps no permit for the next one."""
    policy = tieline.Policy(
        call_timeout=None,
        attempt_timeout=None,
        backoff=tieline.Backoff(initial=0),
        breaker=tieline.CircuitBreaker(failures=1),
    )
    with pytest.raises(tieline.Refused):
        run(ConnectionRefusedError(), policy=policy)
    clock.advance(2)
    busy = tieline.TooBusy(
        failure=tieline.Failure(tieline.Phase.HANDSHAKE, tieline.Kind.STALE, tieline.Safety.ALWAYS)
    )
    for attempt in tieline.attempts("t", policy=policy):
        with attempt:
            raise busy
        break
    assert breaker("t", policy).would_admit(clock.now())


def test_deadline_of_an_attempt() -> None:
    """The policy's timeouts bound what is called in the block, attempt by attempt."""
    seen = []
    for attempt in tieline.attempts("t", policy=tieline.Policy()):
        with attempt:
            seen.append(time_limit())
            if len(seen) == 1:
                raise ConnectionRefusedError
    assert seen[0] == 1005
    assert 1005 < seen[1] < 1005.1
    assert time_limit() is None


def test_deadline_cuts_the_attempt(clock: ManualClock) -> None:
    """A timeout at the deadline is DeadlineExceeded, raised from the block."""
    with pytest.raises(tieline.DeadlineExceeded), tieline.deadline(2):
        for attempt in tieline.attempts("t"):
            with attempt:
                clock.advance(2)
                raise TimeoutError


def test_inside_a_guard() -> None:
    """A loop inside a guard that may repeat leaves repeating to it."""
    calls = []

    @tieline.guard("outer")
    def outer() -> None:
        for attempt in tieline.attempts("inner"):
            with attempt:
                calls.append(1)
                raise ConnectionRefusedError

    with pytest.raises(tieline.Refused):
        outer()
    assert len(calls) == 3


def test_done_inside_a_guard() -> None:
    """A block that succeeded inside a guard is not run again with it."""

    @tieline.guard("outer", policy=ONCE)
    def outer() -> bool:
        run(name="inner")
        return guard_var.get().sent

    assert outer()


def test_counts_like_a_guard() -> None:
    """Loops and functions of one name share breaker and budget."""
    with pytest.raises(tieline.ConnectionLost):
        run(lost())
    assert (breaker("t", GUARD).failures, budget("t", GUARD).tokens) == (1, 9)
    run()
    assert (breaker("t", GUARD).failures, budget("t", GUARD).tokens) == (0, pytest.approx(9.1))


def test_iterated_twice() -> None:
    """The same attempts can be gone through again, as a new call."""
    loop = tieline.attempts("t")
    for _ in range(2):
        for attempt in loop:
            with attempt:
                pass
        assert attempt.number == 1
