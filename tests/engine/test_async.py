"""`guard` on coroutine functions: the same policy, cancellation, and time that cuts."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

import tieline
from tests.engine.loop import run
from tests.engine.test_guard import GUARD, ONCE, breaker, budget, lost, open_breaker
from tieline import events
from tieline.engine.clock import SystemClock
from tieline.engine.context import guard_var, surrounding_guard, time_limit
from tieline.engine.target import target_state
from tieline.failure import Kind
from tieline.testing import ManualClock, RecordingListener

BOUNDED = tieline.Policy(call_timeout=10, attempt_timeout=2)
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test."""
    with ManualClock() as clock:
        yield clock


class Flaky:
    """A coroutine function that raises its errors one after the other, then returns "done"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, *args, **kwargs) -> str:
        """Let others run, then raise the next error, if one is left."""
        self.calls += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def for_ever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()


def guarded(function, name: str = "t", **options):
    """The coroutine function, behind a guard."""
    return tieline.guard(name, **options)(function)


# --- the same as for threads -------------------------------------------------------------------


def test_result_and_arguments_pass(clock: ManualClock) -> None:
    """A guarded coroutine function is one, and takes and returns what it did before."""

    @tieline.guard("t")
    async def add(first: int, *, start: int = 0) -> int:
        """Add up."""
        return first + start

    assert run(add(1, start=3), clock) == 4
    assert inspect.iscoroutinefunction(add)
    assert (add.__name__, add.__doc__) == ("add", "Add up.")


@pytest.mark.parametrize("policy", [GUARD, tieline.Policy()])
def test_repeats_while_nothing_was_sent(policy: tieline.Policy, clock: ManualClock) -> None:
    """Refused connections are repeated after growing waits, until one is not refused."""
    function = Flaky(ConnectionRefusedError(), ConnectionRefusedError())
    with RecordingListener() as heard:
        assert run(guarded(function, policy=policy)(), clock) == "done"
    assert function.calls == 3
    assert len(clock.sleeps) == 2
    assert len(heard.of(events.CallRecovered)) == 1


def test_last_failure_is_raised(clock: ManualClock) -> None:
    """When the attempts run out the last failure itself is raised, with its history."""
    last = ConnectionRefusedError("the last one")
    function = Flaky(ConnectionRefusedError(), ConnectionRefusedError(), last)
    with pytest.raises(tieline.Refused) as caught:
        run(guarded(function)(), clock)
    assert caught.value.__cause__ is last
    assert len(caught.value.attempts) == 3


@pytest.mark.parametrize("policy", [GUARD, BOUNDED])
def test_unknown_exceptions_pass(policy: tieline.Policy, clock: ManualClock) -> None:
    """An exception that tieline does not know passes as it is, and is never repeated."""
    error = LookupError("mine")
    function = Flaky(error)
    with pytest.raises(LookupError) as caught:
        run(guarded(function, policy=policy)(), clock)
    assert caught.value is error
    assert function.calls == 1


def test_sent_and_idempotent(clock: ManualClock) -> None:
    """What was sent is repeated only when the caller says so."""
    with pytest.raises(tieline.ConnectionLost):
        run(guarded(Flaky(lost()))(), clock)
    assert run(guarded(Flaky(lost()), idempotent=True)(), clock) == "done"
    with tieline.idempotent():
        assert run(guarded(Flaky(lost()))(), clock) == "done"


def test_circuit_open(clock: ManualClock) -> None:
    """An open breaker calls nothing; then one call closes it."""
    open_breaker()
    function = Flaky()
    with pytest.raises(tieline.CircuitOpen) as caught:
        run(guarded(function)(), clock)
    assert function.calls == 0
    clock.advance(caught.value.retry_after)
    assert run(guarded(function)(), clock) == "done"
    assert breaker().state == "closed"


def test_inner_leaves_retrying_to_the_outer(clock: ManualClock) -> None:
    """Nested guards make three attempts, not three times three."""
    inner = Flaky(*[ConnectionRefusedError() for _ in range(99)])
    with pytest.raises(tieline.Refused):
        run(guarded(guarded(inner, "inner"), "outer")(), clock)
    assert inner.calls == 3


def test_methods(clock: ManualClock) -> None:
    """Methods, class methods and static methods can be guarded."""

    class Service:
        name = "service"

        @tieline.guard("t")
        async def method(self) -> str:
            return self.name

        @classmethod
        @tieline.guard("t")
        async def of_class(cls) -> str:
            return cls.name

        @staticmethod
        @tieline.guard("t")
        async def static(value: str) -> str:
            return value

    service = Service()
    for made in (service.method(), Service.of_class(), service.static("service")):
        assert run(made, clock) == "service"


class Generating:
    """An object that is called like a generator function."""

    def __call__(self):
        """Nothing to see."""
        yield


def generate():
    """Nothing to see."""
    yield


async def generate_async():
    """Nothing to see."""
    yield


@pytest.mark.parametrize("function", [generate, generate_async, Generating()])
def test_generator_functions(function) -> None:
    """Guarding a generator function would guard nothing, so it is refused, when decorating."""
    with pytest.raises(TypeError, match="is a generator function"):
        tieline.guard("t")(function)


# --- cancellation ------------------------------------------------------------------------------


async def cancelled(function) -> None:
    """Call it, cancel it while it runs, and see that it ends so."""
    task = asyncio.ensure_future(function())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("policy", [GUARD, BOUNDED])
def test_cancellation_is_neutral(policy: tieline.Policy, clock: ManualClock) -> None:
    """A cancelled call counts for nothing, and is not repeated."""

    async def main() -> None:
        with RecordingListener() as heard:
            await cancelled(guarded(for_ever, policy=policy))
        assert heard.events == []
        assert surrounding_guard() is None

    run(main(), clock)
    assert breaker("t", policy).quiet
    assert budget("t", policy).full


def test_cancelled_probe_returns_its_permit(clock: ManualClock) -> None:
    """After a cancelled probe the next caller may probe at once."""
    open_breaker()
    clock.advance(2)

    async def main() -> str:
        await cancelled(guarded(for_ever))
        assert breaker().state == "half-open"
        return await guarded(Flaky())()

    assert run(main(), clock) == "done"
    assert breaker().state == "closed"


def test_cancel_loop(clock: ManualClock) -> None:
    """Of a loop of cancelled calls three in an open period reach the server, and no more."""
    open_breaker()
    reached = []

    async def function() -> None:
        reached.append(1)
        await for_ever()

    async def main() -> None:
        for period in (1, 2):
            clock.advance(breaker().open_for(clock.now()))
            for _ in range(3):
                await cancelled(guarded(function))
            for _ in range(5):
                with pytest.raises(tieline.CircuitOpen):
                    await guarded(function)()
            assert len(reached) == 3 * period

    run(main(), clock)


def test_timeout_of_the_caller(clock: ManualClock) -> None:
    """The caller's own asyncio.timeout is a cancellation: it says nothing about the server."""

    async def main() -> None:
        for policy in (ONCE, BOUNDED):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(1):
                    await guarded(for_ever, policy=policy)()
            assert not isinstance(caught.value, tieline.TielineError)
            assert breaker("t", policy).quiet
            assert budget("t", policy).full

    run(main(), clock)
    assert clock.now() == 1002


