"""The managers: urllib3's, with pools of ours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import urllib3

from tieline.errors import TielineError
from tieline.rules.http_native import bad_url, without_secrets
from tieline.urllib3._origin import absolute
from tieline.urllib3._pool import HTTPConnectionPool, HTTPSConnectionPool
from tieline.urllib3._replay import PLAIN, position
from tieline.urllib3._settings import CLIENT, settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext
    from typing import Literal

    from urllib3 import Retry, Timeout
    from urllib3._base_connection import _TYPE_BODY
    from urllib3.filepost import _TYPE_FIELDS
    from urllib3.response import BaseHTTPResponse

    from tieline.policy.policy import Policy

POOLS: Final = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}


MAX_KNOWN: Final = 256
"""Places whose pool is known; beyond it, all are forgotten."""


class _Known:
    """The key of the pool for one place, and what it was made of.

    Args:
        manager: Whose pool it is.
        options: Given for this pool alone.
        pool: The pool.
    """

    __slots__ = ("_common", "_functions", "_options", "key")

    def __init__(
        self, manager: PoolManager, options: dict[str, Any] | None, pool: urllib3.HTTPConnectionPool
    ) -> None:
        self._common = manager.connection_pool_kw.copy()
        self._options = None if options is None else options.copy()
        self._functions = manager.key_fn_by_scheme.copy()
        self.key: Any = getattr(pool, "_tieline_key", None)

    def holds(self, manager: PoolManager, options: dict[str, Any] | None) -> bool:
        """Whether the key would be the same today."""
        return (
            self._options == options
            and self._common == manager.connection_pool_kw
            and self._functions == manager.key_fn_by_scheme
        )


class PoolManager(urllib3.PoolManager):
    """A ``urllib3.PoolManager`` whose pools know how far each request came, and what may be repeated."""

    __module__ = "tieline.urllib3"

    _tieline_client = CLIENT
    """The client that callers see."""

    def __init__(
        self,
        num_pools: int = 10,
        headers: Mapping[str, str] | None = None,
        *,
        target: str | None = None,
        policy: Policy | None = None,
        **connection_pool_kw: Any,
    ) -> None:
        """As urllib3's, with two more keywords.

        Args:
            num_pools: As urllib3's.
            headers: As urllib3's.
            target: Name of the target; by default each origin, such as ``https://billing:443``, is
                one. What has one target shares one budget. Relative URLs are below the URL that
                the environment gives it, and its headers go to that origin and nowhere else.
            policy: The settings; by default 25 s for a call up to the head of its answer, and 3
                attempts.
            **connection_pool_kw: As urllib3's, for the pools.

        Raises:
            ConfigError: The environment makes no sense; also a ``LocationParseError``.
        """
        self._tieline_begin(target, policy)
        super().__init__(num_pools, headers, **connection_pool_kw)
        self.pool_classes_by_scheme = POOLS

    def _tieline_begin(self, target: str | None, policy: Policy | None) -> None:
        self._tieline_settings = settings(self._tieline_client, target, policy)
        self._tieline_known: dict[object, _Known] = {}

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> urllib3.HTTPConnectionPool:
        pool = super()._new_pool(scheme, host, port, request_context)
        if isinstance(pool, HTTPConnectionPool):
            pool._tieline_adopt(self._tieline_settings)
        return pool

    def connection_from_host(
        self,
        host: str | None,
        port: int | None = None,
        scheme: str | None = "http",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> urllib3.HTTPConnectionPool:
        """As urllib3's, which makes the key of the pool anew each time; that takes longer than all of ours.

        Args:
            host: As urllib3's.
            port: As urllib3's.
            scheme: As urllib3's.
            pool_kwargs: As urllib3's.
        """
        place = (scheme, host, port)
        known = self._tieline_known.get(place)
        if known is not None and known.holds(self, pool_kwargs):
            pool = self.pools.get(known.key)
            if pool is not None:
                return pool
        pool = super().connection_from_host(host, port, scheme, pool_kwargs)
        if len(self._tieline_known) >= MAX_KNOWN:
            self._tieline_known.clear()
        self._tieline_known[place] = _Known(self, pool_kwargs, pool)
        return pool

    def connection_from_pool_key(
        self, pool_key: Any, request_context: dict[str, Any]
    ) -> urllib3.HTTPConnectionPool:
        """As urllib3's.

        Args:
            pool_key: As urllib3's.
            request_context: As urllib3's.
        """
        pool = super().connection_from_pool_key(pool_key, request_context=request_context)
        pool._tieline_key = pool_key  # type: ignore[attr-defined]
        return pool

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **kw: Any
    ) -> BaseHTTPResponse:
        """As urllib3's; a file that is sent again after a redirect is sent from where it began.

        Args:
            method: As urllib3's.
            url: As urllib3's.
            redirect: As urllib3's.
            **kw: As urllib3's.

        Raises:
            TielineError: One of its classes; also what urllib3 raises.
        """
        given = self._tieline_settings
        if given.url is not None:
            url = absolute(given.url, url)
        if not given.enabled:
            return super().urlopen(method, url, redirect, **kw)
        body = kw.get("body")
        if not isinstance(body, PLAIN) and kw.get("body_pos") is None and hasattr(body, "seek"):
            kw["body_pos"] = position(body)
        try:
            return super().urlopen(method, url, redirect, **kw)
        except TielineError:
            raise
        except Exception as error:
            final = bad_url(error)
            if final is error:
                del final  # it knows this frame
                # Redirects are counted here, with the URL of the last one in the text.
                without_secrets(error, str(getattr(error, "url", "") or url))
                raise
        raise final


class ProxyManager(PoolManager, urllib3.ProxyManager):
    """A ``urllib3.ProxyManager`` with the pools of `PoolManager`."""

    __module__ = "tieline.urllib3"

    def __init__(
        self,
        proxy_url: str,
        num_pools: int = 10,
        headers: Mapping[str, str] | None = None,
        proxy_headers: Mapping[str, str] | None = None,
        proxy_ssl_context: SSLContext | None = None,
        use_forwarding_for_https: bool = False,
        proxy_assert_hostname: str | Literal[False] | None = None,
        proxy_assert_fingerprint: str | None = None,
        *,
        target: str | None = None,
        policy: Policy | None = None,
        **connection_pool_kw: Any,
    ) -> None:
        """As urllib3's, with the two more keywords of `PoolManager`."""
        self._tieline_begin(target, policy)
        urllib3.ProxyManager.__init__(
            self,
            proxy_url,
            num_pools,
            headers,
            proxy_headers,
            proxy_ssl_context,
            use_forwarding_for_https,
            proxy_assert_hostname,
            proxy_assert_fingerprint,
            **connection_pool_kw,
        )
        self.pool_classes_by_scheme = POOLS


