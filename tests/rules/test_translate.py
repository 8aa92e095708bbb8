"""From the end of a call to the exception that its caller gets."""

from __future__ import annotations

import copy
import errno
import traceback
from dataclasses import dataclass, field, replace

import psycopg
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import tieline
from tieline import errors
from tieline.endpoint import Endpoint
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import BreakerState, CircuitBreaker
from tieline.policy.budget import Budget, BudgetState
from tieline.policy.call import Call
from tieline.policy.decision import Lane, Proceed, Raise, Sleep
from tieline.policy.policy import Policy
from tieline.policy.retry import Retry
from tieline.rules.hints import HINTS
from tieline.rules.translate import MAX_NOTES, config_error, final_error, lost

SECRET = "hunter2-very-secret"
DB = Endpoint("postgresql", "db", 5432)
TARGET = "orders-db"
REFUSED = Failure(Phase.CONNECT, Kind.REFUSED, Safety.ALWAYS, "ECONNREFUSED", "refused")
DENIED = Failure(Phase.HANDSHAKE, Kind.DENIED, Safety.NEVER, "28P01", "login")
SLOW = Failure(Phase.RECEIVE, Kind.TIMEOUT, Safety.IF_IDEMPOTENT, hint="silent", maybe_applied=True)
BUSY = replace(REFUSED, phase=Phase.HANDSHAKE, kind=Kind.BUSY, code="53300", retry_after=3.0)
PLAIN = Policy(
    call_timeout=None,
    attempt_timeout=None,
    retry=Retry(max_attempts=2),
    backoff=Backoff(initial=0.1, max=1.0),
    breaker=None,
    budget=None,
)


def native(text: str = "native words") -> Exception:
    """What psycopg raised, with an attribute of its own."""
    error = psycopg.OperationalError(text)
    error.__dict__["extra"] = text
    return error


@dataclass
class Drive:
    """A real call, driven by hand: each attempt takes a second and ends in the same failure."""

    policy: Policy = PLAIN
    deadline: float | None = None
    budget: BudgetState | None = None
    breaker: BreakerState | None = None
    target: str = TARGET
    endpoint: Endpoint | None = DB
    client: str = "psycopg"
    now: float = field(default=100.0, init=False)
    decision: Raise | None = field(default=None, init=False)

    def run(self, failure: Failure = REFUSED, cause: Exception | None = None) -> BaseException:
        """The exception at the end."""
        cause = native() if cause is None else cause
        call = Call(
            self.target,
            self.policy,
            [Lane(self.endpoint, self.breaker)],
            self.budget,
            started=self.now,
            deadline=self.deadline,
        )
        decision = call.start(self.now, lambda: 0.5)
        while not isinstance(decision, Raise):
            if isinstance(decision, Proceed):
                self.now += 1.0
                decision = call.failed(failure, self.now, lambda: 0.5)
            elif isinstance(decision, Sleep):
                self.now += decision.seconds
                decision = call.woke(self.now, lambda: 0.5)
        self.decision = decision
        last = cause if call.attempts else None
        return final_error(call, decision, last, self.client, self.now)


def open_breaker() -> BreakerState:
    """A breaker that lets nothing through for 4 s."""
    breaker = BreakerState(CircuitBreaker(failures=1, open_for=4.0, jitter=0.0))
    breaker.failed(breaker.admit(100.0, 1.0, lambda: 0.5), 100.0, lambda: 0.5)  # type: ignore[arg-type]
    return breaker


def empty_budget() -> BudgetState:
    """A budget with nothing left."""
    budget = BudgetState(Budget())
    budget.drain(100)
    return budget


