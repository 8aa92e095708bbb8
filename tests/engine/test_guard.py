"""`guard`: functions that fail, wait and are repeated as the policy says."""

from __future__ import annotations

import contextvars
import gc
import inspect
import weakref
from contextlib import suppress

import pytest

import tieline
from tests.policy.world import LOST, sent, unsent
from tieline import events
from tieline.engine.context import guard_var, surrounding_guard, time_limit
from tieline.engine.target import target_state
from tieline.failure import Kind, Phase
from tieline.policy.defaults import DEFAULTS
from tieline.testing import ManualClock, RecordingListener

GUARD = DEFAULTS["guard"]
ONCE = tieline.Policy(call_timeout=None, attempt_timeout=None, retry=tieline.Retry(max_attempts=1))


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test."""
    with ManualClock() as clock:
        yield clock


class Flaky:
    """A function that raises its errors one after the other, then returns "done"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, *args, **kwargs) -> str:
        """Raise the next error, if one is left."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def lost() -> tieline.ConnectionLost:
    """A failure after something was sent."""
    return tieline.ConnectionLost("lost", failure=LOST, maybe_applied=True)


def guarded(function: Flaky, name: str = "t", **options):
    """The function, behind a guard."""

    @tieline.guard(name, **options)
    def wrapped(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapped


def breaker(name: str = "t", policy: tieline.Policy = GUARD):
    """The breaker of a guarded target."""
    return target_state(name, policy).lane(None).breaker


def budget(name: str = "t", policy: tieline.Policy = GUARD):
    """Its budget."""
    return target_state(name, policy).budget


def open_breaker(name: str = "t", policy: tieline.Policy = GUARD) -> None:
    """Five refused calls."""
    while breaker(name, policy).state == "closed":
        with pytest.raises(tieline.Refused):
            guarded(Flaky(ConnectionRefusedError(), *[ConnectionRefusedError()] * 9), name)()


def test_result_and_arguments_pass() -> None:
    """A guarded function takes and returns what it did before."""

    @tieline.guard("t")
    def add(first: int, *rest: int, start: int = 0) -> int:
        """Add up."""
        return first + sum(rest) + start

    assert add(1, 2, start=3) == 6
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Add up.", __name__)
    assert str(inspect.signature(add)) == "(first: 'int', *rest: 'int', start: 'int' = 0) -> 'int'"


def test_repeats_while_nothing_was_sent(clock: ManualClock) -> None:
    """Refused connections are repeated after growing waits, until one is not refused."""
    function = Flaky(ConnectionRefusedError(), ConnectionRefusedError())
    assert guarded(function)() == "done"
    assert function.calls == 3
    assert len(clock.sleeps) == 2
    assert clock.sleeps[0] < 0.1
    assert clock.sleeps[1] < 0.2


def test_last_failure_is_raised() -> None:
    """When the attempts run out the last failure itself is raised, with its history."""
    last = ConnectionRefusedError("the last one")
    function = Flaky(ConnectionRefusedError(), ConnectionRefusedError(), last)
    with pytest.raises(tieline.Refused) as caught:
        guarded(function)()
    assert caught.value.__cause__ is last
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3]
    assert function.calls == 3


@pytest.mark.parametrize("idempotent", [False, True])
def test_unknown_exceptions_pass(idempotent: bool, clock: ManualClock) -> None:
    """An exception that tieline does not know passes as it is, and is never repeated."""
    error = LookupError("mine")
    function = Flaky(error)
    with pytest.raises(LookupError) as caught:
        guarded(function, idempotent=idempotent)()
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert function.calls == 1
    assert clock.sleeps == []
    assert breaker().quiet


def test_unknown_after_known() -> None:
    """An unknown exception ends the call also on a later attempt."""
    function = Flaky(ConnectionRefusedError(), LookupError())
    with pytest.raises(LookupError):
        guarded(function)()
    assert function.calls == 2


def test_what_was_sent_is_not_repeated() -> None:
    """A failure after sending is raised at once."""
    error = lost()
    function = Flaky(error)
    with pytest.raises(tieline.ConnectionLost) as caught:
        guarded(function)()
    assert caught.value is error
    assert function.calls == 1


def test_reset_of_unknown_origin_is_not_repeated() -> None:
    """A bare ConnectionResetError may come from after the request was sent."""
    function = Flaky(ConnectionResetError())
    with pytest.raises(tieline.Reset):
        guarded(function)()
    assert function.calls == 1


def test_idempotent_argument() -> None:
    """idempotent=True: repeated although something was sent."""
    function = Flaky(lost(), ConnectionResetError())
    assert guarded(function, idempotent=True)() == "done"
    assert function.calls == 3


def test_idempotent_block() -> None:
    """The caller may say so as well, for the calls inside the block."""
    function = Flaky(lost())
    with tieline.idempotent():
        assert guarded(function)() == "done"
    function = Flaky(lost())
    with pytest.raises(tieline.ConnectionLost):
        guarded(function)()


def test_earlier_call_inside_that_sent() -> None:
    """A refused connection is not repeated when another call inside the function sent something."""
    calls = []

    @tieline.guard("t")
    def function() -> None:
        calls.append(1)
        guard_var.get().mark_sent()
        raise ConnectionRefusedError

    with pytest.raises(tieline.Refused) as caught:
        function()
    assert calls == [1]
    assert caught.value.maybe_applied


def test_sent_on_an_earlier_attempt() -> None:
    """What any attempt sent stays sent."""
    calls = []

    @tieline.guard("t")
    def function() -> None:
        calls.append(1)
        if len(calls) == 2:
            guard_var.get().mark_sent()
        raise ConnectionRefusedError

    with pytest.raises(tieline.Refused):
        function()
    assert len(calls) == 2


# --- nested ------------------------------------------------------------------------------------


def test_inner_leaves_retrying_to_the_outer(clock: ManualClock) -> None:
    """Nested guards make three attempts, not three times three."""
    inner = Flaky(*[ConnectionRefusedError() for _ in range(99)])
    with pytest.raises(tieline.Refused) as caught:
        guarded(guarded(inner, "inner"), "outer")()
    assert inner.calls == 3
    assert len(clock.sleeps) == 2
    assert "left to the surrounding guard" in str(caught.value)


def test_inner_retries_when_the_outer_may_not() -> None:
    """Once something was sent the outer repeats nothing, so the inner one does, as usual."""
    inner = Flaky(ConnectionRefusedError(), ConnectionRefusedError())
    repeated = guarded(inner, "inner")

    @tieline.guard("outer")
    def outer() -> str:
        guard_var.get().mark_sent()
        return repeated()

    assert outer() == "done"
    assert inner.calls == 3


def test_inner_retries_when_the_outer_has_one_attempt() -> None:
    """An outer guard with a single attempt repeats nothing: the inner one does."""
    inner = Flaky(ConnectionRefusedError(), ConnectionRefusedError())
    assert guarded(guarded(inner, "inner"), "outer", policy=ONCE)() == "done"
    assert inner.calls == 3


def test_idempotent_outer_around_all() -> None:
    """Any surrounding guard that may repeat is left to, also behind one that may not."""
    inner = Flaky(*[ConnectionRefusedError() for _ in range(99)])
    middle = guarded(guarded(inner, "inner"), "middle", policy=ONCE)
    with pytest.raises(tieline.Refused):
        guarded(middle, "outer", idempotent=True)()
    assert inner.calls == 3


def test_done_inside_is_not_redone() -> None:
    """A guarded function that succeeded inside another one is not run again with it."""
    charge = Flaky()

    def pay(**options) -> None:
        charged = guarded(charge, "billing", **options)

        @tieline.guard("orders")
        def order() -> None:
            charged()
            raise ConnectionRefusedError

        with pytest.raises(tieline.Refused):
            order()

    pay()
    assert charge.calls == 1
    pay(idempotent=True)
    assert charge.calls == 4


def test_done_inside_after_a_failure() -> None:
    """That holds too when the inner function succeeded on its second attempt."""
    charge = Flaky(ConnectionRefusedError())
    charged = guarded(charge, "billing")

    @tieline.guard("orders", policy=ONCE)
    def outermost() -> None:
        charged()
        assert guard_var.get().sent
        raise ConnectionRefusedError

    with pytest.raises(tieline.Refused):
        outermost()
    assert charge.calls == 2


def test_recursion_counts_once() -> None:
    """A guarded function that calls itself is one call: one failure, however deep."""

    @tieline.guard("t", policy=ONCE)
    def function(depth: int) -> None:
        if depth:
            function(depth - 1)
        raise ConnectionRefusedError

    with pytest.raises(tieline.Refused):
        function(10)
    assert breaker("t", ONCE).failures == 1


def test_recursion_inside_a_probe(clock: ManualClock) -> None:
    """A probe that calls its own target again is not refused by the lease that it holds."""

    @tieline.guard("t")
    def function(depth: int) -> str:
        return function(depth - 1) if depth else "done"

    open_breaker()
    clock.advance(2)
    assert function(3) == "done"
    assert breaker().state == "closed"


def test_two_guards_of_one_name() -> None:
    """Functions of one name and like settings share breaker and budget."""
    open_breaker("shared")
    with pytest.raises(tieline.CircuitOpen):
        guarded(Flaky(), "shared")()
    assert guarded(Flaky(), "another")() == "done"


# --- time --------------------------------------------------------------------------------------


def test_deadline_inside_is_set_and_ended() -> None:
    """The policy's attempt timeout bounds what is called inside, attempt by attempt."""
    seen = []
    policy = tieline.Policy(call_timeout=10, attempt_timeout=4)

    @tieline.guard("t", policy=policy)
    def function() -> None:
        seen.append(time_limit())
        if len(seen) == 1:
            raise ConnectionRefusedError

    function()
    assert seen[0] == 1004
    assert 1004 < seen[1] < 1004.1
    assert time_limit() is None


