"""Where requests go: the endpoint with its breaker, the target with its budget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from urllib3 import HTTPHeaderDict
from urllib3.connection import port_by_scheme
from urllib3.util.url import parse_url

from tieline.endpoint import Endpoint, Proxy
from tieline.engine.healthy import Healthy
from tieline.engine.target import target_state
from tieline.urllib3._settings import CLIENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.urllib3._settings import Settings


_LEAD: Final = re.compile(r"[a-zA-Z][^/?#]*//[^/?#]*").match
"""Finds what stands before the path: scheme, host and port, and nothing of a path."""


MAX_BEHIND: Final = 256
"""Servers behind one proxy that are remembered; beyond it, all are forgotten."""


class Origin:
    """One endpoint, as a pool reaches it.

    Args:
        settings: Of the pool.
        endpoint: The server.
        proxy: What stands before it; None where nothing does.

    Attributes:
        headers: What this server is to be told; empty for every other one.
    """

    __slots__ = ("_behind", "endpoint", "headers", "healthy", "lane", "proxy", "settings", "state")

    def __init__(self, settings: Settings, endpoint: Endpoint, proxy: Endpoint | None) -> None:
        """Find its state.

        Without a name, what is reached by way of a proxy is another target than the same server
        reached directly: a dead proxy must not open a breaker for those who do without it.
        """
        self.settings = settings
        self.endpoint = endpoint
        self.proxy = proxy
        by = "" if proxy is None else f" by {proxy.address}"
        self.state = target_state(settings.name or f"{endpoint}{by}", settings.policy)
        self.lane = self.state.lane(endpoint)
        self.healthy = Healthy(self.state, self.lane, settings.policy.budget)
        self.headers = _own_headers(settings, endpoint)
        self._behind: dict[str, Origin] = {}

    def behind(self, url: str) -> Origin:
        """Where the proxy is asked to lead.

        Args:
            url: As the pool was given it: absolute where the proxy has to be told.
        """
        found = _LEAD(url)
        if found is None:
            return self
        lead = found[0]
        known = self._behind.get(lead)
        if known is None:
            if len(self._behind) >= MAX_BEHIND:
                self._behind.clear()
            known = self._behind[lead] = Origin(self.settings, _endpoint_of(lead), self.proxy)
        return known


def origin_of(settings: Settings, pool: Any) -> Origin:
    """Where a pool leads."""
    return Origin(settings, _endpoint(pool.scheme, pool.host, pool.port), _proxy(pool))


def _own_headers(settings: Settings, endpoint: Endpoint) -> Mapping[str, str]:
    """What the target is to be told; nobody else is."""
    if settings.client != CLIENT or settings.url is None:
        return {}
    return settings.headers if _endpoint_of(settings.url) == endpoint else {}


def with_headers(own: Mapping[str, str], given: Mapping[str, str]) -> HTTPHeaderDict:
    """The headers of a request, with those of the target that it has not itself."""
    merged = HTTPHeaderDict(given)
    for name, value in own.items():
        merged.setdefault(name, value)
    return merged


def absolute(base: str | None, url: str) -> str:
    """The URL itself, or where it is below that of the target.

    Args:
        base: Where the target is; None where nothing says.
        url: As given by the caller.
    """
    if base is None or "://" in url.partition("?")[0]:
        return url
    head = base.partition("?")[0].partition("#")[0]
    if not url or url[0] == "?":
        return head + url
    return f"{head.removesuffix('/')}/{url.removeprefix('/')}"


def _endpoint_of(url: str) -> Endpoint:
    parsed = parse_url(url)
    return _endpoint(parsed.scheme, parsed.host, parsed.port)


def _endpoint(scheme: str | None, host: str | None, port: int | None) -> Endpoint:
    scheme = scheme or "http"
    return Endpoint(scheme, (host or "").strip("[]"), port or port_by_scheme.get(scheme))


def _proxy(pool: Any) -> Endpoint | None:
    proxy = pool.proxy
    return None if proxy is None else Proxy(*_endpoint(proxy.scheme, proxy.host, proxy.port))
