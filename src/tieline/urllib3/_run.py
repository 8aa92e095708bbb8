"""A request that does not go smoothly: what follows its first failure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tieline.engine import clock as clock_module
from tieline.engine import simulation, sync
from tieline.engine.context import is_idempotent, restore, surrounding_guard, time_limit
from tieline.errors import TielineError
from tieline.policy.call import Call
from tieline.policy.decision import NO_TERMS, Proceed, Raise, Sleep, Terms
from tieline.rules import http, http_native
from tieline.rules.phrases import describe
from tieline.urllib3._body import watch
from tieline.urllib3._ending import Ending
from tieline.urllib3._once import ours
from tieline.urllib3._replay import is_replayable
from tieline.urllib3._settings import for_call
from tieline.urllib3._span import Span, span_var

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import BaseHTTPResponse

    from tieline.failure import Failure
    from tieline.policy.decision import Decision
    from tieline.urllib3._once import Once
    from tieline.urllib3._origin import Origin
    from tieline.urllib3._span import Timing

STOP = Terms(stop=True)

AT_ONCE = 0.1
"""Seconds for the rest of an answer that is not returned. A new connection is cheaper than to wait."""


class Request(NamedTuple):
    """What is asked for.

    Attributes:
        method: The method.
        url: The URL as urllib3 was given it.
        headers: None for those of the pool.
        body: What is sent.
        positions: Where a body that is a file begins, as urllib3 is to be told: for the first
            attempt, and for others.
        redirect: Whether urllib3 follows redirects.
    """

    method: str
    url: str
    headers: Mapping[str, str] | None
    body: Any
    positions: tuple[Any, Any]
    redirect: bool


class Run:
    """One call of ``urlopen``, with all its attempts.

    Args:
        pool: The pool.
        origin: Where it goes.
        request: What is asked for.
        native: Makes one attempt: the client's ``urlopen`` with all that does not change.
        once: Stands in for the caller's `Retry`.
        timing: The timeouts.
        started: When the call began.
    """

    def __init__(
        self,
        pool: Any,
        origin: Origin,
        request: Request,
        native: Callable[..., BaseHTTPResponse],
        once: Once,
        timing: Timing,
        started: float,
    ) -> None:
        """Nothing was tried yet."""
        self._pool = pool
        self._origin = origin
        self._request = request
        self._native = native
        self._once = once
        self._timing = timing
        self._begun = False
        self._guard = surrounding_guard()
        self._cause: Exception | None = None
        self._native_error: Exception | None = None
        self._answer: tuple[BaseHTTPResponse, Span] | None = None
        self._simulated: Failure | None = None
        headers = pool.headers if request.headers is None else request.headers
        harmless = http.is_idempotent(request.method, headers) or once.allows(request.method)
        self._call = Call(
            origin.state.name,
            for_call(origin.settings.policy, timing.call, theirs=once.theirs is not None),
            (origin.lane,),
            origin.state.budget,
            started=started,
            deadline=time_limit(),
            idempotent=harmless or is_idempotent(),
            outer_repeats=None if self._guard is None else self._guard.may_repeat,
            sent=once.redirected,
        )

    def start(self) -> BaseHTTPResponse:
        """Begin with every question asked from the start."""
        return self._drive(self._origin.state.step(self._call, self._call.start))

    def after_error(self, generation: int, error: Exception, span: Span) -> BaseHTTPResponse:
        """Go on after a first attempt, let through by a closed breaker, has failed.

        Args:
            generation: The breaker's when that attempt began.
            error: What it raised.
            span: What was seen of it.
        """
        self._call.begun(generation)
        self._begun = True
        try:
            return self._drive(self._failed(error, span))
        finally:
            # The exception knows this frame; not knowing it back saves a garbage collection.
            del error

    def after_answer(
        self, generation: int, response: BaseHTTPResponse, span: Span
    ) -> BaseHTTPResponse:
        """Go on after the answer to such an attempt, whatever it is."""
        self._call.begun(generation)
        self._begun = True
        decision = self._answered(response, span)
        return response if decision is None else self._drive(decision)

    def _drive(self, decision: Decision) -> BaseHTTPResponse:
        state, call = self._origin.state, self._call
        while True:
            if isinstance(decision, Proceed):
                # From before the last answer is left: what that takes is taken from this.
                span = Span(self._timing, decision.timeout, clock_module.active.now())
                self._leave_answer()
                outcome = self._attempt(decision, span)
                if isinstance(outcome, Exception):
                    decision = self._failed(outcome, span)
                    del outcome
                    continue
                following = self._answered(outcome, span)
                if following is None:
                    return outcome
                decision = following
            elif isinstance(decision, Sleep):
                sync.sleep(decision.seconds)
                decision = state.step(call, call.woke)
            elif self._answer is not None:
                return self._finished(*self._answer)
            else:
                raise self._ended(decision)

    def _attempt(self, proceed: Proceed, span: Span) -> BaseHTTPResponse | Exception:
        """The answer, or what was raised.

        Caught here: an exception knows the frame that catches it, and what is answered later must
        not be kept by what has failed before.
        """
        self._simulated = simulation.next_failure(self._origin.settings.client)
        if self._simulated is not None:
            said = f"simulated: {describe(self._simulated, proceed.endpoint)}"
            return http_native.simulated(self._simulated, said, self._pool, self._request.url)
        position = self._request.positions[self._begun]
        self._begun = True
        token = span_var.set(span)
        try:
            return self._native(self._once, span, position)
        except Exception as error:  # noqa: BLE001 - told apart by the rules
            return error
        except BaseException:
            self._mark_sent()
            self._origin.state.abandon(self._call)
            raise
        finally:
            restore(span_var, token)

    def _failed(self, error: Exception, span: Span) -> Decision:
        """What follows an attempt that has raised.

        Raises:
            Exception: The same, where it is none of our business.
        """
        state, call = self._origin.state, self._call
        if isinstance(error, TielineError):
            # The answer was a redirect, and what came after it has had its own say.
            state.step(call, call.succeeded)
            raise error
        failure = self._simulated or http.classify(error, span)
        if failure is None:
            self._mark_sent()
            state.abandon(call)
            raise http_native.without_secrets(error, self._request.url)
        place = self._origin.proxy if span.on_the_way else None
        if place is not None:
            failure = http.at_proxy(failure)
        counts = span.counted or self._simulated is not None
        if counts and self._once.theirs is not None:
            failure = http.as_theirs(failure)
        if failure.sent:
            self._mark_sent()
            if not is_replayable(self._request.body):
                failure = http.unrepeatable(failure)
        self._cause = error
        terms = self._count(error=error) if counts else NO_TERMS
        self._native_error = self._native_error or (None if counts else error)
        return state.step(call, partial(call.failed, failure, place=place, terms=terms))

    def _answered(self, response: BaseHTTPResponse, span: Span) -> Decision | None:
        """What follows an answer; None if it is the one to return."""
        state, call = self._origin.state, self._call
        self._mark_sent()
        if self._request.redirect and response.retries is not self._once:
            # It answers what urllib3 was redirected to, and has had its own say.
            state.step(call, call.succeeded)
            return None
        theirs = self._once.theirs
        wanted = theirs is not None and theirs.is_retry(
            self._request.method, response.status, bool(response.headers.get("Retry-After"))
        )
        after = self._once.asked(response)
        failure = http.status_failure(response.status, after, wanted=wanted)
        if failure is None:
            state.step(call, call.succeeded)
            self._finished(response, span)
            return None
        if not is_replayable(self._request.body):
            failure = http.unrepeatable(failure)
        terms = NO_TERMS
        if theirs is not None:
            terms = self._count(response=response) if wanted else STOP
        decision = state.step(call, partial(call.failed, failure, terms=terms))
        if not isinstance(decision, Raise):
            if theirs is None:
                self._count(response=response)
            self._answer = response, span
            return decision
        if self._native_error is not None and theirs is not None and theirs.raise_on_status:
            _drain(response, span)
            raise self._ended(decision)
        self._finished(response, span)
        return None

    def _count(
        self, *, error: Exception | None = None, response: BaseHTTPResponse | None = None
    ) -> Terms:
        """Let the retry settings below count this outcome; what they say of another attempt."""
        try:
            self._once = self._once.counted(
                self._request.method, self._request.url, response, error, self._pool
            )
        except Exception as raised:  # noqa: BLE001 - it is what the caller is to get
            self._native_error = raised
            return STOP
        return self._once.terms()

    def _leave_answer(self) -> None:
        """Be done with an answer that is not returned."""
        if self._answer is not None:
            answer, self._answer = self._answer, None
            _drain(*answer)

    def _finished(self, response: BaseHTTPResponse, span: Span) -> BaseHTTPResponse:
        for entry in self._once.history:
            if entry.error is not None:
                # Their frames lead to that of the caller, and so to what the caller gets.
                http_native.without_frames(entry.error)
        response.retries = self._once.shown
        watch(response, self._origin, self._pool, self._request.url, span)
        return response

    def _ended(self, decision: Raise) -> BaseException:
        """The error that ends the call."""
        cause, native = self._cause, self._native_error
        self._cause = self._native_error = None
        if native is None and cause is not None:
            native = self._once.exhausted(
                self._request.method, self._request.url, cause, self._pool
            )
        if native is not None:
            http_native.without_secrets(native, self._request.url)
        # Its history knows the errors, their frames know this run.
        self._once = ours()
        ending = Ending(self._call, decision, self._pool, self._request.url)
        return ending.error(native, self._origin.settings)

    def _mark_sent(self) -> None:
        if self._guard is not None:
            self._guard.mark_sent()


def _drain(response: BaseHTTPResponse, span: Span) -> None:
    """Read an answer to its end, so that its connection may be used; close it where that takes time."""
    span.until = clock_module.active.now() + AT_ONCE
    response.drain_conn()