def test_deadline_exceeded_while_running(clock: ManualClock) -> None:
    """A timeout at the deadline is DeadlineExceeded, and is not repeated."""

    @tieline.guard("t")
    def function() -> None:
        clock.advance(2)
        raise TimeoutError("timed out")

    with pytest.raises(tieline.DeadlineExceeded) as caught, tieline.deadline(2):
        function()
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.elapsed == 2
    assert breaker().failures == 0


def test_deadline_exceeded_before() -> None:
    """Without time the function is not called."""
    function = Flaky()
    with tieline.deadline(1):
        clock_passes(1)
        with pytest.raises(tieline.DeadlineExceeded):
            guarded(function)()
    assert function.calls == 0


def clock_passes(seconds: float) -> None:
    """Let time pass on the clock in use."""
    from tieline.engine import clock as clock_module

    clock_module.active.advance(seconds)


def test_wait_that_does_not_fit(clock: ManualClock) -> None:
    """A wait that would pass the deadline is not begun: the failure is raised at once."""
    not_ready = tieline.NotReady(
        "starting", failure=unsent(Kind.NOT_READY, Phase.HANDSHAKE, retry_after=9)
    )
    with pytest.raises(tieline.NotReady) as caught, tieline.deadline(3):
        guarded(Flaky(not_ready))()
    assert caught.value is not_ready
    assert clock.sleeps == []


