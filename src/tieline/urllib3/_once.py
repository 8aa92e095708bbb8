"""The `Retry` of a single attempt: it counts redirects, and leaves everything else to the policy."""

from __future__ import annotations

import copy
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from urllib3.util.retry import RequestHistory, Retry

from tieline.engine import clock as clock_module
from tieline.policy.decision import NO_TERMS, Terms
from tieline.rules import http_native
from tieline.rules.http import retry_after
from tieline.urllib3._span import span_var

if TYPE_CHECKING:
    from types import TracebackType

    from urllib3.connectionpool import ConnectionPool
    from urllib3.response import BaseHTTPResponse

redirected_var: ContextVar[bool] = ContextVar("tieline.urllib3.redirected", default=False)
"""Whether a client above, which follows redirects itself, sends a request that was answered by one."""


class Once(Retry):
    """Goes down to urllib3 in the place of the caller's `Retry`, or of its default one.

    Attributes:
        theirs: What the caller gave; None where our policy governs.
    """

    theirs: Retry | None = None

    @classmethod
    def of(cls, retry: Retry, *, governs: bool) -> Self:
        """Stand in for this one.

        Args:
            retry: The caller's, or the one whose redirects count where the policy governs.
            governs: Whether it decides on attempts.
        """
        # Not by __init__: a subclass of the caller's may have another one.
        once = cls.__new__(cls)
        once.__dict__.update(retry.__dict__)
        once.theirs = retry if governs else None
        return once

    def __repr__(self) -> str:
        """As that of the one that it stands in for."""
        return super().__repr__().replace(type(self).__name__, Retry.__name__, 1)

    def new(self, **changes: Any) -> Self:
        """A copy with other counters."""
        changed = super().new(**changes)
        changed.theirs = self.theirs
        return changed

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Raise the error as it is; count a redirect where it is counted."""
        span = span_var.get()
        if error is not None and span is not None:  # else it is under a pool that is not ours
            span.counted = True
            raise error.with_traceback(_stacktrace)
        if self.theirs is None:
            return super().increment(method, url, response, error, _pool, _stacktrace)
        counted = self.theirs.increment(method, url, response, error, _pool, _stacktrace)
        return type(self).of(counted, governs=True)

    def is_retry(self, *_args: Any, **_kwargs: Any) -> bool:
        """Never: what an answer means is decided outside."""
        return False

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        """Wait as long as a redirect asks for, if there is so much time."""
        seconds = self.asked(response)
        span = span_var.get()
        if not seconds or (span is not None and not span.has_time_for(seconds)):
            return False
        clock_module.active.sleep(seconds)
        return True

    def asked(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that an answer asks to wait, as the caller's own settings read it; None for none."""
        if self.theirs is not None:
            if not self.theirs.respect_retry_after_header:
                return None
            return http_native.retry_after(self.theirs, response)
        headers = response.headers
        return retry_after(headers.get("Retry-After"), headers.get("Date"), time.time())

    @property
    def redirected(self) -> bool:
        """Whether the request has been answered before, by a redirect."""
        return redirected_var.get() or any(entry.redirect_location for entry in self.history)

    @property
    def shown(self) -> Retry:
        """What a response carries as its ``retries``."""
        return self.theirs or self

    def terms(self) -> Terms:
        """What the caller's own settings say of another attempt, once they have counted this one."""
        return NO_TERMS if self.theirs is None else Terms(wait=self.theirs.get_backoff_time())

    def allows(self, method: str) -> bool:
        """Whether the caller said that this method may be repeated: None stands for any."""
        allowed = None if self.theirs is None else self.theirs.allowed_methods
        return self.theirs is not None and (not allowed or method.upper() in allowed)

    def counted(
        self,
        method: str,
        url: str,
        response: BaseHTTPResponse | None,
        error: Exception | None,
        pool: ConnectionPool | None,
    ) -> Once:
        """With one more outcome in the history.

        Raises:
            Exception: The caller's own settings allow no other attempt.
        """
        if self.theirs is not None:
            stack = None if error is None else error.__traceback__
            counted = self.theirs.increment(method, url, response, error, pool, stack)
            return type(self).of(counted, governs=True)
        status = None if response is None else response.status
        once = copy.copy(self)
        once.history = (*self.history, RequestHistory(method, url, error, status, None))
        return once

    def exhausted(
        self, method: str, url: str, error: Exception, pool: ConnectionPool | None
    ) -> Exception:
        """What urllib3 would raise for this error with no retry left."""
        spent = copy.copy(self.shown)
        if spent.total is not False:
            spent.total = 0
        try:
            Retry.increment(spent, method, url, None, error, pool, error.__traceback__)
        except Exception as raised:  # noqa: BLE001 - it is what urllib3 raises
            # Nobody has seen it yet: where it was made is of no interest, and holds the frames.
            return raised.with_traceback(None)
        return error


def ours(retry: Retry = Retry.DEFAULT) -> Once:
    """Let the policy govern.

    Args:
        retry: Whose redirects, and whose wrapping of the last error, count.
    """
    return Once.of(retry, governs=False)
