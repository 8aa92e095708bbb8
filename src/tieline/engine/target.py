"""The mutable state of the targets of this process, shared by all threads and event loops."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from tieline.engine import clock as clock_module
from tieline.engine.listeners import emit
from tieline.policy.breaker import BreakerState
from tieline.policy.budget import BudgetState
from tieline.policy.decision import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.endpoint import Endpoint
    from tieline.engine.clock import Clock
    from tieline.events import Event
    from tieline.policy.breaker import CircuitBreaker
    from tieline.policy.budget import Budget
    from tieline.policy.call import Call
    from tieline.policy.policy import Policy

T = TypeVar("T")

MAX_TARGETS = 1024
"""States kept although nothing uses them; beyond it, the one asked for longest ago is let go."""


class Teller(Protocol):
    """Whoever makes a move has something to tell of it."""

    def take_events(self) -> list[Event]:
        """What has happened since the last time this was asked."""
        ...


class TargetState:
    """Breakers and budget of one target.

    One short lock guards them. It is held for one decision, never during an attempt, a sleep or
    a listener.

    Args:
        name: Name of the target.
        breaker: Settings for the breaker of each endpoint; None for no breakers.
        budget: Settings of the one budget; None for no budget.

    Attributes:
        unsettled: Calls whose permits are still to be taken back.
    """

    __slots__ = ("__weakref__", "_breaker", "_lanes", "_lock", "budget", "name", "unsettled")

    def __init__(self, name: str, breaker: CircuitBreaker | None, budget: Budget | None) -> None:
        """Start with every breaker closed and the budget full."""
        self.name = name
        self.budget = None if budget is None else BudgetState(budget, clock_module.active.now())
        self._breaker = breaker
        self._lanes: dict[Endpoint | None, Lane] = {}
        self._lock = threading.Lock()
        self.unsettled: deque[Call] = deque()

    def lane(self, endpoint: Endpoint | None) -> Lane:
        """The endpoint with its breaker."""
        lane = self._lanes.get(endpoint)
        if lane is None:
            now = clock_module.active.now()
            breaker = None if self._breaker is None else BreakerState(self._breaker, now)
            lane = self._lanes.setdefault(endpoint, Lane(endpoint, breaker))
        return lane

    def step(self, call: Teller, move: Callable[[float, Callable[[], float]], T]) -> T:
        """Let the call make one move, then tell the listeners what came of it.

        Args:
            call: A call to this target, or a loop over calls.
            move: Takes the time and a source of randomness; one of the call's methods.
        """
        clock = clock_module.active
        with self._lock:
            heard = self._settle(clock) if self.unsettled else []
            outcome = move(clock.now(), clock.draw)
        emit(heard + call.take_events())
        return outcome

    def abandon(self, call: Call) -> None:
        """The attempt of this call was cancelled, or ended in a way that says nothing.

        The garbage collector closes coroutines in the middle of anything, on a thread that may
        hold the lock right then. So this waits for no lock: whoever asks next settles it first.
        """
        self.unsettled.append(call)
        if self._lock.acquire(blocking=False):
            try:
                heard = self._settle(clock_module.active)
            finally:
                self._lock.release()
            emit(heard)

    def _settle(self, clock: Clock) -> list[Event]:
        """Take the permits of abandoned calls back, with the lock held."""
        heard: list[Event] = []
        while self.unsettled:
            call = self.unsettled.popleft()
            call.abandoned(clock.now(), clock.draw)
            heard += call.take_events()
        return heard

    def reset(self) -> None:
        """Close every breaker and fill the budget."""
        now = clock_module.active.now()
        with self._lock:
            for lane in self._lanes.values():
                lane.seen.answered = None
                if lane.breaker is not None:
                    lane.breaker.reset(now)
            if self.budget is not None:
                self.budget.reset(now)

    def after_fork(self) -> None:
        """Replace a lock that some thread of the parent may have held."""
        self._lock = threading.Lock()


_Key = tuple[str, "CircuitBreaker | None", "Budget | None"]
_states: WeakValueDictionary[_Key, TargetState] = WeakValueDictionary()
"""Every state that is in use or kept: guarded functions hold theirs for as long as they live."""
_kept: OrderedDict[_Key, TargetState] = OrderedDict()
_lock = threading.Lock()


def target_state(name: str, policy: Policy) -> TargetState:
    """The state of the target of that name.

    Clients that name the same target share one state, provided that they agree on its breaker
    and budget; otherwise each setting has a state of its own.
    """
    key = (name, policy.breaker, policy.budget)
    with _lock:
        state = _states.get(key)
        if state is None:
            state = _states[key] = TargetState(*key)
        _kept[key] = state
        _kept.move_to_end(key)
        if len(_kept) > MAX_TARGETS:
            _kept.popitem(last=False)
    return state


def reset_targets() -> None:
    """Close every breaker and fill every budget, as at the start of the process; for tests."""
    with _lock:
        states = list(_states.values())
    for state in states:
        state.reset()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _lock = threading.Lock()
    for state in list(_states.values()):
        state.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
