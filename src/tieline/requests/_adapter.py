"""`HTTPAdapter`: requests', over pools that keep to the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import requests
from requests import adapters as native
from urllib3.util.timeout import Timeout

from tieline.requests._error import CLIENT, translated
from tieline.requests._response import Response
from tieline.requests._said import unbounded_var
from tieline.urllib3._manager import PoolManager, ProxyManager
from tieline.urllib3._once import ours
from tieline.urllib3._settings import settings
from tieline.urllib3._span import UNSET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse, Retry

    from tieline.policy.policy import Policy


class _NotGiven(int):
    """Equals requests' own default and is told apart from a 0 that somebody writes."""


NOT_GIVEN: Final = _NotGiven(native.DEFAULT_RETRIES)


class Pools(PoolManager):
    """Pools whose errors requests puts in its own words first."""

    _tieline_client = CLIENT


class Proxies(ProxyManager):
    """The same behind a proxy."""

    _tieline_client = CLIENT


class HTTPAdapter(native.HTTPAdapter):
    """A ``requests.adapters.HTTPAdapter`` that repeats what is safe, and names the true cause of failure.

    Its policy works in the pools below, on every attempt; requests puts what they raise in its own
    words, and what leaves here is both.
    """

    __module__ = "tieline.requests.adapters"

    __attrs__: ClassVar[list[str]] = [  # type: ignore[misc]  # pickled by these
        *native.HTTPAdapter.__attrs__,
        "_tieline_target",
        "_tieline_policy",
        "_tieline_enabled",
    ]

    _tieline_target: str | None = None
    _tieline_policy: Policy | None = None
    _tieline_enabled = True

    def __init__(
        self,
        pool_connections: int = native.DEFAULT_POOLSIZE,
        pool_maxsize: int = native.DEFAULT_POOLSIZE,
        max_retries: int | Retry = NOT_GIVEN,
        pool_block: bool = native.DEFAULT_POOLBLOCK,
        *,
        target: str | None = None,
        policy: Policy | None = None,
    ) -> None:
        """As requests', with two more keywords.

        Args:
            pool_connections: As requests'.
            pool_maxsize: As requests'.
            max_retries: As requests'. What is given decides how often, 0 included, and the policy on
                all else; by default the policy alone.
            pool_block: As requests'.
            target: Name of the target; by default each origin, such as ``https://billing:443``, is
                one. What has one target shares one budget.
            policy: The settings; by default 25 s for a call up to the head of its answer, and 3
                attempts.

        Raises:
            ConfigError: The settings make no sense.
        """
        self._tieline_target = target
        self._tieline_policy = policy
        self._tieline_enabled = settings(CLIENT, target, policy).enabled
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        if isinstance(max_retries, _NotGiven):
            self.max_retries = ours(self.max_retries)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = native.DEFAULT_POOLBLOCK,
        **pool_kwargs: Any,
    ) -> None:
        """As requests', with pools of ours.

        Args:
            connections: As requests'.
            maxsize: As requests'.
            block: As requests'.
            **pool_kwargs: As requests'.
        """
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager = Pools(
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            target=self._tieline_target,
            policy=self._tieline_policy,
            **pool_kwargs,
        )

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """As requests', with pools of ours; SOCKS has urllib3's own.

        Args:
            proxy: As requests'.
            **proxy_kwargs: As requests'.
        """
        if proxy not in self.proxy_manager and not proxy.lower().startswith("socks"):
            self.proxy_manager[proxy] = Proxies(
                proxy,
                proxy_headers=self.proxy_headers(proxy),
                num_pools=self._pool_connections,
                maxsize=self._pool_maxsize,
                block=self._pool_block,
                target=self._tieline_target,
                policy=self._tieline_policy,
                **proxy_kwargs,
            )
        return super().proxy_manager_for(proxy, **proxy_kwargs)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """As requests'.

        Args:
            request: As requests'. An ``Idempotency-Key`` makes any method repeatable.
            stream: As requests'.
            timeout: As requests'; by default 5 s to connect and 30 s between two pieces.
            verify: As requests'.
            cert: As requests'.
            proxies: As requests'.

        Raises:
            TielineError: One of its classes; also what requests raises.
        """
        if timeout is None and self._tieline_enabled and not unbounded_var.get():
            timeout = NO_TIMEOUT
        try:
            # By keyword, as a session does: others have put a `send` of theirs in between.
            return super().send(
                request,
                stream=stream,
                timeout=timeout,
                verify=verify,
                cert=cert,
                proxies=proxies,  # type: ignore[arg-type]
            )
        except Exception as error:
            if not self._tieline_enabled:
                raise
            final = translated(error, request)
            if final is error:
                raise
        try:
            raise final
        finally:
            # It knows this frame; not knowing it back saves a garbage collection.
            del final

    def build_response(
        self, req: requests.PreparedRequest, resp: BaseHTTPResponse
    ) -> requests.Response:
        """As requests'; the body of the response tells why it broke.

        Args:
            req: As requests'.
            resp: As requests'.
        """
        response = super().build_response(req, resp)
        if self._tieline_enabled and type(response) is requests.Response:
            response.__class__ = Response
        return response


NO_TIMEOUT: Final = Timeout(connect=UNSET, read=UNSET)
"""What was not given, in a form that requests hands on as it is."""
