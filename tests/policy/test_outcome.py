"""The outcome table, row by row, through a real call with a real breaker and budget."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import NamedTuple

import pytest

from tests.policy.world import REFUSED, START, TIMEOUT, World, sent, unsent
from tieline.errors import DeadlineExceeded
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.breaker import CircuitBreaker, State
from tieline.policy.decision import Proceed, Raise, Sleep
from tieline.policy.outcome import EFFECTS, Mark
from tieline.policy.policy import Policy
from tieline.policy.retry import Reason, Retry
from tieline.rules import sqlstate, system

FAILURE, NEUTRAL, SUCCESS = Mark.FAILURE, Mark.NEUTRAL, Mark.SUCCESS


class Row(NamedTuple):
    name: str
    failure: Failure
    breaker: Mark
    cost: float
    repeated: bool
    """Without a word from the caller."""
    keyed: bool
    """When the caller says that repeating does no harm."""
    least: float = 0.0
    most: float = 5.0
    """Bounds of the first wait."""


def native(error: BaseException, phase: Phase) -> Failure:
    """What the system said, as the rules see it."""
    failure = system.classify(error, phase)
    assert failure is not None
    return failure


def sql(code: str, phase: Phase) -> Failure:
    """What PostgreSQL said, as the rules see it."""
    return sqlstate.lookup(code).failure(phase, code=code)


def http(kind: Kind, safety: Safety, retry_after: float | None = None) -> Failure:
    """What an HTTP server said."""
    return Failure(Phase.RECEIVE, kind, safety, retry_after=retry_after)


REFUSED_BY_KERNEL = native(ConnectionRefusedError(errno.ECONNREFUSED, ""), Phase.CONNECT)
NO_ROUTE = native(OSError(errno.EHOSTUNREACH, ""), Phase.CONNECT)
NO_NAME_SERVICE = native(socket.gaierror(socket.EAI_AGAIN, ""), Phase.RESOLVE)
NO_NAME = native(socket.gaierror(socket.EAI_NONAME, ""), Phase.RESOLVE)
BAD_CERTIFICATE = native(ssl.SSLCertVerificationError(), Phase.TLS)
COMMIT_LOST = Failure(Phase.RECEIVE, Kind.EOF, Safety.NEVER, maybe_applied=True)

ROWS = (
    Row("refused", REFUSED_BY_KERNEL, FAILURE, 0, True, True),
    Row("unreachable", NO_ROUTE, FAILURE, 0, True, True),
    Row("name service silent", NO_NAME_SERVICE, FAILURE, 0, True, True),
    Row("no such name", NO_NAME, NEUTRAL, 0, False, False),
    Row("bad certificate", BAD_CERTIFICATE, NEUTRAL, 0, False, False),
    Row("wrong password", sql("28P01", Phase.HANDSHAKE), NEUTRAL, 0, False, False),
    Row("no such database", sql("3D000", Phase.HANDSHAKE), NEUTRAL, 0, False, False),
    Row("connect timeout", unsent(Kind.TIMEOUT), FAILURE, 1, True, True),
    Row("TLS handshake timeout", unsent(Kind.TIMEOUT, Phase.TLS), FAILURE, 1, True, True),
    Row("kept, dead, unsent", unsent(Kind.STALE, Phase.SEND), NEUTRAL, 0, True, True, 0, 0),
    Row("kept, dead, sent", sent(Kind.STALE), NEUTRAL, 0, False, True, 0, 0),
    Row("read timeout", sent(Kind.TIMEOUT), FAILURE, 1, False, True),
    Row("reset after send", sent(Kind.RESET), FAILURE, 1, False, True),
    Row("503", http(Kind.NOT_READY, Safety.IF_IDEMPOTENT), FAILURE, 1, False, True, 0.5, 1),
    Row("503 + hint", http(Kind.NOT_READY, Safety.ALWAYS, 7), FAILURE, 1, True, True, 7, 7.5),
    Row("57P01", sql("57P01", Phase.HANDSHAKE), FAILURE, 1, True, True),
    Row("57P01, sent", sql("57P01", Phase.RECEIVE), FAILURE, 1, False, True),
    Row("57P03", sql("57P03", Phase.HANDSHAKE), FAILURE, 1, True, True, 0.5, 1),
    Row("500", http(Kind.SERVER_ERROR, Safety.NEVER), FAILURE, 1, False, False),
    Row("501", http(Kind.UNSUPPORTED, Safety.NEVER), NEUTRAL, 1, False, False),
    Row("408", http(Kind.REQUEST_TIMEOUT, Safety.IF_IDEMPOTENT), NEUTRAL, 1, False, True),
    Row("429", http(Kind.BUSY, Safety.ALWAYS), NEUTRAL, 1, True, True, 1, 2),
    Row("429 + hint", http(Kind.BUSY, Safety.ALWAYS, 3), NEUTRAL, 1, True, True, 3, 4),
    Row("53300", sql("53300", Phase.HANDSHAKE), NEUTRAL, 1, True, True, 1, 2),
    Row("404", http(Kind.ANSWERED, Safety.NEVER), SUCCESS, -0.1, False, False),
    Row("unique violation", sql("23505", Phase.RECEIVE), SUCCESS, -0.1, False, False),
    Row("40001", sql("40001", Phase.RECEIVE), SUCCESS, 1, False, True),
    Row("40P01", sql("40P01", Phase.RECEIVE), SUCCESS, 1, False, True),
    Row("COMMIT lost", COMMIT_LOST, FAILURE, 1, False, False),
    Row("a standby", sql("25006", Phase.RECEIVE), NEUTRAL, 0, True, True),
    Row("no descriptors", native(OSError(errno.EMFILE, ""), Phase.CONNECT), NEUTRAL, 0, True, True),
    Row("garbage", unsent(Kind.PROTOCOL, Phase.HANDSHAKE), FAILURE, 1, True, True),
    Row("unknown", unsent(Kind.UNKNOWN, Phase.HANDSHAKE), FAILURE, 1, True, True),
)
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@rows
def test_breaker_counts(row: Row) -> None:
    """A failure counts, an answer clears the count, anything else leaves it."""
    world = World()
    world.once(REFUSED)
    world.once(row.failure)
    assert world.breaker.failures == {FAILURE: 2, NEUTRAL: 1, SUCCESS: 0}[row.breaker]


@rows
def test_budget_loses(row: Row) -> None:
    """Only what may have loaded a server costs a token; an answer pays in."""
    world = World()
    world.budget.drain(2)
    world.once(row.failure)
    assert world.budget.tokens == pytest.approx(8 - row.cost)


@rows
@pytest.mark.parametrize("idempotent", [False, True])
def test_repeated(row: Row, idempotent: bool) -> None:
    """It is repeated when that is safe and can help, and not before the failure may pass."""
    wanted = row.keyed if idempotent else row.repeated
    for draw in (0.0, 0.999):
        decision = World(draw=lambda draw=draw: draw).once(row.failure, idempotent=idempotent)
        if not wanted:
            assert isinstance(decision, Raise)
            assert decision.error is None
            assert decision.reason in {Reason.SENT, Reason.HOPELESS}
        elif row.most == 0:
            assert isinstance(decision, Proceed)
        else:
            assert isinstance(decision, Sleep) or draw == 0
            waits = decision.seconds if isinstance(decision, Sleep) else 0.0
            assert row.least <= waits <= row.most


@pytest.mark.parametrize(("failure", "longer"), [(REFUSED, False), (TIMEOUT, True)])
def test_refusals_keep_probing(failure: Failure, longer: bool) -> None:
    """A server that refuses is probed at the first pace, one that hangs less and less often."""
    world = World(Policy(breaker=CircuitBreaker(failures=1, jitter=0.0), budget=None))
    for _ in range(4):
        world.once(failure)
        wait = world.breaker.open_for(world.now)
        world.now += wait
    assert wait == (8.0 if longer else 1.0)


def test_table_is_total() -> None:
    """Every kind has a row."""
    assert set(EFFECTS) == set(Kind)


def test_credentials_are_offered_once() -> None:
    """A wrong password is not tried at the other hosts of the target."""
    assert [kind for kind, effect in EFFECTS.items() if not effect.elsewhere] == [Kind.DENIED]


def test_stale_is_repeated_once() -> None:
    """A dead kept connection is replaced at once, a second one in the same call is not."""
    world = World(Policy(retry=Retry(max_attempts=None)))
    call = world.call()
    world.start(call)
    stale = unsent(Kind.STALE, Phase.SEND)
    assert world.fail(call, stale) == Proceed(2, world.lanes[0].endpoint, 5.0, 0)
    assert world.fail(call, stale) == Raise(None, Reason.ATTEMPTS)


def test_stale_asks_no_budget() -> None:
    """The replacement of a dead kept connection is no retry: an empty budget allows it."""
    world = World()
    world.budget.drain(10)
    assert isinstance(world.once(unsent(Kind.STALE, Phase.SEND)), Proceed)


def test_stale_does_not_reset_backoff_draws() -> None:
    """After the free repetition the next failure waits as a second attempt does."""
    world = World(draw=lambda: 0.999)
    call = world.call()
    world.start(call)
    world.fail(call, unsent(Kind.STALE, Phase.SEND))
    decision = world.fail(call, REFUSED)
    assert isinstance(decision, Sleep)
    assert 0.1 < decision.seconds < 0.2


@pytest.mark.parametrize(
    ("limit", "failures", "tokens"),
    [(2.4, 0, 10.0), (2.5, 1, 9.0), (2.6, 1, 9.0)],
    ids=["below half an attempt", "half an attempt", "above half an attempt"],
)
def test_callers_short_deadline(limit: float, failures: int, tokens: float) -> None:
    """A caller who gave less than half of an attempt's time proves nothing against the server."""
    world = World()
    call = world.call(deadline=START + limit)
    assert world.start(call).timeout == pytest.approx(limit)
    decision = world.fail(call, TIMEOUT, after=limit)
    assert decision == Raise(DeadlineExceeded, Reason.DEADLINE)
    assert world.breaker.failures == failures
    assert world.budget.tokens == tokens


