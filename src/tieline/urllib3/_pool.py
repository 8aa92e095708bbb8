"""The pools: urllib3's, with the policy around each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import port_by_scheme
from urllib3.util.retry import Retry
from urllib3.util.url import parse_url

from tieline.engine import clock as clock_module
from tieline.engine import simulation
from tieline.engine.context import deadline_var, guard_var, mark_sent
from tieline.engine.healthy import CLOSED
from tieline.policy.deadline import earliest
from tieline.rules.http import STATUSES
from tieline.urllib3._body import watch
from tieline.urllib3._once import Once, ours
from tieline.urllib3._origin import Origin, origin_of, with_headers
from tieline.urllib3._probe import Probe, probed
from tieline.urllib3._replay import PLAIN, positions
from tieline.urllib3._settings import CLIENT, settings
from tieline.urllib3._span import UNSET, Span, Timings, span_var

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import TLSVersion
    from typing import Literal

    from urllib3.connection import ProxyConfig
    from urllib3.response import BaseHTTPResponse
    from urllib3.util.url import Url

    from tieline.policy.policy import Policy
    from tieline.urllib3._run import Run
    from tieline.urllib3._settings import Settings

_OURS = ours()


def run_of(pool: HTTPConnectionPool, origin: Origin, asked: tuple[Any, ...], *options: Any) -> Run:
    """What goes on when a call does not go smoothly; not loaded before one does not."""
    from tieline.urllib3._run import Request, Run

    return Run(pool, origin, Request(*asked), *options)


def is_plain(once: Once, method: str, response: BaseHTTPResponse, *, redirect: bool) -> bool:
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


def allowed_now(seconds: float | None, now: float) -> float | None:
    """Seconds that an attempt may take, within the deadline around."""
    deadline = deadline_var.get()
    if deadline is None or deadline.at is None:
        return seconds
    return earliest(seconds, deadline.at - now)


class _ConnectionClass:
    """The class of connections as it is at the moment, with a probe."""

    def __init__(self, native: type[urllib3.HTTPConnectionPool]) -> None:
        self._native = native

    def __get__(self, pool: object, _owner: type) -> Any:
        cls: Any = self._native.ConnectionCls
        given = getattr(pool, "_tieline_settings", None)
        return cls if given is None or not given.enabled else probed(cls)


class HTTPConnectionPool(urllib3.HTTPConnectionPool):
    """A ``urllib3.HTTPConnectionPool`` that knows how far each request came, and what may be repeated."""

    __module__ = "tieline.urllib3"

    ConnectionCls: Any = _ConnectionClass(urllib3.HTTPConnectionPool)

    _tieline_settings: Settings
    _tieline_origin: Origin
    _tieline_timings: Timings
    _tieline_once: Once = _OURS

    def __init__(
        self,
        host: str,
        port: int | None = None,
        timeout: Any = UNSET,
        maxsize: int = 1,
        block: bool = False,
        headers: Mapping[str, str] | None = None,
        retries: Retry | bool | int | None = None,
        _proxy: Url | None = None,
        _proxy_headers: Mapping[str, str] | None = None,
        _proxy_config: ProxyConfig | None = None,
        *,
        target: str | None = None,
        policy: Policy | None = None,
        **conn_kw: Any,
    ) -> None:
        """As urllib3's, with two more keywords.

        Args:
            host: As urllib3's.
            port: As urllib3's.
            timeout: As urllib3's; by default 5 s to connect and 30 s between two pieces.
            maxsize: As urllib3's.
            block: As urllib3's.
            headers: As urllib3's.
            retries: As urllib3's; what is given decides how often, and the policy on all else.
            _proxy: As urllib3's.
            _proxy_headers: As urllib3's.
            _proxy_config: As urllib3's.
            target: Name of the target; by default the origin, such as ``http://billing:80``. Pools
                of one target share breaker and budget.
            policy: The settings; by default 25 s for a call up to the head of its answer, and 3
                attempts.
            **conn_kw: As urllib3's, for connections.
        """
        super().__init__(
            host,
            port,
            timeout,
            maxsize,
            block,
            headers,
            retries,
            _proxy,
            _proxy_headers,
            _proxy_config=_proxy_config,
            **conn_kw,
        )
        self._tieline_adopt(settings(CLIENT, target, policy))

    def _tieline_adopt(self, given: Settings) -> None:
        """Go by these settings."""
        self._tieline_settings = given
        self._tieline_origin = origin_of(given, self)
        self._tieline_timings = Timings(given.policy, strict=given.given)

    def _get_conn(self, timeout: float | None = None) -> Any:
        span = span_var.get()
        if span is not None and self.block:
            # To wait for others of this process says nothing of the server.
            with span.paused():
                connection = super()._get_conn(span.bound(timeout, body=True))
        else:
            connection = super()._get_conn(timeout)
        if span is not None and not isinstance(connection, Probe):
            # Of a subclass that makes its connections itself.
            cls: Any = type(connection)
            probing = probed(cls)
            if probing is not cls:
                connection.__class__ = probing
        if span is not None and isinstance(connection, Probe):
            connection._tieline_span = span
            if connection.sock is not None:
                span.keep()
        return connection

    def _tieline_stand_in(self, retries: Any, *, redirect: bool) -> Once:
        """What goes down to urllib3 in the place of the retry settings."""
        if retries is None and self.retries is Retry.DEFAULT:
            return _OURS
        if not isinstance(retries, Retry):
            retries = Retry.from_int(retries, redirect=redirect, default=self.retries)
        if type(retries) is Once:
            return retries
        if retries is Retry.DEFAULT:
            return _OURS
        known = self._tieline_once
        if known.theirs is not retries:
            known = self._tieline_once = Once.of(retries, governs=True)
        return known

    def urlopen(  # type: ignore[override]  # noqa: C901, PLR0912, PLR0915 - calls cost
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

        def attempt(retries: Any, timeout: Any, body_pos: Any) -> BaseHTTPResponse:
            return super(HTTPConnectionPool, self).urlopen(
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

        given = self._tieline_settings
        origin = self._tieline_origin
        if origin.proxy is not None:
            origin = origin.behind(url)
        if origin.headers:
            headers = with_headers(origin.headers, self.headers if headers is None else headers)
        if not given.enabled:
            return attempt(retries, timeout, body_pos)
        once = self._tieline_stand_in(retries, redirect=redirect)
        if type(timeout) is Span:  # urllib3 follows a redirect
            limits = timeout.timing
        else:
            limits = self._tieline_timings.of(self.timeout if timeout is UNSET else timeout)
        begins = (body_pos, body_pos)
        if not isinstance(body, PLAIN):
            begins = positions(body, body_pos, again=once.redirected)
        started = clock_module.active.now()
        healthy = origin.healthy
        breaker = healthy.breaker
        # The generation first: if the breaker opens in between, our results are void.
        generation = breaker.generation
        allowed = limits.allowed
        if deadline_var.get() is not None:
            allowed = allowed_now(allowed, started)
        if (
            breaker.state is not CLOSED
            or simulation.planned
            or (allowed is not None and allowed <= 0)
        ):
            asked = method, url, headers, body, begins, redirect
            return run_of(self, origin, asked, attempt, once, limits, started).start()
        span = Span(limits, allowed, started)
        response: BaseHTTPResponse | None = None
        failed: Exception | None = None
        token = span_var.set(span)
        try:
            response = attempt(once, span, body_pos)
        except Exception as error:  # noqa: BLE001 - told apart by the rules
            failed = error
        except BaseException:
            # Whoever turns an interruption into an error must not have the request repeated.
            mark_sent()
            raise
        else:
            quick = once is _OURS and response.status not in STATUSES
            if (quick or is_plain(once, method, response, redirect=redirect)) and healthy.counted(
                generation, started
            ):
                if not preload_content:
                    watch(response, origin, self, url, span)
                if guard_var.get() is not None:
                    mark_sent()
                return response
        finally:
            span_var.reset(token)
        asked = method, url, headers, body, begins, redirect
        run = run_of(self, origin, asked, attempt, once, limits, started)
        try:
            if failed is not None:
                return run.after_error(generation, failed, span)
            assert response is not None  # noqa: S101 - one of both
            return run.after_answer(generation, response, span)
        finally:
            del failed  # it knows this frame; not knowing it back saves a garbage collection


class HTTPSConnectionPool(HTTPConnectionPool, urllib3.HTTPSConnectionPool):
    """A ``urllib3.HTTPSConnectionPool`` that knows how far each request came, and what may be repeated."""

    __module__ = "tieline.urllib3"

    ConnectionCls: Any = _ConnectionClass(urllib3.HTTPSConnectionPool)

    def __init__(
        self,
        host: str,
        port: int | None = None,
        timeout: Any = UNSET,
        maxsize: int = 1,
        block: bool = False,
        headers: Mapping[str, str] | None = None,
        retries: Retry | bool | int | None = None,
        _proxy: Url | None = None,
        _proxy_headers: Mapping[str, str] | None = None,
        key_file: str | None = None,
        cert_file: str | None = None,
        cert_reqs: int | str | None = None,
        key_password: str | None = None,
        ca_certs: str | None = None,
        ssl_version: int | str | None = None,
        ssl_minimum_version: TLSVersion | None = None,
        ssl_maximum_version: TLSVersion | None = None,
        assert_hostname: str | Literal[False] | None = None,
        assert_fingerprint: str | None = None,
        ca_cert_dir: str | None = None,
        *,
        target: str | None = None,
        policy: Policy | None = None,
        **conn_kw: Any,
    ) -> None:
        """As urllib3's, with the two more keywords of `HTTPConnectionPool`."""
        super().__init__(
            host,
            port,
            timeout,
            maxsize,
            block,
            headers,
            retries,
            _proxy,
            _proxy_headers,
            key_file=key_file,
            cert_file=cert_file,
            cert_reqs=cert_reqs,
            key_password=key_password,
            ca_certs=ca_certs,
            ssl_version=ssl_version,
            ssl_minimum_version=ssl_minimum_version,
            ssl_maximum_version=ssl_maximum_version,
            assert_hostname=assert_hostname,
            assert_fingerprint=assert_fingerprint,
            ca_cert_dir=ca_cert_dir,
            target=target,
            policy=policy,
            **conn_kw,
        )


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
    return pool(host or "", port=port, **kw)
