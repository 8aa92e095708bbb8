"""The pools: urllib3's, with the policy around each attempt."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import port_by_scheme
from urllib3.util.retry import Retry
from urllib3.util.url import parse_url

from tieline.engine import clock as clock_module
from tieline.engine import simulation
from tieline.engine.context import deadline_var, guard_var
from tieline.engine.healthy import CLOSED
from tieline.policy.deadline import earliest
from tieline.rules.http import STATUSES
from tieline.urllib3._body import watch
from tieline.urllib3._ending import CLIENT
from tieline.urllib3._once import Once, ours
from tieline.urllib3._origin import Origin, origin_behind, origin_of
from tieline.urllib3._probe import Probe, probed
from tieline.urllib3._replay import PLAIN, position
from tieline.urllib3._run import Request, Run, mark_sent
from tieline.urllib3._settings import settings
from tieline.urllib3._span import UNSET, Span, Timing, span_var, timing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.connection import HTTPConnection
    from urllib3.response import BaseHTTPResponse

    from tieline.policy.policy import Policy
    from tieline.urllib3._settings import Settings

_OURS = ours()


_lead = re.compile(r"[^/?#]*//[^/?#]*").match


def lead(url: str) -> str:
    """The URL up to its path."""
    found = _lead(url)
    return url if found is None else found[0]


def plain(once: Once, method: str, response: BaseHTTPResponse, *, redirect: bool) -> bool:
    """Whether an answer is just to be returned; it then carries the ``retries`` that it should."""
    if redirect and response.retries is not once:
        return True  # an answer to what urllib3 was redirected to, which has had its own say
    theirs = once.theirs
    if response.status in STATUSES:
        return False
    if theirs is None:
        return True
    if theirs.is_retry(method, response.status, "Retry-After" in response.headers):
        return False
    response.retries = theirs
    return True


class _ConnectionClass:
    """The class of connections as it is at the moment, with a probe."""

    def __init__(self, native: type[urllib3.HTTPConnectionPool]) -> None:
        self._native = native

    def __get__(self, pool: object, _owner: type) -> type[Any]:
        cls: type[Any] = self._native.ConnectionCls
        return cls if pool is None else probed(cls)


class Seam(urllib3.HTTPConnectionPool):
    """What both kinds of pool share."""

    ConnectionCls = _ConnectionClass(urllib3.HTTPConnectionPool)  # type: ignore[assignment]

    _tieline_settings: Settings
    _tieline_origin: Origin
    _tieline_unset: Timing
    _tieline_native: urllib3.Timeout | None = None
    _tieline_once: Once = _OURS

    def _tieline_adopt(self, client: str, target: str | None, policy: Policy | None) -> None:
        """Go by these settings.

        Args:
            client: The client that callers see.
            target: Name of the target; None for the origin.
            policy: The settings; None for the client's defaults.
        """
        self._tieline_settings = settings(client, target, policy)
        self._tieline_origin = origin_of(self._tieline_settings, self)
        self._tieline_native = None

    def _new_conn(self) -> HTTPConnection:  # type: ignore[override]
        connection: HTTPConnection = super()._new_conn()  # type: ignore[assignment]
        if self._tieline_settings.enabled:
            cls = type(connection)
            probing = probed(cls)
            if probing is not cls:
                connection.__class__ = probing
        return connection

    def _get_conn(self, timeout: float | None = None) -> HTTPConnection:
        connection: HTTPConnection = super()._get_conn(timeout)  # type: ignore[assignment]
        span = span_var.get()
        if span is not None and isinstance(connection, Probe):
            connection._tieline_span = span
            if connection.sock is not None:
                span.keep()
        return connection

    def _tieline_timing(self, timeout: Any) -> Timing:
        given = self._tieline_settings
        if timeout is not UNSET:
            return timing(timeout, given.policy, extend=not given.given)
        if self._tieline_native is not self.timeout:
            self._tieline_unset = timing(self.timeout, given.policy, extend=not given.given)
            self._tieline_native = self.timeout
        return self._tieline_unset

    def _tieline_stand_in(self, retries: Any, redirect: bool) -> Once:
        if not isinstance(retries, Retry):
            retries = Retry.from_int(retries, redirect=redirect, default=self.retries)
        if retries is Retry.DEFAULT:
            return _OURS
        known = self._tieline_once
        if known.theirs is not retries:
            known = self._tieline_once = Once.of(retries, governs=True)
        return known

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retries: Retry | bool | int | None = None,
        redirect: bool = True,
        assert_same_host: bool = True,
        timeout: Any = UNSET,
        pool_timeout: int | None = None,
        release_conn: bool | None = None,
        chunked: bool = False,
        body_pos: Any = None,
        preload_content: bool = True,
        decode_content: bool = True,
        **response_kw: Any,
    ) -> BaseHTTPResponse:
        """Send a request and return the answer, as urllib3's pool does, by the policy.

        Args:
            method: As urllib3's; with the headers it decides what may be repeated.
            url: As urllib3's.
            body: As urllib3's. An iterator is sent once and never again.
            headers: As urllib3's; an ``Idempotency-Key`` makes any method repeatable.
            retries: As urllib3's; what is given decides how often, and the policy on all else.
            redirect: As urllib3's.
            assert_same_host: As urllib3's.
            timeout: As urllib3's; by default 5 s to connect and 30 s between two pieces.
            pool_timeout: As urllib3's.
            release_conn: As urllib3's.
            chunked: As urllib3's.
            body_pos: As urllib3's.
            preload_content: As urllib3's.
            decode_content: As urllib3's.
            **response_kw: As urllib3's.

        Raises:
            TielineError: One of its classes; also what urllib3 raises.
        """
        if type(timeout) is Span:  # urllib3 follows a redirect
            timeout = timeout.given
        given = self._tieline_settings
        if not given.enabled:
            return super().urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=retries,
                redirect=redirect,
                assert_same_host=assert_same_host,
                timeout=timeout,
                pool_timeout=pool_timeout,
                release_conn=release_conn,
                chunked=chunked,
                body_pos=body_pos,
                preload_content=preload_content,
                decode_content=decode_content,
                **response_kw,
            )
        if type(retries) is Once:
            once = retries
        elif retries is None and self.retries is Retry.DEFAULT:
            once = _OURS
        else:
            once = self._tieline_stand_in(retries, redirect)
        if timeout is UNSET and self._tieline_native is self.timeout:
            limits = self._tieline_unset
        else:
            limits = self._tieline_timing(timeout)
        origin = self._tieline_origin
        if origin.proxy is not None and url[:1] != "/":
            origin = origin_behind(given, origin.proxy, lead(url))
        begins = body_pos
        if begins is None and not isinstance(body, PLAIN):
            begins = position(body)
        started = clock_module.active.now()
        healthy = origin.healthy
        breaker = healthy.breaker
        # The generation first: if the breaker opens in between, our results are void.
        generation = breaker.generation
        allowed = limits.allowed
        deadline = deadline_var.get()
        if deadline is not None:
            allowed = earliest(allowed, None if deadline.at is None else deadline.at - started)
        if (
            breaker.state is not CLOSED
            or (allowed is not None and allowed <= 0)
            or simulation.planned
        ):
            request = Request(method, url, headers, body, (body_pos, begins), redirect, timeout)
            attempt = partial(
                super().urlopen,
                method,
                url,
                body=body,
                headers=headers,
                redirect=redirect,
                assert_same_host=assert_same_host,
                pool_timeout=pool_timeout,
                release_conn=release_conn,
                chunked=chunked,
                preload_content=preload_content,
                decode_content=decode_content,
                **response_kw,
            )
            return Run(self, origin, request, attempt, once, limits, started).start()
        span = Span(limits, allowed, started)
        span.given = timeout
        token = span_var.set(span)
        try:
            # In full: a dictionary to be taken apart again would cost as much as all of the policy.
            response = super().urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=once,
                redirect=redirect,
                assert_same_host=assert_same_host,
                timeout=span,
                pool_timeout=pool_timeout,
                release_conn=release_conn,
                chunked=chunked,
                body_pos=body_pos,
                preload_content=preload_content,
                decode_content=decode_content,
                **response_kw,
            )
        except Exception as error:
            failed = error
        except BaseException:
            # Whoever turns an interruption into an error must not have the request repeated.
            mark_sent()
            raise
        else:
            failed = None
            quick = once is _OURS and response.status not in STATUSES
            if (quick or plain(once, method, response, redirect=redirect)) and healthy.counted(
                generation, started
            ):
                if not preload_content:
                    watch(response, origin, self, url, span)
                if guard_var.get() is not None:
                    mark_sent()
                return response
        finally:
            span_var.reset(token)
        try:
            request = Request(method, url, headers, body, (body_pos, begins), redirect, timeout)
            attempt = partial(
                super().urlopen,
                method,
                url,
                body=body,
                headers=headers,
                redirect=redirect,
                assert_same_host=assert_same_host,
                pool_timeout=pool_timeout,
                release_conn=release_conn,
                chunked=chunked,
                preload_content=preload_content,
                decode_content=decode_content,
                **response_kw,
            )
            run = Run(self, origin, request, attempt, once, limits, started)
            if failed is None:
                return run.after_answer(generation, response, span)
            return run.after_error(generation, failed, span)
        finally:
            del failed  # it knows this frame; not knowing it back saves a garbage collection


class HTTPConnectionPool(Seam):
    """A ``urllib3.HTTPConnectionPool`` that knows how far each request came, and what may be repeated."""

    __module__ = "tieline.urllib3"

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *args: Any,
        target: str | None = None,
        policy: Policy | None = None,
        **kwargs: Any,
    ) -> None:
        """As urllib3's, with two more keywords.

        Args:
            host: As urllib3's.
            port: As urllib3's.
            *args: As urllib3's.
            target: Name of the target; by default the origin, such as ``http://billing:80``. Pools
                of one target share breaker and budget.
            policy: The settings; by default 25 s for a call up to the head of its answer, and 3
                attempts.
            **kwargs: As urllib3's.
        """
        super().__init__(host, port, *args, **kwargs)
        self._tieline_adopt(CLIENT, target, policy)


class HTTPSConnectionPool(Seam, urllib3.HTTPSConnectionPool):
    """A ``urllib3.HTTPSConnectionPool`` that knows how far each request came, and what may be repeated."""

    __module__ = "tieline.urllib3"
    ConnectionCls = _ConnectionClass(urllib3.HTTPSConnectionPool)  # type: ignore[assignment]

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *args: Any,
        target: str | None = None,
        policy: Policy | None = None,
        **kwargs: Any,
    ) -> None:
        """As urllib3's, with the two more keywords of `HTTPConnectionPool`."""
        super().__init__(host, port, *args, **kwargs)
        self._tieline_adopt(CLIENT, target, policy)


def connection_from_url(url: str, **kw: Any) -> HTTPConnectionPool | HTTPSConnectionPool:
    """A pool for the host of a URL, as urllib3's function of that name gives it.

    Args:
        url: An absolute URL.
        **kw: For the pool.
    """
    scheme, _, host, port, *_ = parse_url(url)
    scheme = scheme or "http"
    if port is None:
        port = port_by_scheme.get(scheme, 80)
    pool = HTTPSConnectionPool if scheme == "https" else HTTPConnectionPool
    return pool(host, port=port, **kw)
