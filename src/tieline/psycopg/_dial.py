"""One logical connect: where to, how long, how often. What it takes to wait is in its drivers."""

from __future__ import annotations

import math
import time
import warnings
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psycopg

from tieline import config
from tieline.engine import addresses, simulation
from tieline.engine import clock as clock_module
from tieline.engine.context import surrounding_guard, time_limit
from tieline.engine.target import target_state
from tieline.failure import Phase
from tieline.policy.call import Call
from tieline.policy.outcome import EFFECTS
from tieline.psycopg._conninfo import plan
from tieline.psycopg._parameters import Dsn
from tieline.rules import system
from tieline.rules.classes import CLASSES
from tieline.rules.libpq import Evidence, classify_connect, native_error, unresolved
from tieline.rules.phrases import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tieline.config import Resolved
    from tieline.failure import Failure
    from tieline.policy.decision import Decision, Proceed
    from tieline.policy.policy import Policy
    from tieline.psycopg._conninfo import Place

N_co = TypeVar("N_co", covariant=True)


class Startup:
    """One native attempt that is under way: its time limit, and what was seen of it.

    Attributes:
        until: The end, in ``time.monotonic()`` seconds; None for no limit.
        evidence: Filled in while libpq connects.
        entered: Whether psycopg let us look.
    """

    __slots__ = ("entered", "evidence", "until")

    def __init__(self, until: float | None) -> None:
        """Nothing was seen yet."""
        self.until = until
        self.evidence = Evidence()
        self.entered = False


startup_var: ContextVar[Startup | None] = ContextVar("tieline.psycopg.startup", default=None)


@cache
def warn_of_shape() -> None:
    """Say, once, that psycopg no longer connects by the method that we look over."""
    warnings.warn(
        f"psycopg {psycopg.__version__} connects in a way that tieline does not know: phase and "
        "cause of a failed connect are read from its message alone",
        RuntimeWarning,
        stacklevel=2,
    )


def configured(target: str | None, policy: Policy | None) -> tuple[Resolved, Dsn | None]:
    """What is configured for a target, and the DSN where there is one.

    Args:
        target: Its name.
        policy: Settings given in code.

    Raises:
        ConfigError: The environment makes no sense.
    """
    found = config.resolve("psycopg", target, policy=policy)
    return found, None if found.dsn is None else Dsn(found.dsn, str(found.origins["dsn"]))


@lru_cache(maxsize=64)
def _settled(policy: Policy, timeout: float) -> Policy:
    """The settings, with the ``connect_timeout`` that was given."""
    return policy.with_attempt_timeout(timeout if timeout > 0 else None)


class Dial(Generic[N_co]):
    """Everything that one call of ``connect`` needs to know.

    Args:
        native: The client's ``connect``.
        conninfo: As given.
        arguments: Connection parameters given by keyword.
        options: The other keywords of ``connect``.
        target: What is configured for it; its endpoints are its name where it has none.
        dsn: Where the environment says that it is.

    Raises:
        ConfigError: The parameters make no sense.
    """

    def __init__(
        self,
        native: Callable[..., N_co],
        conninfo: str,
        arguments: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        target: Resolved,
        dsn: Dsn | None,
    ) -> None:
        """Read the parameters; nothing is sent."""
        found = plan(conninfo, arguments, dsn)
        self._policy = target.policy
        if found.timeout is not None:
            self._policy = _settled(self._policy, found.timeout)
        self._native = native
        self._conninfo = found.conninfo
        self._keywords = {**options, **arguments}
        if found.timeout is not None and found.timeout % 1:
            # psycopg's own limit, which cuts fractions off, must not come before ours.
            self._keywords["connect_timeout"] = math.ceil(found.timeout)
        self._places = found.in_order(clock_module.active.draw)
        self._balanced = found.balanced
        self._failure: Failure | None = None
        self.state = target_state(target.name or found.name, self._policy)
        self._lanes = [self.state.lane(place.endpoint) for place in self._places]
        self._started = clock_module.active.now()

    def start(self) -> tuple[Call, Decision]:
        """Begin with every question asked from the start."""
        call = self.call()
        return call, self.state.step(call, call.start)

    def call(self) -> Call:
        """The state machine of this connect. It is safe to repeat: nothing is requested yet."""
        outer = surrounding_guard()
        return Call(
            self.state.name,
            self._policy,
            self._lanes,
            self.state.budget,
            started=self._started,
            deadline=time_limit(),
            idempotent=True,
            outer_repeats=None if outer is None else outer.may_repeat,
        )

    def begin(self, proceed: Proceed) -> tuple[Place, float | None]:
        """The place to try, and until when, in ``time.monotonic()`` seconds."""
        self._failure = simulation.next_failure("psycopg")
        if self._failure is not None:
            raise native_error(
                CLASSES[self._failure.phase, self._failure.kind],
                f"simulated: {describe(self._failure, proceed.endpoint)}",
            )
        until = None if proceed.timeout is None else time.monotonic() + proceed.timeout
        return self._places[proceed.lane], until

    def shares(
        self, place: Place, found: Sequence[str], until: float | None
    ) -> Iterator[tuple[str, float | None, bool]]:
        """Each address of a name, until when to try it, and whether it is the last.

        What is left of the time is shared among those that are left, so that a dead one costs
        its share and no more.
        """
        ordered = addresses.in_order(place.name or "", place.endpoint.port, found)
        if self._balanced:
            ordered.sort(key=lambda _: clock_module.active.draw())
        for left in range(len(ordered), 0, -1):
            now = time.monotonic()
            share = None if until is None else now + (until - now) / left
            yield ordered[-left], share, left == 1

    def native(self, parameters: Mapping[str, str]) -> N_co:
        """What the client's own ``connect`` returns."""
        return self._native(self._conninfo, **{**self._keywords, **parameters})

    def answered(self, place: Place, address: str) -> None:
        """An address of a name answered."""
        addresses.remember(place.name or "", place.endpoint.port, address)

    def not_resolved(self, place: Place, error: Exception) -> Exception:
        """What the client raises when a name does not resolve."""
        self._failure = system.classify(error, Phase.RESOLVE)
        return unresolved(place.name or "", error)

    def not_connected(self, error: Exception, startup: Startup) -> None:
        """Remember what a native attempt failed of."""
        self._failure = classify_connect(error, startup.evidence)
        if self._failure is not None and not startup.entered:
            warn_of_shape()

    def goes_on(self) -> bool:
        """Whether another address may do better."""
        return self._failure is not None and EFFECTS[self._failure.kind].elsewhere

    def classify(self, _error: Exception) -> Failure | None:
        """What the last attempt failed of."""
        return self._failure
