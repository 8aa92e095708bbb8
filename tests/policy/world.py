"""A call with real breakers and a real budget, on a clock that the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.endpoint import Endpoint
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.breaker import BreakerState
from tieline.policy.budget import BudgetState
from tieline.policy.call import Call
from tieline.policy.decision import Decision, Lane, Proceed, Sleep
from tieline.policy.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.policy.gate import Snapshot

START = 1000.0


def middle() -> float:
    """A draw that leaves open times as they are: half of any jitter, no spread."""
    return 0.5


def unsent(kind: Kind, phase: Phase = Phase.CONNECT, **facts) -> Failure:
    """A failure before anything of a request was sent."""
    return Failure(phase, kind, Safety.ALWAYS, **facts)


def sent(kind: Kind, **facts) -> Failure:
    """A failure after the request was sent."""
    return Failure(Phase.RECEIVE, kind, Safety.IF_IDEMPOTENT, maybe_applied=True, **facts)


REFUSED = unsent(Kind.REFUSED)
DENIED = Failure(Phase.HANDSHAKE, Kind.DENIED, Safety.NEVER)
LOST = sent(Kind.RESET)
TIMEOUT = unsent(Kind.TIMEOUT)


class World:
    """One target: its lanes, its budget, the time."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        lanes: int = 1,
        draw: Callable[[], float] = middle,
    ) -> None:
        self.policy = Policy() if policy is None else policy
        self.now = START
        self.draw = draw
        self.news: Snapshot | None = None
        breaker = self.policy.breaker
        self.breakers = [None if breaker is None else BreakerState(breaker) for _ in range(lanes)]
        self.lanes = [
            Lane(Endpoint("tcp", f"host-{number}", 1), state)
            for number, state in enumerate(self.breakers)
        ]
        self.budget = None if self.policy.budget is None else BudgetState(self.policy.budget)

    @property
    def breaker(self) -> BreakerState:
        """The breaker of the first lane."""
        breaker = self.breakers[0]
        assert breaker is not None
        return breaker

    def call(self, **options) -> Call:
        """A new call, not begun."""
        options = {"health": lambda: self.news, **options}
        return Call("t", self.policy, self.lanes, self.budget, started=self.now, **options)

    def start(self, call: Call) -> Decision:
        """Begin the call."""
        return call.start(self.now, self.draw)

    def fail(self, call: Call, failure: Failure, *, after: float = 0.0) -> Decision:
        """Let the attempt under way fail, so many seconds later."""
        self.now += after
        return call.failed(failure, self.now, self.draw)

    def succeed(self, call: Call) -> None:
        """Let the attempt under way succeed."""
        call.succeeded(self.now, self.draw)

    def abandon(self, call: Call) -> None:
        """Cancel the attempt under way."""
        call.abandoned(self.now, self.draw)

    def wake(self, call: Call, decision: Decision) -> Decision:
        """Sleep as told."""
        assert isinstance(decision, Sleep), decision
        self.now += decision.seconds
        return call.woke(self.now, self.draw)

    def once(self, failure: Failure | None, **options) -> Decision | None:
        """A call of one attempt: what follows its failure; success where there is none."""
        call = self.call(**options)
        decision = self.start(call)
        if not isinstance(decision, Proceed):
            return decision
        if failure is None:
            return self.succeed(call)
        return self.fail(call, failure)

    def trip(self) -> None:
        """Open the breaker of every lane."""
        for breaker in self.breakers:
            while breaker.state == "closed":
                breaker.failed(breaker.admit(self.now, 1, self.draw), self.now, self.draw)
