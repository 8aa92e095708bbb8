"""One logical connect: where to, how long, how often; the native call is an argument."""

from __future__ import annotations

import time
import warnings
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psycopg

from tieline.engine import clock as clock_module
from tieline.engine import resolver, simulation
from tieline.engine.context import surrounding_guard, time_limit
from tieline.engine.sync import drive
from tieline.engine.target import target_state
from tieline.failure import Phase
from tieline.policy.call import Call
from tieline.policy.defaults import DEFAULTS
from tieline.policy.outcome import EFFECTS
from tieline.psycopg import _conninfo
from tieline.rules import system
from tieline.rules.classes import CLASSES
from tieline.rules.libpq import Evidence, classify_connect, native_error, unresolved
from tieline.rules.phrases import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tieline.failure import Failure
    from tieline.policy.decision import Proceed
    from tieline.policy.policy import Policy

C = TypeVar("C")


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


class Dial(Generic[C]):
    """Everything that one call of ``connect`` needs to know.

    Args:
        native: The client's ``connect``.
        conninfo: As given.
        arguments: Connection parameters given by keyword.
        options: The other keywords of ``connect``.
        target: Name of the target; None for its endpoints.
        policy: The settings; None for the client's defaults.

    Raises:
        ConfigError: The parameters make no sense.
    """

    def __init__(
        self,
        native: Callable[..., C],
        conninfo: str,
        arguments: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        target: str | None,
        policy: Policy | None,
    ) -> None:
        """Read the parameters; nothing is sent."""
        parameters = _conninfo.parse(conninfo, arguments)
        self._native = native
        self._conninfo = conninfo
        self._keywords = {**options, **arguments}
        self._places = _conninfo.places(parameters, clock_module.active.draw)
        self._policy = policy or DEFAULTS["psycopg"]
        timeout = _conninfo.connect_timeout(parameters)
        if timeout is not None:
            self._policy = self._policy.with_attempt_timeout(timeout if timeout > 0 else None)
        self._balanced = _conninfo.is_balanced(parameters)
        self._failure: Failure | None = None
        names = dict.fromkeys(str(place.endpoint) for place in self._places)
        self._state = target_state(target or ",".join(names), self._policy)

    def connect(self) -> C:
        """Connect as the policy says.

        Raises:
            TielineError: One of its classes, which is a ``psycopg.OperationalError`` too.
        """
        outer = surrounding_guard()
        call = Call(
            self._state.name,
            self._policy,
            [self._state.lane(place.endpoint) for place in self._places],
            self._state.budget,
            started=clock_module.active.now(),
            deadline=time_limit(),
            idempotent=True,
            outer_repeats=None if outer is None else outer.may_repeat,
        )
        decision = self._state.step(call, call.start)
        return drive(self._state, call, decision, self._attempt, self._classify, client="psycopg")

    def _attempt(self, proceed: Proceed) -> C:
        """Try one endpoint: all its addresses, which share the time."""
        self._failure = simulation.next_failure("psycopg")
        if self._failure is not None:
            raise native_error(
                CLASSES[self._failure.phase, self._failure.kind],
                f"simulated: {describe(self._failure, proceed.endpoint)}",
            )
        place = self._places[proceed.lane]
        until = None if proceed.timeout is None else time.monotonic() + proceed.timeout
        if place.name is None:
            return self._connect(place.parameters, until)
        addresses = self._resolve(place.name, proceed)
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            now = time.monotonic()
            share = None if until is None else now + (until - now) / left
            try:
                return self._connect({**place.parameters, "hostaddr": address}, share)
            except Exception as error:
                failure = self._classify(error)
                if left == 1 or failure is None or not EFFECTS[failure.kind].elsewhere:
                    raise
        raise AssertionError("a name that resolves has addresses")

    def _resolve(self, name: str, proceed: Proceed) -> list[str]:
        port = None if proceed.endpoint is None else proceed.endpoint.port
        try:
            addresses = resolver.shared.resolve(name, port, proceed.timeout)
        except Exception as error:
            self._failure = system.classify(error, Phase.RESOLVE)
            native = unresolved(name, error)
            if native is error:
                raise
            raise native from error
        if self._balanced:
            addresses = sorted(addresses, key=lambda _: clock_module.active.draw())
        return addresses

    def _connect(self, parameters: Mapping[str, str], until: float | None) -> C:
        startup = Startup(until)
        token = startup_var.set(startup)
        try:
            return self._native(self._conninfo, **{**self._keywords, **parameters})
        except Exception as error:
            self._failure = classify_connect(error, startup.evidence)
            if self._failure is not None and not startup.entered:
                warn_of_shape()
            raise
        finally:
            startup_var.reset(token)

    def _classify(self, _error: Exception) -> Failure | None:
        return self._failure