def test_retry_after_of_an_inner_call(clock: ManualClock) -> None:
    """What a server asked an inner call to wait for, the guard waits for."""
    busy = tieline.TooBusy("busy", failure=unsent(Kind.BUSY, Phase.HANDSHAKE, retry_after=30))
    assert guarded(Flaky(busy))() == "done"
    assert 30 <= clock.sleeps[0] < 31


# --- the breaker -------------------------------------------------------------------------------


def test_circuit_open(clock: ManualClock) -> None:
    """An open breaker calls nothing and says when to come back; then one call closes it."""
    open_breaker()
    function = Flaky()
    with pytest.raises(tieline.CircuitOpen) as caught:
        guarded(function)()
    assert function.calls == 0
    assert 0.7 < caught.value.retry_after <= 1.2
    clock.advance(caught.value.retry_after)
    assert guarded(function)() == "done"
    assert breaker().state == "closed"


def test_circuit_open_is_not_repeated() -> None:
    """An outer guard does not knock at an open breaker again and again."""
    open_breaker("inner")
    calls = []

    @tieline.guard("outer", idempotent=True)
    def outer() -> None:
        calls.append(1)
        guarded(Flaky(), "inner")()

    with pytest.raises(tieline.CircuitOpen) as caught:
        outer()
    assert calls == [1]
    assert caught.value.target == "inner"
    assert caught.value.retry_after > 0
    assert breaker("outer").quiet