def test_short_deadline_without_timeouts() -> None:
    """Where the policy knows no time at all, a caller's deadline proves nothing."""
    world = World(Policy(call_timeout=None, attempt_timeout=None))
    call = world.call(deadline=START + 3600)
    world.start(call)
    world.fail(call, TIMEOUT, after=3600)
    assert (world.breaker.failures, world.budget.tokens) == (0, 10.0)


def test_own_total_is_evidence() -> None:
    """A server that is silent for the policy's own total is counted, also without a timeout."""
    world = World(Policy(call_timeout=10, attempt_timeout=None))
    call = world.call()
    world.start(call)
    assert world.fail(call, TIMEOUT, after=10).error is DeadlineExceeded
    assert (world.breaker.failures, world.budget.tokens) == (1, 9.0)


def test_refusal_in_a_hurry_counts() -> None:
    """A short deadline excuses silence, not a refusal."""
    world = World()
    call = world.call(deadline=START + 0.01)
    world.start(call)
    assert world.fail(call, REFUSED) == Raise(None, Reason.DEADLINE)
    assert world.breaker.failures == 1


def test_timer_a_little_early() -> None:
    """A client's timer that goes off a millisecond early was still ended by the deadline."""
    world = World()
    call = world.call(deadline=START + 1)
    world.start(call)
    assert world.fail(call, TIMEOUT, after=0.999).error is DeadlineExceeded
    assert world.breaker.failures == 0