@pytest.mark.parametrize("policy", [ONCE, BOUNDED])
def test_timeout_inside(policy: tieline.Policy, clock: ManualClock) -> None:
    """A timeout that the function sets and hits itself is a failure."""

    async def function() -> None:
        async with asyncio.timeout(1):
            await for_ever()

    with pytest.raises(tieline.ResponseTimeout):
        run(guarded(function, policy=policy)(), clock)
    assert breaker("t", policy).failures == 1


def test_both_timeouts_at_once(clock: ManualClock) -> None:
    """Where the caller cancels in the very moment of our timeout, the caller wins."""

    async def main() -> None:
        async with asyncio.timeout(2.02):
            await guarded(for_ever, policy=BOUNDED)()

    with pytest.raises(TimeoutError) as caught:
        run(main(), clock)
    assert not isinstance(caught.value, tieline.TielineError)
    assert breaker("t", BOUNDED).quiet


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("probing", [False, True])
def test_ending_exceptions_pass(
    error: type[BaseException], probing: bool, clock: ManualClock
) -> None:
    """Ctrl-C and its like pass as they are, count for nothing, and give the permit back."""
    if probing:
        open_breaker()
        clock.advance(2)
    with pytest.raises(error):
        run(guarded(Flaky(error()))(), clock)
    assert run(guarded(Flaky())(), clock) == "done"
    assert breaker().state == "closed"