# Drive, failure, then: class, native class, message, number of attempts.
ENDINGS = {
    "attempts": (
        Drive(),
        REFUSED,
        errors.Refused,
        (
            "orders-db: connection refused by db:5432 (ECONNREFUSED); 2 attempts in 2.05 s, "
            "no attempts left"
        ),
        2,
    ),
    "hopeless": (
        Drive(),
        DENIED,
        errors.AuthenticationFailed,
        (
            "orders-db: db:5432 rejected the credentials (28P01); 1 attempt in 1 s, "
            "not repeated: waiting does not help"
        ),
        1,
    ),
    "sent": (
        Drive(),
        SLOW,
        errors.ResponseTimeout,
        (
            "orders-db: no answer from db:5432 in time, while waiting for the answer; "
            "1 attempt in 1 s, not repeated: the request may have been applied"
        ),
        1,
    ),
    "budget": (
        Drive(budget=empty_budget()),
        REFUSED,
        errors.Refused,
        (
            "orders-db: connection refused by db:5432 (ECONNREFUSED); 1 attempt in 1 s, "
            "the retry budget is used up"
        ),
        1,
    ),
    "breaker": (
        Drive(breaker=open_breaker()),
        REFUSED,
        errors.CircuitOpen,
        "orders-db: the circuit breaker is open; the next probe may go in 4 s",
        0,
    ),
    "breaker-opens": (
        Drive(breaker=BreakerState(CircuitBreaker(failures=1, jitter=0.0))),
        REFUSED,
        errors.Refused,
        (
            "orders-db: connection refused by db:5432 (ECONNREFUSED); 1 attempt in 1 s, "
            "the circuit breaker is open"
        ),
        1,
    ),
    "deadline-before": (
        Drive(deadline=99.0),
        REFUSED,
        errors.DeadlineExceeded,
        "orders-db: the deadline was exceeded",
        0,
    ),
    "deadline-cut": (
        Drive(deadline=101.0),
        SLOW,
        errors.DeadlineExceeded,
        (
            "orders-db: the deadline was exceeded: no answer from db:5432 in time, while waiting "
            "for the answer; 1 attempt in 1 s"
        ),
        1,
    ),
    "no-time": (
        Drive(deadline=101.01),
        REFUSED,
        errors.Refused,
        (
            "orders-db: connection refused by db:5432 (ECONNREFUSED); 1 attempt in 1 s, "
            "no time left for another attempt"
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name: str) -> None:
    """Each way a call ends has its class, one line that says why, its history and its facts."""
    drive, failure, cls, message, count = ENDINGS[name]
    drive = copy.deepcopy(drive)
    cause = native()
    error = drive.run(failure, cause)
    assert isinstance(error, cls)
    assert isinstance(error, psycopg.OperationalError)
    assert str(error) == message
    assert error.target == TARGET
    assert error.endpoint == DB or not count
    assert error.elapsed == pytest.approx(drive.now - 100.0)
    assert [attempt.number for attempt in error.attempts] == list(range(1, count + 1))
    assert error.failure == (failure if count else None)
    assert error.maybe_applied == (failure is SLOW and count > 0)
    assert error.__cause__ is (cause if count else None)
    assert error.__context__ is None
    notes = error.__notes__
    assert len(notes) == count + 1
    assert all(note.startswith(f"attempt {index}: ") for index, note in enumerate(notes[:-1], 1))
    assert notes[-1] == f"hint: {error.hint}"
    assert error.hint in HINTS.values()


def test_errno_and_retry_after() -> None:
    """Numbers for machines: the system's error number, and when to come back."""
    refused = Drive().run(REFUSED)
    assert isinstance(refused, ConnectionRefusedError)
    assert refused.errno == errno.ECONNREFUSED
    busy = Drive(policy=replace(PLAIN, retry=Retry(max_attempts=1))).run(BUSY)
    assert isinstance(busy, errors.TooBusy)
    assert (busy.retry_after, busy.errno) == (3.0, None)
    refusal = Drive(breaker=open_breaker()).run()
    assert isinstance(refusal, errors.CircuitOpen)
    assert refusal.retry_after == pytest.approx(4.0)


def test_waits_are_in_the_history() -> None:
    """A reader sees where the time went."""
    error = Drive().run()
    assert error.__notes__[1] == (
        "attempt 2: after a wait of 50 ms, connection refused by db:5432 (ECONNREFUSED), 1 s"
    )


@pytest.mark.parametrize("count", [1, MAX_NOTES, MAX_NOTES + 1, 3 * MAX_NOTES])
def test_long_history_is_cut(count: int) -> None:
    """The last attempts are shown; all of them are kept."""
    error = Drive(policy=replace(PLAIN, retry=Retry(max_attempts=count))).run()
    assert isinstance(error, tieline.TielineError)
    assert len(error.attempts) == count
    *history, _hint = error.__notes__
    missing = max(0, count - MAX_NOTES)
    assert len(history) == min(count, MAX_NOTES) + (1 if missing else 0)
    assert history[-1].startswith(f"attempt {count}: ")
    if missing:
        assert history[0] == f"{missing} earlier attempts not shown"


@pytest.mark.parametrize("target", ["postgresql://db:5432", ""])
def test_target_is_not_said_twice(target: str) -> None:
    """A target without a name is its endpoint, which the phrase names already."""
    assert str(Drive(target=target).run()).startswith("connection refused by db:5432")


def test_cut_by_the_deadline_keeps_the_class_of_the_client() -> None:
    """A verdict of ours is fused with what was raised, where that is the client's own."""
    cause = psycopg.errors.ConnectionTimeout("connection timeout expired")
    error = Drive(deadline=101.0).run(SLOW, cause)
    assert isinstance(error, errors.DeadlineExceeded)
    assert isinstance(error, psycopg.errors.ConnectionTimeout)
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [(Phase.CONNECT, requests.exceptions.ConnectTimeout), (Phase.RECEIVE, requests.ReadTimeout)],
)
def test_verdict_takes_the_base_of_the_half(phase: Phase, expected: type) -> None:
    """In requests there is one timeout for connecting and one for reading."""
    failure = replace(SLOW, phase=phase)
    cause = requests.exceptions.ConnectionError("x", request=requests.Request("GET", "http://db/"))
    error = Drive(deadline=101.0, client="requests").run(failure, cause)
    assert isinstance(error, expected)
    assert error.request is cause.request  # type: ignore[attr-defined]


def test_error_of_ours_inside_a_guard_stays_itself() -> None:
    """A guard adds what it knows to the error of the client inside, and wraps nothing."""
    inner = tieline.Refused("db refused", failure=REFUSED, endpoint=DB)
    error = Drive(client="", endpoint=None).run(REFUSED, inner)
    assert error is inner
    assert len(inner.attempts) == 2
    assert inner.__notes__ == ["orders-db: 2 attempts in 2.05 s, no attempts left"]


class AppError(Exception):
    """An application's own."""


def test_custom_error_of_a_guarded_function() -> None:
    """The application's class is kept, and ours comes in front."""
    cause = AppError("app")
    error = Drive(client="", endpoint=None).run(REFUSED, cause)
    assert isinstance(error, errors.Refused)
    assert isinstance(error, AppError)
    assert str(error).startswith("orders-db: connection refused by the other side")
    assert error.__cause__ is cause


class Unfusable(ImportError):
    """Has a memory layout of its own, as `Refused` has."""


class Demanding(Exception):
    """Cannot be made without an argument."""

    def __new__(cls, _needed: object) -> Demanding:  # noqa: PYI034 - as applications write it
        """Take what is needed."""
        return super().__new__(cls)


def test_native_class_with_arguments_of_its_own_is_fused() -> None:
    """No foreign code runs while an error of ours is made, so none can get in its way."""
    error = Drive().run(REFUSED, Demanding("x"))
    assert isinstance(error, errors.Refused)
    assert isinstance(error, Demanding)


@pytest.mark.parametrize("client", ["", "psycopg"])
def test_what_cannot_be_fused_is_the_cause(client: str) -> None:
    """Where the classes do not go together, ours takes the client's base and keeps the cause."""
    cause = Unfusable("native words")
    error = Drive(client=client).run(REFUSED, cause)
    assert isinstance(error, errors.Refused)
    assert not isinstance(error, Unfusable)
    assert isinstance(error, psycopg.OperationalError) == bool(client)
    assert error.__cause__ is cause
    assert "native words" in "".join(traceback.format_exception(error))


def test_lost_names_the_statement_s_fate() -> None:
    """An error made outside a call has the facts it is given, and no history."""
    cause = psycopg.errors.AdminShutdown("terminating connection")
    error = lost(
        errors.OutcomeUnknown,
        replace(SLOW, kind=Kind.SHUTDOWN, code="57P01", hint="outcome"),
        cause,
        endpoint=DB,
        facts={"target": TARGET, "maybe_applied": True},
        ending="the statement may have been applied",
        client="psycopg",
    )
    assert isinstance(error, errors.OutcomeUnknown)
    assert isinstance(error, psycopg.errors.AdminShutdown)
    assert str(error) == (
        "orders-db: db:5432 ended the connection (57P01); the statement may have been applied"
    )
    assert error.__notes__ == [f"hint: {HINTS['outcome']}"]
    assert error.__cause__ is cause
    assert error.attempts == ()


LINES = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    text=LINES, host=LINES, target=LINES, kind=st.sampled_from(Kind), phase=st.sampled_from(Phase)
)
def test_one_line_whatever_the_strings_hold(
    text: str, host: str, target: str, kind: Kind, phase: Phase
) -> None:
    """Log lines and alerts are one line, whatever names and native messages hold."""
    failure = Failure(phase, kind, Safety.NEVER)
    drive = Drive(target=target, endpoint=Endpoint("postgresql", host, 5432))
    error = drive.run(failure, native(text))
    assert len(str(error).splitlines()) == 1
    assert error.args == (text,)


