"""Functions that make several calls: what one of them sent, no later failure makes unsent."""

from __future__ import annotations

import contextlib
import contextvars
from dataclasses import dataclass
from enum import Enum, auto

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tieline
from tests.policy.world import LOST
from tieline import psycopg
from tieline.engine.context import surrounding_guard
from tieline.testing import FaultServer, ManualClock, reset_targets, simulate
from tieline.testing.faults import Refuse


class Inner(Enum):
    """How a tieline call inside the function ends."""

    APPLIED = auto()
    """A request was sent and answered, as a POST that created something."""
    CONNECTED = auto()
    """A connection was made, and nothing was asked of it."""
    REFUSED = auto()
    """Nobody accepted; the drop-in leaves repeating to the guard, if that may."""
    LOST = auto()
    """A request was sent, and no answer came."""


@dataclass
class World:
    """What happened, in order: the number of the attempt and the call inside it."""

    happened: list[tuple[int, Inner]]
    attempts: int = 0

    def run(self, script: list[list[Inner]]) -> str:
        """One attempt of the function: the calls that the script has for it."""
        self.attempts += 1
        for call in script[self.attempts - 1] if self.attempts <= len(script) else []:
            self.happened.append((self.attempts, call))
            if call is Inner.REFUSED:
                with simulate(psycopg, tieline.Refused):
                    psycopg.connect("host=127.0.0.1", target=f"inner-{len(self.happened)}")
            scope = surrounding_guard()
            assert scope is not None
            if call in (Inner.APPLIED, Inner.LOST):
                scope.mark_sent()
            if call is Inner.LOST:
                raise tieline.ConnectionLost("lost", failure=LOST, maybe_applied=True)
        return "done"


SCRIPTS = st.lists(st.lists(st.sampled_from(Inner), max_size=4), max_size=5)
POLICY = tieline.Policy(
    call_timeout=None, attempt_timeout=None, breaker=None, retry=tieline.Retry(max_attempts=5)
)


@given(SCRIPTS, st.booleans())
def test_what_was_sent_is_never_sent_again(script: list[list[Inner]], idempotent: bool) -> None:
    """A function is run again only while nothing was sent on any attempt, or it is idempotent."""
    world = World([])
    reset_targets()
    with ManualClock():
        guarded = tieline.guard("several-calls", policy=POLICY, idempotent=idempotent)(world.run)
        with contextlib.suppress(tieline.TielineError):
            guarded(script)
    first_sent = min(
        (number for number, call in world.happened if call in (Inner.APPLIED, Inner.LOST)),
        default=world.attempts,
    )
    assert idempotent or world.attempts == first_sent
    assert world.attempts <= 5


def test_post_applied_then_get_refused() -> None:
    """The plain case of it: what was created once is not created twice."""
    world = World([])
    with ManualClock(), pytest.raises(tieline.Refused):
        tieline.guard("post-then-get", policy=POLICY)(world.run)([[Inner.APPLIED, Inner.REFUSED]])
    assert world.attempts == 1


def test_an_hour_after_the_deadline() -> None:
    """A worker that was started inside a deadline reconnects an hour later, unbound by it."""
    with ManualClock() as clock, FaultServer(Refuse()) as server:
        conninfo = f"host={server.host} port={server.port}"
        with tieline.deadline(2.0):
            # What a thread or task started here would run in.
            inherited = contextvars.copy_context()
        clock.advance(3600)
        with pytest.raises(tieline.Refused) as caught:
            inherited.run(psycopg.connect, conninfo, target="an-hour-later")
    assert len(caught.value.attempts) == 4
    assert sum(clock.sleeps) > 0
