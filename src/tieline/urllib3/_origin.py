"""Where requests go: the endpoint with its breaker, the target with its budget."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from urllib3.connection import port_by_scheme
from urllib3.util.url import parse_url

from tieline.endpoint import Endpoint, Proxy
from tieline.engine.healthy import Healthy
from tieline.engine.target import target_state

if TYPE_CHECKING:
    from tieline.urllib3._settings import Settings


_LEAD: Final = re.compile(r"[a-zA-Z][^/?#]*//[^/?#]*").match
"""Finds what stands before the path: scheme, host and port, and nothing of a path."""


class Origin:
    """One endpoint, as a pool reaches it.

    Args:
        settings: Of the pool.
        endpoint: The server.
        proxy: What stands before it; None where nothing does.
    """

    __slots__ = ("endpoint", "healthy", "lane", "proxy", "settings", "state")

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


def origin_of(settings: Settings, pool: Any) -> Origin:
    """Where a pool leads."""
    return Origin(settings, _endpoint(pool.scheme, pool.host, pool.port), _proxy(pool))


def origin_behind(nearest: Origin, url: str) -> Origin:
    """Where a proxy is asked to lead.

    Args:
        nearest: Where the pool leads.
        url: As the pool was given it: absolute where the proxy has to be told.
    """
    found = _LEAD(url)
    if found is None or nearest.proxy is None:
        return nearest
    return _origin_behind(nearest.settings, nearest.proxy, found[0])


@lru_cache(maxsize=256)
def _origin_behind(settings: Settings, proxy: Endpoint, url: str) -> Origin:
    parsed = parse_url(url)
    return Origin(settings, _endpoint(parsed.scheme, parsed.host, parsed.port), proxy)


def _endpoint(scheme: str | None, host: str | None, port: int | None) -> Endpoint:
    scheme = scheme or "http"
    return Endpoint(scheme, (host or "").strip("[]"), port or port_by_scheme.get(scheme))


def _proxy(pool: Any) -> Endpoint | None:
    proxy = pool.proxy
    return None if proxy is None else Proxy(*_endpoint(proxy.scheme, proxy.host, proxy.port))