@given(st.sampled_from([f"password={SECRET}", f"postgresql://u:{SECRET}@db/x", SECRET]))
@pytest.mark.parametrize("name", ENDINGS)
def test_no_secret_in_what_is_shown(name: str, text: str) -> None:
    """What a native error holds, conninfo and all, is in no message, repr or note of ours."""
    drive, failure, *_ = ENDINGS[name]
    error = copy.deepcopy(drive).run(failure, native(text))
    shown = [str(error), repr(error), *error.__notes__]
    shown += traceback.format_exception_only(error)
    assert not any(SECRET in line for line in shown)


@pytest.mark.parametrize(
    ("client", "base"),
    [
        ("psycopg", psycopg.ProgrammingError),
        ("requests", requests.exceptions.InvalidURL),
        ("", errors.ConfigError),
    ],
)
def test_config_error(client: str, base: type[Exception]) -> None:
    """Wrong settings are the client's own kind of error, with every problem in one line."""
    error = config_error(("host: none\ngiven", "port: not a number"), client, target="db")
    assert isinstance(error, base)
    assert isinstance(error, ValueError)
    assert str(error) == "host: none given; port: not a number"
    assert error.problems == ("host: none\ngiven", "port: not a number")
    assert error.target == "db"
    assert error.__cause__ is error.__context__ is None
