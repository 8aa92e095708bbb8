"""The circuit breaker: stop calling what keeps failing, and find out cheaply when it is back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tieline.policy.checks import number
from tieline.policy.units import Seconds  # noqa: TC001 - config asks for it at run time
from tieline.policy.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Settings of a circuit breaker: two rules that open it, and for how long.

    Consecutive failures find a dead server soonest; the rate finds one that fails every other
    call. Most libraries want 100 calls before they look at a rate, which a Python process with one
    call a second never has in time.

    Attributes:
        failures: Consecutive failures that open it.
        rate: Part of the calls in the window, in (0, 1], that opens it when it fails; None for
            consecutive failures alone.
        min_calls: Calls that must be in the window before the rate counts. As many as
            ``failures``, where that is more: who puts up with 20 failures in a row means it.
        window: Seconds that the rate looks back.
        open_for: Seconds it stays open the first time; doubles with each failed probe that cost
            the server something. One that was refused cost it nothing, and waiting longer each
            time would only put off the first answer after a long outage.
        open_max: Longest such time, in seconds, before the jitter.
        jitter: Each open time is changed at random by up to this fraction, so that the clients
            of one server do not probe it in the same instant.
    """

    failures: int = 5
    rate: float | None = 0.5
    min_calls: int = 10
    window: Seconds = 30.0
    open_for: Seconds = 1.0
    open_max: Seconds = 30.0
    jitter: float = 0.2

    def problems(self) -> Iterator[str]:
        """What is wrong with these settings."""
        yield from number("breaker.failures", self.failures, least=1, whole=True)
        yield from number("breaker.rate", self.rate, least=0, most=1, exclusive=True, optional=True)
        yield from number("breaker.min_calls", self.min_calls, least=1, whole=True)
        yield from number("breaker.window", self.window, least=0, exclusive=True, unit="seconds")
        yield from number(
            "breaker.open_for", self.open_for, least=0, exclusive=True, unit="seconds"
        )
        yield from number(
            "breaker.open_max", self.open_max, least=0, exclusive=True, unit="seconds"
        )
        yield from number("breaker.jitter", self.jitter, least=0, below=1)


class State(StrEnum):
    """The three states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


_CLOSED = State.CLOSED


class Permit(NamedTuple):
    """Leave to make one attempt.

    Attributes:
        generation: The breaker's generation when it was given; results of an older one are void.
        probe: Whether this attempt decides if the breaker closes.
    """

    generation: int
    probe: bool


class Refusal(NamedTuple):
    """No leave.

    Attributes:
        retry_after: Seconds until asking again makes sense.
    """

    retry_after: float


MAX_NEUTRAL_PROBES = 3
"""Probes of one open period that may end without a verdict.