def test_server_timeout_is_not_ours() -> None:
    """A timeout that comes well before the deadline is the failure itself."""
    world = World()
    call = world.call(deadline=START + 1)
    world.start(call)
    assert isinstance(world.fail(call, TIMEOUT, after=0.5), Sleep)
    assert world.breaker.failures == 1


@pytest.mark.parametrize("failures_before", [0, 2])
def test_cancellation_is_neutral(failures_before: int) -> None:
    """A cancelled attempt changes neither the breaker nor the budget."""
    world = World()
    for _ in range(failures_before):
        world.once(REFUSED)
    call = world.call()
    world.start(call)
    world.abandon(call)
    assert world.breaker.failures == failures_before
    assert world.budget.tokens == 10.0


def test_cancelled_probe_returns_its_permit() -> None:
    """After a cancelled probe the next caller may probe at once."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    world.trip()
    world.now += 1
    call = world.call()
    assert isinstance(world.start(call), Proceed)
    assert isinstance(world.once(None), Raise)
    world.abandon(call)
    assert isinstance(world.start(world.call()), Proceed)
    assert world.breaker.state is State.HALF_OPEN


def test_busy_does_not_close_a_breaker() -> None:
    """A probe that meets a busy server neither closes the breaker nor counts as failed."""
    world = World(Policy(breaker=CircuitBreaker(failures=1)))
    world.trip()
    world.now += 1
    world.once(unsent(Kind.BUSY, Phase.HANDSHAKE))
    assert world.breaker.state is State.HALF_OPEN
    assert world.breaker.would_admit(world.now)
