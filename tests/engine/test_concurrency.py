"""Many threads, one target. Nothing here measures time: barriers and events prove the order."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import tieline
from tests.engine.test_guard import GUARD, Flaky, breaker, budget, guarded, lost, open_breaker
from tieline import events
from tieline.engine.target import target_state
from tieline.testing import ManualClock, RecordingListener

PATIENCE = 20.0
"""Seconds after which a test fails that would otherwise hang; nothing waits for them."""


def together(count: int, function) -> list:
    """Run it in so many threads at once; their results, or what they raised."""

    def caught(number: int) -> object:
        try:
            return function(number)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(caught, range(count)))


@pytest.mark.parametrize("how", ["healthy", "bounded", "attempts", "after failures"])
def test_no_lock_is_held_during_a_call(how: str) -> None:
    """Eight callers are inside the guarded function at once: none waits for another."""
    inside = threading.Barrier(8)
    policy = tieline.Policy() if how == "bounded" else GUARD

    @tieline.guard("t", policy=policy)
    def function() -> int:
        return inside.wait(PATIENCE)

    def loop() -> int:
        for attempt in tieline.attempts("t"):
            with attempt:
                return inside.wait(PATIENCE)
        raise AssertionError

    if how == "after failures":
        with pytest.raises(tieline.ConnectionLost):
            guarded(Flaky(lost()))()
    run = loop if how == "attempts" else function
    assert sorted(together(8, lambda _: run())) == list(range(8))


def test_no_lock_is_held_during_a_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one caller sleeps before its retry others come and go."""
    asleep, over = threading.Event(), threading.Event()
    with ManualClock() as clock:

        def sleep(seconds: float) -> None:
            asleep.set()
            assert over.wait(PATIENCE)

        monkeypatch.setattr(clock, "sleep", sleep)
        with ThreadPoolExecutor(1) as pool:
            sleeper = pool.submit(guarded(Flaky(ConnectionRefusedError())))
            assert asleep.wait(PATIENCE)
            assert guarded(Flaky())() == "done"
            assert not sleeper.done()
            over.set()
            assert sleeper.result(PATIENCE) == "done"


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_one_of_sixteen_probes(ends: str) -> None:
    """Of sixteen callers at a half-open breaker exactly one reaches the server."""
    with ManualClock() as clock:
        open_breaker()
        clock.advance(2)
        start = threading.Barrier(16)
        refused = threading.Semaphore(0)
        reached = []

        @tieline.guard("t")
        def function() -> str:
            reached.append(threading.get_ident())
            # The probe ends only after the fifteen others were turned away.
            for _ in range(15):
                assert refused.acquire(timeout=PATIENCE)
            if ends == "badly":
                raise ConnectionResetError
            return "done"

        def caller(_number: int) -> str:
            start.wait(PATIENCE)
            try:
                return function()
            except tieline.CircuitOpen:
                refused.release()
                raise

        results = together(16, caller)
    assert len(reached) == 1
    assert sum(isinstance(result, tieline.CircuitOpen) for result in results) == 15
    assert breaker().state == ("closed" if ends == "well" else "open")


def test_failures_are_not_lost() -> None:
    """Failures that end at the same time are all counted, by breaker and budget."""
    policy = tieline.Policy(
        call_timeout=None,
        attempt_timeout=None,
        breaker=tieline.CircuitBreaker(failures=10_000),
        budget=tieline.Budget(tokens=10_000),
    )
    inside = threading.Barrier(8)

    def caller(_number: int) -> None:
        for _ in range(50):
            inside.wait(PATIENCE)
            with pytest.raises(tieline.ConnectionLost):
                guarded(Flaky(lost()), policy=policy)()

    assert together(8, caller) == [None] * 8
    assert breaker("t", policy).failures == 400
    assert budget("t", policy).tokens == 9_600


def test_one_state_for_all_threads() -> None:
    """Threads that name a target for the first time at once get the same state."""
    start = threading.Barrier(16)

    def ask(_number: int) -> object:
        start.wait(PATIENCE)
        return target_state("new", GUARD).lane(None)

    assert len({id(lane) for lane in together(16, ask)}) == 1


class Calling:
    """A listener that calls a guarded function of the target that it hears of."""

    def __init__(self) -> None:
        self.results: list[str] = []

    def on_event(self, event: events.Event) -> None:
        """Call what it hears of."""
        if isinstance(event, events.AttemptFailed):
            self.results.append(guarded(Flaky(), event.target)())


@pytest.mark.timeout(20)
def test_listeners_are_called_without_a_lock() -> None:
    """A listener may call a guarded function of the same target: it does not deadlock."""
    listener = Calling()
    tieline.add_listener(listener)
    try:
        with ManualClock():
            assert guarded(Flaky(ConnectionRefusedError()))() == "done"
    finally:
        tieline.remove_listener(listener)
    assert listener.results == ["done"]


class Failing:
    def on_event(self, event: events.Event) -> None:
        """Raise."""
        raise LookupError("listener")


def test_failing_listener(caplog: pytest.LogCaptureFixture) -> None:
    """What a listener raises is logged with its traceback, and reaches neither call nor others."""
    listener = Failing()
    tieline.add_listener(listener)
    try:
        with ManualClock(), RecordingListener() as heard, caplog.at_level("ERROR", "tieline"):
            assert guarded(Flaky(ConnectionRefusedError()))() == "done"
    finally:
        tieline.remove_listener(listener)
    assert len(heard.events) == 3
    assert [record.getMessage() for record in caplog.records] == ["listener Failing failed"] * 3
    assert all(record.exc_info[0] is LookupError for record in caplog.records)


def test_failing_log() -> None:
    """Not even a logging set-up that raises breaks a call."""

    def broken(_record: logging.LogRecord) -> bool:
        raise LookupError

    logger = logging.getLogger("tieline")
    logger.addFilter(broken)
    try:
        with ManualClock():
            assert guarded(Flaky(ConnectionRefusedError()))() == "done"
    finally:
        logger.removeFilter(broken)


def test_listeners_come_and_go_in_many_threads() -> None:
    """Adding and removing at the same time loses no listener and leaves none behind."""
    from tieline.engine import listeners

    kept = listeners.added
    before = list(kept)
    start = threading.Barrier(8)

    def work(_number: int) -> None:
        start.wait(PATIENCE)
        for _ in range(200):
            listener = RecordingListener()
            tieline.add_listener(listener)
            tieline.remove_listener(listener)

    assert together(8, work) == [None] * 8
    assert kept == before


def test_unknown_listener() -> None:
    """Removing a listener that was never added is an error."""
    with pytest.raises(ValueError):
        tieline.remove_listener(RecordingListener())