With the last of them the breaker opens again: a loop of cancelled calls must not become a flood of
probes.
"""


class BreakerState:
    """One breaker.

    Every change of state begins a new generation, and results that belong to an older one are
    dropped. In the half-open state one probe at a time holds a lease; a lease that runs out
    counts as a failed probe, so that a call that never returns cannot keep the breaker half-open.

    Args:
        settings: Thresholds and times.
        since: The time, so that successes are spread over the right time from the start; None
            where it is not known.

    Attributes:
        state: Closed, open or half-open.
        generation: Grows with every change of state.
        failures: Failures in a row; after the rate has opened it, those in the window.
        successes: Successes of whoever found it `quiet`, did without a permit and a lock, and
            added one here. It only grows, and may lose an update when two threads add at once.
    """

    __slots__ = (
        "_lease_ends",
        "_neutral_probes",
        "_open_time",
        "_opened_at",
        "_probation_ends",
        "_settings",
        "_until",
        "_window",
        "failures",
        "generation",
        "state",
        "successes",
    )

    def __init__(self, settings: CircuitBreaker, since: float | None = None) -> None:
        """Start closed."""
        self._settings = settings
        self._window = None if settings.rate is None else Window(settings.window)
        self.generation = 0
        self.successes = 0
        self.reset(since)

    def reset(self, now: float | None = None) -> None:
        """Close, and forget everything but the generation: results still under way are void."""
        self.generation += 1
        self.state = State.CLOSED
        self.failures = 0
        self._open_time = 0.0
        self._opened_at = 0.0
        self._until = 0.0
        self._lease_ends: float | None = None
        self._neutral_probes = 0
        self._probation_ends: float | None = None
        self._forget_calls(now)

    @property
    def quiet(self) -> bool:
        """Closed with nothing to forget: all that success changes is `successes`."""
        return self.state is State.CLOSED and self.failures == 0

    def admit(self, now: float, lease: float, draw: Callable[[], float]) -> Permit | Refusal:
        """Ask for leave to make one attempt.

        Args:
            now: The time.
            lease: Seconds after which a probe that has not reported counts as failed.
            draw: Source of randomness.
        """
        if self.state is State.CLOSED:
            return Permit(self.generation, probe=False)
        if self._lease_ends is not None:
            if now < self._lease_ends:
                return Refusal(self._lease_ends - now)
            # It failed when its lease ran out, however long nobody has asked since.
            self.failures += 1
            self._open(self._lease_ends, draw)
        if now < self._until:
            return Refusal(self._until - now)
        if self.state is State.OPEN:
            self._enter(State.HALF_OPEN)
            self._neutral_probes = 0
        self._lease_ends = now + lease
        return Permit(self.generation, probe=True)

    def would_admit(self, now: float) -> bool:
        """Whether an attempt at that time is sure to get leave, as things stand."""
        if self.state is State.CLOSED:
            return True
        return self._lease_ends is None and now >= self._until

    def succeeded(self, permit: Permit, now: float) -> None:
        """The attempt succeeded, or proved the server alive."""
        if permit.generation != self.generation:
            return
        if permit.probe:
            self._enter(State.CLOSED)
            self._forget_calls(now)
            # On probation: one short of the threshold, so that a relapse opens it at once.
            self.failures = self._settings.failures - 1
            self._probation_ends = now + self._settings.open_for
            return
        if self._window is not None:
            self._window.record(now, failed=False, elsewhere=self.successes)
        if not self._on_probation(now):
            self.failures = 0

    def failed(
        self, permit: Permit, now: float, draw: Callable[[], float], *, strained: bool = True
    ) -> None:
        """The attempt failed in a way that speaks against the server.

        Args:
            permit: As it was given.
            now: The time.
            draw: Source of randomness.
            strained: Whether it cost the server something.
        """
        if permit.generation != self.generation:
            return
        self._on_probation(now)
        self.failures += 1
        if permit.probe or self.failures >= self._settings.failures:
            self._open(now, draw, grow=strained)
        elif self._window is not None:
            self._window.record(now, failed=True, elsewhere=self.successes)
            calls, failures = self._window.totals(now)
            if self._too_many(failures, calls):
                self.failures = failures
                self._open(now, draw)

    def released(self, permit: Permit, now: float, draw: Callable[[], float]) -> None:
        """The attempt ended without a verdict: cancelled, or never made."""
        if permit.generation != self.generation or not permit.probe:
            return
        self._lease_ends = None
        self._neutral_probes += 1
        if self._neutral_probes >= MAX_NEUTRAL_PROBES:
            self._open(now, draw, grow=False)

    def open_for(self, now: float) -> float:
        """Seconds until a probe is let through; 0 when closed or due."""
        return 0.0 if self.state is State.CLOSED else max(0.0, self._until - now)

    def wait(self, now: float) -> float:
        """Seconds until asking for leave makes sense: the open time, or the lease of a probe."""
        # Asked by every call that an open breaker turns away, so it costs as little as it can.
        until = self._until if self._lease_ends is None else self._lease_ends
        return until - now if until > now and self.state is not _CLOSED else 0.0

    def been_open(self, now: float) -> float:
        """Seconds since it first opened."""
        return now - self._opened_at

    def _too_many(self, failures: int, calls: int) -> bool:
        settings = self._settings
        if settings.rate is None or calls < max(settings.min_calls, settings.failures):
            return False
        # Divided, not multiplied: only a quotient is the very number that a user wrote.
        return failures / calls >= settings.rate

    def _forget_calls(self, now: float | None) -> None:
        if self._window is not None:
            self._window.clear(now, elsewhere=self.successes)

    def _on_probation(self, now: float) -> bool:
        if self._probation_ends is None:
            return False
        if now < self._probation_ends:
            return True
        self._probation_ends = None
        self._open_time = 0.0
        self.failures = 0
        return False

    def _open(self, now: float, draw: Callable[[], float], *, grow: bool = True) -> None:
        if self.state is State.CLOSED:
            self._opened_at = now
        if grow or not self._open_time:
            doubled = self._open_time * 2 or self._settings.open_for
            self._open_time = min(doubled, self._settings.open_max)
        spread = self._settings.jitter * (2 * draw() - 1)
        self._until = now + self._open_time * (1 + spread)
        self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self._lease_ends = None
        self._probation_ends = None