def proxy_from_url(url: str, **kw: Any) -> ProxyManager:
    """A manager for a proxy, as urllib3's function of that name gives it.

    Args:
        url: Of the proxy.
        **kw: For `ProxyManager`.
    """
    return ProxyManager(proxy_url=url, **kw)


@cache
def _shared() -> PoolManager:
    return PoolManager()


def request(
    method: str,
    url: str,
    *,
    body: _TYPE_BODY | None = None,
    fields: _TYPE_FIELDS | None = None,
    headers: Mapping[str, str] | None = None,
    preload_content: bool | None = True,
    decode_content: bool | None = True,
    redirect: bool | None = True,
    retries: Retry | bool | int | None = None,
    timeout: Timeout | float | None = 3,
    json: Any | None = None,
) -> BaseHTTPResponse:
    """Send one request by a manager that all callers of this function share.

    Args:
        method: As urllib3's.
        url: As urllib3's.
        body: As urllib3's.
        fields: As urllib3's.
        headers: As urllib3's.
        preload_content: As urllib3's.
        decode_content: As urllib3's.
        redirect: As urllib3's.
        retries: As urllib3's.
        timeout: As urllib3's: 3 s by default.
        json: As urllib3's.

    Raises:
        TielineError: One of its classes; also what urllib3 raises.
    """
    return _shared().request(
        method,
        url,
        body=body,
        fields=fields,
        headers=headers,
        preload_content=preload_content,
        decode_content=decode_content,
        redirect=redirect,
        retries=retries,
        timeout=timeout,
        json=json,
    )
