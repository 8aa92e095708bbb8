"""`async for attempt in tieline.attempts(...)`: the loop over attempts in a coroutine."""

from __future__ import annotations

import asyncio

import pytest

import tieline
from tests.engine.loop import run
from tests.engine.test_async import BOUNDED, cancelled, for_ever
from tests.engine.test_guard import GUARD, breaker, budget, lost, open_breaker
from tieline.engine.context import surrounding_guard
from tieline.testing import ManualClock


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test."""
    with ManualClock() as clock:
        yield clock


async def through(*errors: BaseException, **options) -> int:
    """How many attempts it takes to get through the errors."""
    left = list(errors)
    async for attempt in tieline.attempts("t", **options):
        with attempt:
            await asyncio.sleep(0)
            if left:
                raise left.pop(0)
    return attempt.number


def test_repeats_while_nothing_was_sent(clock: ManualClock) -> None:
    """The block is run again after a wait while nothing was sent, until it succeeds."""
    assert run(through(), clock) == 1
    assert run(through(ConnectionRefusedError(), ConnectionRefusedError()), clock) == 3
    assert len(clock.sleeps) == 2


def test_last_failure_leaves_the_block(clock: ManualClock) -> None:
    """When the attempts run out the last failure is raised from the block."""
    with pytest.raises(tieline.Refused) as caught:
        run(through(*[ConnectionRefusedError() for _ in range(9)]), clock)
    assert len(caught.value.attempts) == 3


def test_sent_and_idempotent(clock: ManualClock) -> None:
    """What was sent is repeated only when the caller says so."""
    with pytest.raises(tieline.ConnectionLost):
        run(through(lost()), clock)
    assert run(through(lost(), idempotent=True), clock) == 2


def test_unknown_exceptions_pass(clock: ManualClock) -> None:
    """An exception that tieline does not know leaves the block as it is."""
    error = LookupError()
    with pytest.raises(LookupError) as caught:
        run(through(error), clock)
    assert caught.value is error


def test_open_breaker_raises_from_the_loop(clock: ManualClock) -> None:
    """With the breaker open the block is not entered."""
    open_breaker()
    with pytest.raises(tieline.CircuitOpen):
        run(through(), clock)


def test_forgotten_with(clock: ManualClock) -> None:
    """A loop whose body does not enter the attempt is told so, and keeps no permit."""
    open_breaker()
    clock.advance(2)

    async def main() -> None:
        async for _ in tieline.attempts("t"):
            pass

    with pytest.raises(RuntimeError, match="write `with attempt:`") as caught:
        run(main(), clock)
    assert breaker().would_admit(clock.now()), caught


@pytest.mark.parametrize("error", [None, LookupError])
def test_left_before_with(error: type[Exception] | None, clock: ManualClock) -> None:
    """Who leaves the loop before the attempt gives its permit back at once."""
    open_breaker()
    clock.advance(2)

    async def main() -> None:
        async for _ in tieline.attempts("t"):
            if error is not None:
                raise error
            break
        assert breaker().would_admit(clock.now())

    if error is None:
        run(main(), clock)
    else:
        with pytest.raises(error):
            run(main(), clock)
    assert breaker().would_admit(clock.now())


def test_cancellation_is_neutral(clock: ManualClock) -> None:
    """A cancelled block counts for nothing, and gives its permit back."""

    async def block(policy: tieline.Policy) -> None:
        async for attempt in tieline.attempts("t", policy=policy):
            with attempt:
                await for_ever()

    async def main() -> None:
        for policy in (GUARD, BOUNDED):
            await cancelled(lambda policy=policy: block(policy))
            assert breaker("t", policy).quiet
            assert budget("t", policy).full
            assert surrounding_guard() is None
        open_breaker()
        clock.advance(2)
        await cancelled(lambda: block(GUARD))
        assert breaker().would_admit(clock.now())

    run(main(), clock)


def test_cancelled_while_waiting(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cancelled while it waits to try again makes no further attempt."""
    monkeypatch.setattr(clock, "sleep_async", lambda _seconds: for_ever())
    run(cancelled(lambda: through(ConnectionRefusedError())), clock)
    assert breaker().failures == 1


def test_block_that_takes_too_long(clock: ManualClock) -> None:
    """The attempt timeout cuts the block; the next attempt is as for any timeout."""

    async def main(*, idempotent: bool) -> int:
        async for attempt in tieline.attempts("t", policy=BOUNDED, idempotent=idempotent):
            with attempt:
                if attempt.number == 1:
                    await for_ever()
        return attempt.number

    with pytest.raises(tieline.ResponseTimeout):
        run(main(idempotent=False), clock)
    assert clock.now() == pytest.approx(1002.02)
    assert run(main(idempotent=True), clock) == 2


def test_deadline_cuts_the_block(clock: ManualClock) -> None:
    """A deadline cuts the block, which ends as DeadlineExceeded."""

    async def main() -> None:
        with tieline.deadline(3):
            async for attempt in tieline.attempts("t"):
                with attempt:
                    await for_ever()

    with pytest.raises(tieline.DeadlineExceeded):
        run(main(), clock)
    assert clock.now() == pytest.approx(1003.02)


def test_timeout_of_the_caller(clock: ManualClock) -> None:
    """The caller's own asyncio.timeout is a cancellation, inside the loop and around it."""

    async def main() -> None:
        async with asyncio.timeout(1):
            async for attempt in tieline.attempts("t", policy=BOUNDED):
                with attempt:
                    await for_ever()

    with pytest.raises(TimeoutError) as caught:
        run(main(), clock)
    assert not isinstance(caught.value, tieline.TielineError)
    assert breaker("t", BOUNDED).quiet


def test_iterated_twice(clock: ManualClock) -> None:
    """The same attempts can be gone through again, by threads and coroutines alike."""
    loop = tieline.attempts("t")

    async def main() -> int:
        async for attempt in loop:
            with attempt:
                pass
        return attempt.number

    assert run(main(), clock) == 1
    for attempt in loop:
        with attempt:
            pass
    assert attempt.number == 1