@pytest.mark.parametrize("policy", [GUARD, tieline.Policy(call_timeout=None, attempt_timeout=None)])
def test_coroutine_closed_from_another_context(policy: tieline.Policy, clock: ManualClock) -> None:
    """A coroutine that is thrown away gives its permit back, also from another context."""
    open_breaker("t", policy)
    clock.advance(2)
    coroutine = guarded(Flaky(), policy=policy)()
    contextvars.copy_context().run(coroutine.send, None)
    assert not breaker("t", policy).would_admit(clock.now())
    coroutine.close()
    assert breaker("t", policy).would_admit(clock.now())
    healthy = guarded(Flaky(), "healthy")()
    contextvars.copy_context().run(healthy.send, None)
    healthy.close()
    assert surrounding_guard() is None


@pytest.mark.timeout(10)
def test_permit_given_back_under_the_lock(clock: ManualClock) -> None:
    """The garbage collector may close a coroutine while its thread holds the target's lock."""
    open_breaker()
    clock.advance(2)
    coroutine = guarded(Flaky())()
    coroutine.send(None)
    with target_state("t", GUARD)._lock:  # noqa: SLF001 - what a collection inside `step` finds
        coroutine.close()
    assert run(guarded(Flaky())(), clock) == "done"
    assert breaker().state == "closed"


# --- time --------------------------------------------------------------------------------------


def test_attempt_that_takes_too_long(clock: ManualClock) -> None:
    """The attempt timeout cancels the coroutine: a failure that may have sent something."""
    ended = []

    async def function() -> None:
        try:
            await for_ever()
        finally:
            ended.append(clock.now())

    with pytest.raises(tieline.ResponseTimeout) as caught:
        run(guarded(function, policy=BOUNDED)(), clock)
    assert caught.value.failure.kind is Kind.TIMEOUT
    assert ended == [pytest.approx(1002.02)]
    assert breaker("t", BOUNDED).failures == 1
    assert budget("t", BOUNDED).tokens == 9


def test_attempt_that_takes_too_long_is_repeated(clock: ManualClock) -> None:
    """An idempotent function is tried again after a timeout."""
    calls = []

    async def function() -> str:
        calls.append(clock.now())
        if len(calls) < 3:
            await for_ever()
        return "done"

    assert run(guarded(function, policy=BOUNDED, idempotent=True)(), clock) == "done"
    assert len(calls) == 3


def test_deadline_cuts(clock: ManualClock) -> None:
    """A deadline cancels a guarded coroutine that runs on, and is no failure of the server."""

    async def main() -> None:
        with tieline.deadline(3):
            await guarded(for_ever)()

    with pytest.raises(tieline.DeadlineExceeded) as caught:
        run(main(), clock)
    assert caught.value.elapsed == pytest.approx(3.02)
    assert isinstance(caught.value, TimeoutError)


def test_call_inside_ends_first(clock: ManualClock) -> None:
    """A call of ours inside keeps to the deadline by itself, and what it says is heard."""

    async def function() -> str:
        if clock.now() < 1001:
            await asyncio.sleep(time_limit() - clock.now())
            raise ConnectionRefusedError
        return "done"

    assert run(guarded(function, policy=BOUNDED)(), clock) == "done"


def test_result_in_spite_of_the_cut(clock: ManualClock) -> None:
    """A function that has a result although it was cut keeps it."""

    async def function() -> str:
        try:
            await for_ever()
        except asyncio.CancelledError:
            return "late"

    assert run(guarded(function, policy=BOUNDED)(), clock) == "late"


# --- what outlives a guard ---------------------------------------------------------------------


@pytest.mark.parametrize("policy", [GUARD, BOUNDED])
def test_tasks_outlive_guard_and_deadline(policy: tieline.Policy, clock: ManualClock) -> None:
    """A task started inside a guard and a deadline is neither guarded nor bound after them."""
    tasks = []
    go = asyncio.Event()

    async def background() -> object:
        assert surrounding_guard() is not None
        await go.wait()
        inner = Flaky(ConnectionRefusedError())
        return surrounding_guard(), time_limit(), await guarded(inner, "inner")()

    async def function() -> None:
        tasks.append(asyncio.ensure_future(background()))
        await asyncio.sleep(0)

    async def main() -> object:
        with tieline.deadline(5):
            await guarded(function, policy=policy)()
        clock.advance(60)
        go.set()
        return await tasks[0]

    assert run(main(), clock) == (None, None, "done")