def test_sharp_failures_count_through_the_healthy_path() -> None:
    """Five failed calls of one attempt each open the breaker, and not four."""
    policy = ONCE
    for count in range(5):
        assert breaker("t", policy).failures == count
        with pytest.raises(tieline.Refused):
            guarded(Flaky(ConnectionRefusedError()), policy=policy)()
    assert breaker("t", policy).state == "open"


def test_success_is_counted_when_it_matters() -> None:
    """Success clears failures and refills the budget, and costs nothing while both are well."""
    with pytest.raises(tieline.ConnectionLost):
        guarded(Flaky(lost()))()
    assert (breaker().failures, budget().tokens) == (1, 9)
    guarded(Flaky())()
    assert (breaker().failures, budget().tokens) == (0, pytest.approx(9.1))


def test_success_refills_without_a_breaker() -> None:
    """The budget is refilled by success also where there is no breaker to heal."""
    policy = tieline.Policy(call_timeout=None, attempt_timeout=None, breaker=None)
    with pytest.raises(tieline.ConnectionLost):
        guarded(Flaky(lost()), policy=policy)()
    guarded(Flaky(), policy=policy)()
    assert budget("t", policy).tokens == pytest.approx(9.1)


def test_healthy_successes_are_counted() -> None:
    """Breaker and budget learn of successes on the healthy path, where no lock is taken."""
    before = breaker().successes, budget().successes
    for _ in range(3):
        guarded(Flaky())()
    assert (breaker().successes, budget().successes) == (before[0] + 3, before[1] + 3)


def test_rate_opens_between_healthy_calls() -> None:
    """Of ten calls in the window five fail: too many, although never two in a row."""
    for _ in range(4):
        guarded(Flaky())()
        with pytest.raises(tieline.ConnectionLost):
            guarded(Flaky(lost()))()
    guarded(Flaky())()
    assert breaker().state == "closed"
    with pytest.raises(tieline.ConnectionLost):
        guarded(Flaky(lost()))()
    assert breaker().state == "open"


def test_success_of_an_older_generation() -> None:
    """A healthy call that began before a breaker opened and closed again is not counted."""

    @tieline.guard("t")
    def function() -> None:
        state = target_state("t", GUARD)
        state.reset()

    before = breaker().successes
    function()
    assert breaker().successes == before


def test_breaker_that_opens_meanwhile() -> None:
    """A call that began before the breaker opened changes nothing when it ends after."""

    @tieline.guard("t")
    def function() -> None:
        contextvars.Context().run(open_breaker)  # another caller
        raise lost()

    before = breaker().generation
    with pytest.raises(tieline.ConnectionLost):
        function()
    assert breaker().generation == before + 1


def test_without_breaker_and_budget() -> None:
    """A policy without them guards all the same."""
    policy = tieline.Policy(call_timeout=None, attempt_timeout=None, breaker=None, budget=None)
    function = Flaky(ConnectionRefusedError())
    assert guarded(function, policy=policy)() == "done"
    assert target_state("t", policy).lane(None).breaker is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("probing", [False, True])
