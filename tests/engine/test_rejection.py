"""A call that is not made because the breaker is open: cheap, and told like any other."""

from __future__ import annotations

import contextvars
import copy
import pickle
import traceback
from contextlib import suppress

import pytest

import tieline
from tests.engine.test_guard import Flaky, breaker, guarded, open_breaker
from tieline import events
from tieline.engine.target import target_state
from tieline.errors import CircuitOpen
from tieline.policy.call import Call
from tieline.testing import ManualClock, RecordingListener


@pytest.fixture(autouse=True)
def clock():
    """A clock of its own for every test, and an open breaker."""
    with ManualClock() as clock:
        open_breaker()
        yield clock


def rejected() -> CircuitOpen:
    """The error of one call."""
    with pytest.raises(CircuitOpen) as caught:
        guarded(Flaky())()
    return caught.value


def by_a_call() -> CircuitOpen:
    """The same error, by way of a `Call`."""
    with tieline.idempotent():
        return rejected()


FACTS = ("target", "endpoint", "failure", "attempts", "elapsed", "hint", "retry_after")


def test_no_call_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejecting takes no lock and no state machine."""
    monkeypatch.setattr(Call, "__init__", None)
    with target_state("t", tieline.Policy())._lock:  # noqa: SLF001 - nobody waits for it
        assert rejected().target == "t"


def test_same_error_either_way() -> None:
    """The error is what a `Call` would have come to: message, notes, attributes and class."""
    quick, slow = rejected(), by_a_call()
    assert type(quick) is type(slow) is CircuitOpen
    assert str(quick) == str(slow)
    assert repr(quick) == repr(slow)
    assert quick.__notes__ == slow.__notes__ != []
    for name in (*FACTS, "maybe_applied", "errno", "__cause__", "__context__"):
        assert getattr(quick, name) == getattr(slow, name), name
    assert "the next probe may go in" in str(quick)


def test_same_events_either_way() -> None:
    """Listeners hear of a rejected call, the same way whichever way it went."""
    with RecordingListener() as heard:
        rejected()
        by_a_call()
    assert len(heard.of(events.CallFailed)) == 2
    assert heard.events[0] == heard.events[1]


def test_notes_are_shown() -> None:
    """Tracebacks show the hint although nobody asked for it before."""
    shown = "".join(traceback.format_exception(rejected()))
    assert "tieline.CircuitOpen: t: the circuit breaker is open; the next probe" in shown
    assert "\nhint: recent calls failed" in shown


def test_notes_can_be_added() -> None:
    """A note of somebody else joins ours, and no other error's."""
    first, second = rejected(), rejected()
    first.add_note("mine")
    assert [note[:5] for note in first.__notes__] == ["hint:", "mine"]
    assert len(second.__notes__) == 1


def pickled(error: CircuitOpen) -> CircuitOpen:
    """The error in another process."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("remake", [copy.copy, pickled])
@pytest.mark.parametrize("read", [False, True])
def test_copies(remake, read: bool) -> None:
    """Copies and pickles say the same, whether or not it was read before."""
    error = rejected()
    said, notes = str(error), error.__notes__
    error = error if read else rejected()
    twin = remake(error)
    assert (str(twin), twin.__notes__, twin.args) == (said, notes, error.args)
    assert {name: getattr(twin, name) for name in FACTS} == {
        name: getattr(error, name) for name in FACTS
    }


def test_made_by_hand() -> None:
    """A CircuitOpen of somebody else has its own message, and the notes that it was given."""
    error = CircuitOpen("mine", target="t")
    assert str(error) == "mine"
    assert not hasattr(error, "__notes__")
    error.add_note("note")
    assert error.__notes__ == ["note"]


def test_while_a_probe_is_out(clock: ManualClock) -> None:
    """Who comes while the probe is out is told when its lease ends."""
    clock.advance(2)
    seen = []

    @tieline.guard("t")
    def probe() -> None:
        # Another caller, who is not inside the probe.
        seen.extend(contextvars.Context().run(lambda: [rejected(), by_a_call()]))

    probe()
    assert [error.retry_after for error in seen] == [pytest.approx(60)] * 2
    assert breaker().state == "closed"


def test_due_again(clock: ManualClock) -> None:
    """A call is rejected until the very moment that the error named, and not after."""
    wait = rejected().retry_after
    clock.advance(wait - 0.001)
    assert rejected().retry_after == pytest.approx(0.001)
    clock.advance(rejected().retry_after)
    assert guarded(Flaky())() == "done"


def test_permit_that_is_still_to_be_taken_back(clock: ManualClock) -> None:
    """A probe that was thrown away under the lock holds nobody back."""
    clock.advance(2)
    loop = iter(tieline.attempts("t"))
    next(loop)
    assert isinstance(rejected(), CircuitOpen)
    with target_state("t", tieline.Policy())._lock:  # noqa: SLF001 - as a collection would find it
        del loop
    assert guarded(Flaky())() == "done"


def test_recursion_is_not_rejected(clock: ManualClock) -> None:
    """A guarded function that runs is not refused by the breaker that it opened meanwhile."""
    calls = []

    @tieline.guard("other", policy=tieline.Policy(call_timeout=None, attempt_timeout=None))
    def function(depth: int) -> None:
        calls.append(depth)
        if depth == 1:
            contextvars.Context().run(open_breaker, "other")
        if depth:
            function(depth - 1)

    with suppress(tieline.Refused):
        function(2)
    assert calls == [2, 1, 0]