def test_task_of_an_earlier_attempt(clock: ManualClock) -> None:
    """A task of the first attempt is not inside the second; what it sends counts all the same."""
    tasks = []
    second = asyncio.Event()

    async def background() -> None:
        await second.wait()
        assert surrounding_guard() is None
        guard_var.get().mark_sent()

    @tieline.guard("t")
    async def function() -> None:
        if not tasks:
            tasks.append(asyncio.ensure_future(background()))
            await asyncio.sleep(0)
        else:
            second.set()
            await tasks[0]
        raise ConnectionRefusedError

    with pytest.raises(tieline.Refused) as caught:
        run(function(), clock)
    assert len(caught.value.attempts) == 2


def test_chains_of_dead_blocks_do_not_grow(clock: ManualClock) -> None:
    """A task that starts itself anew inside a guard and a deadline drags no past along."""
    left = 3000

    @tieline.guard("t")
    async def function() -> None:
        nonlocal left
        left -= 1
        if left:
            tasks.append(asyncio.ensure_future(begin()))

    async def begin() -> None:
        with tieline.deadline(5):
            await function()

    tasks = []

    async def main() -> None:
        tasks.append(asyncio.ensure_future(begin()))
        while tasks:
            await tasks.pop(0)

    run(main(), clock)
    gc.collect()
    assert left == 0


@pytest.mark.parametrize("policy", [GUARD, tieline.Policy()])
def test_no_reference_cycles(policy: tieline.Policy, clock: ManualClock) -> None:
    """A raised error is freed without the garbage collector, with all that its frames hold."""
    kept = []

    class Big:
        pass

    async def function() -> None:
        big = Big()
        kept.append(weakref.ref(big))
        raise ConnectionRefusedError

    async def main() -> None:
        gc.collect()
        gc.disable()
        try:
            with suppress(tieline.Refused):
                await guarded(function, policy=policy)()
            assert [ref() for ref in kept] == [None] * 3
        finally:
            gc.enable()

    run(main(), clock)


# --- threads and loops -------------------------------------------------------------------------


def test_one_probe_for_threads_and_loops(clock: ManualClock) -> None:
    """Of eight threads and two event loops at a half-open breaker one caller gets through."""
    open_breaker()
    clock.advance(2)
    start = threading.Barrier(10)
    refused = threading.Semaphore(0)
    reached = []

    def reach() -> str:
        reached.append(threading.get_ident())
        # The probe ends only after all others were turned away.
        for _ in range(15):
            assert refused.acquire(timeout=PATIENCE)
        return "done"

    @tieline.guard("t")
    async def function_async() -> str:
        return await asyncio.to_thread(reach)

    function = tieline.guard("t")(reach)

    def in_thread() -> list:
        start.wait(PATIENCE)
        try:
            return [function()]
        except tieline.CircuitOpen as error:
            refused.release()
            return [error]

    async def caught() -> object:
        try:
            return await function_async()
        except tieline.CircuitOpen as error:
            refused.release()
            return error

    async def gathered() -> list:
        start.wait(PATIENCE)
        return await asyncio.gather(*[caught() for _ in range(4)])

    with ThreadPoolExecutor(10) as pool:
        ours = [pool.submit(in_thread) for _ in range(8)]
        theirs = [pool.submit(lambda: asyncio.run(gathered())) for _ in range(2)]
        results = [each for future in ours + theirs for each in future.result(PATIENCE)]
    assert len(reached) == 1
    assert results.count("done") == 1
    assert sum(isinstance(result, tieline.CircuitOpen) for result in results) == 15
    assert breaker().state == "closed"


def test_waits_let_others_run(clock: ManualClock) -> None:
    """While one caller waits before its retry, other tasks of the loop run."""
    order = []

    async def other() -> None:
        order.append("other")

    async def main() -> None:
        task = asyncio.ensure_future(guarded(Flaky(ConnectionRefusedError()))())
        task.add_done_callback(lambda _: order.append("retried"))
        for _ in range(9):
            await asyncio.sleep(0)
            if clock.sleeps:
                break
        await asyncio.gather(other(), task)

    run(main(), clock)
    assert order == ["other", "retried"]


def test_system_clock() -> None:
    """The machine's clock sleeps on the loop that runs."""
    order: list[str] = []

    async def sleeps(seconds: float) -> None:
        order.append("asleep")
        await SystemClock().sleep_async(seconds)
        order.append("awake")

    async def main() -> None:
        await asyncio.gather(sleeps(0), sleeps(-1))

    asyncio.run(main())
    assert order == ["asleep", "asleep", "awake", "awake"]