def test_ending_exceptions_pass(
    error: type[BaseException], probing: bool, clock: ManualClock
) -> None:
    """Ctrl-C and its like pass as they are, count for nothing, and give the permit back."""
    if probing:
        open_breaker()
        clock.advance(2)
    ending = error()
    function = Flaky(ending)
    with pytest.raises(error) as caught:
        guarded(function)()
    assert caught.value is ending
    assert function.calls == 1
    assert surrounding_guard() is None
    assert guarded(function)() == "done"
    assert breaker().state == "closed"


def test_unknown_exception_in_a_probe(clock: ManualClock) -> None:
    """An exception of the application neither closes nor opens: the next call probes again."""
    open_breaker()
    clock.advance(2)
    with pytest.raises(LookupError):
        guarded(Flaky(LookupError()))()
    assert breaker().state == "half-open"
    assert guarded(Flaky())() == "done"


# --- what it may be put on ---------------------------------------------------------------------


def test_methods() -> None:
    """Methods, class methods and static methods can be guarded."""

    class Service:
        name = "service"

        @tieline.guard("t")
        def method(self) -> str:
            return self.name

        @classmethod
        @tieline.guard("t")
        def of_class(cls) -> str:
            return cls.name

        @staticmethod
        @tieline.guard("t")
        def static(value: str) -> str:
            return value

    service = Service()
    assert [service.method(), Service.of_class(), service.static("x")] == ["service"] * 2 + ["x"]


def test_one_policy_for_many_functions() -> None:
    """Each decorated function keeps its own name and arguments."""
    policed = tieline.guard("t")
    assert [policed(len)("abc"), policed(max)(1, 2)] == [3, 2]


@pytest.mark.parametrize("bounded", [False, True])
def test_no_reference_cycles(bounded: bool) -> None:
    """A raised error is freed without the garbage collector, with all that its frames hold."""

    class Big:
        pass

    policy = tieline.Policy() if bounded else GUARD
    kept = []

    @tieline.guard("t", policy=policy)
    def function() -> None:
        big = Big()
        kept.append(weakref.ref(big))
        raise ConnectionRefusedError

    gc.collect()
    gc.disable()
    try:
        with suppress(tieline.Refused):
            function()
        assert [ref() for ref in kept] == [None] * 3
    finally:
        gc.enable()


def test_events() -> None:
    """Every failed attempt, retry and recovery is told once, with the target's name."""
    with RecordingListener() as heard:
        guarded(Flaky(ConnectionRefusedError()))()
    assert [type(event) for event in heard.events] == [
        events.AttemptFailed,
        events.RetryScheduled,
        events.CallRecovered,
    ]
    assert {event.target for event in heard.events} == {"t"}


def test_cause_behind_a_wrapper() -> None:
    """A failure that a library wrapped in its own exception is known by its cause."""

    def fails() -> None:
        raise RuntimeError("library error") from ConnectionRefusedError()

    calls = []

    @tieline.guard("t")
    def function() -> None:
        calls.append(1)
        fails()

    with pytest.raises(RuntimeError) as caught:
        function()
    assert isinstance(caught.value, tieline.Refused)
    assert len(calls) == 3


def test_timeout_of_an_attempt_is_a_failure(clock: ManualClock) -> None:
    """An inner call cut by the guard's own attempt timeout counts, and is repeated if unsent."""
    policy = tieline.Policy(call_timeout=10, attempt_timeout=2)
    calls = []

    @tieline.guard("t", policy=policy)
    def function() -> str:
        calls.append(1)
        if len(calls) == 1:
            clock.advance(2)
            raise tieline.DeadlineExceeded("cut", failure=unsent(Kind.TIMEOUT))
        return "done"

    assert function() == "done"
    assert budget("t", policy).tokens == pytest.approx(9.1)


def test_read_timeout_is_raised(clock: ManualClock) -> None:
    """A timeout after sending is not repeated."""
    policy = tieline.Policy(call_timeout=10, attempt_timeout=2)
    error = tieline.ResponseTimeout("silent", failure=sent(Kind.TIMEOUT))
    with pytest.raises(tieline.ResponseTimeout) as caught:
        guarded(Flaky(error), policy=policy)()
    assert caught.value is error
