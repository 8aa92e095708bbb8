"""`Session`: requests', whose adapters keep to the policy of a target."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Final

import requests
from requests.structures import CaseInsensitiveDict

from tieline.requests._adapter import HTTPAdapter
from tieline.requests._place import place
from tieline.requests._said import unbounded_var
from tieline.rules.requests_native import without_secrets
from tieline.urllib3._once import redirected_var

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from requests import _types as t
    from requests.cookies import RequestsCookieJar

    from tieline.policy.policy import Policy


class _NotGiven:
    """Where no timeout was given: ``None`` means that there is to be none."""

    def __repr__(self) -> str:
        return "<5 s to connect, 30 s between two pieces>"


NOT_GIVEN: Final[Any] = _NotGiven()

_REDIRECTED: Final = "_tieline_redirected"
"""Marks a request that was answered before, by a redirect."""


class Session(requests.Session):
    """A ``requests.Session`` that repeats what is safe, and names the true cause of failure."""

    __module__ = "tieline.requests"

    __attrs__: ClassVar[list[str]] = [  # type: ignore[misc]  # pickled by these
        *requests.Session.__attrs__,
        "_tieline_target",
        "_tieline_policy",
    ]

    def __init__(self, *, target: str | None = None, policy: Policy | None = None) -> None:
        """As requests', with two keywords.

        Args:
            target: Name of the target; by default each origin, such as ``https://billing:443``, is
                one. What has one target shares one budget. Relative URLs are below the URL that
                the environment has for it, and requests to that origin have its headers.
            policy: The settings; by default 25 s for a call up to the head of its answer, and 3
                attempts.

        Raises:
            ConfigError: The settings make no sense.
        """
        super().__init__()
        self._tieline_target, self._tieline_policy = target, policy
        self._tieline_place = place(target, policy)
        for prefix in ("https://", "http://"):
            self.mount(prefix, HTTPAdapter(target=target, policy=policy))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As requests'; the environment is asked anew, and its secrets are in no pickle."""
        super().__setstate__(state)
        self._tieline_place = place(self._tieline_target, self._tieline_policy)

    def request(
        self,
        method: str,
        url: t.UriType,
        params: t.ParamsType = None,
        data: t.DataType = None,
        headers: t.HeadersType = None,
        cookies: RequestsCookieJar | CookieJar | dict[str, str] | None = None,
        files: t.FilesType = None,
        auth: t.AuthType = None,
        timeout: t.TimeoutType = NOT_GIVEN,
        allow_redirects: bool = True,
        proxies: dict[str, str] | None = None,
        hooks: t.HooksInputType | None = None,
        stream: bool | None = None,
        verify: t.VerifyType | None = None,
        cert: t.CertType = None,
        json: t.JsonType = None,
    ) -> requests.Response:
        """As requests'.

        Args:
            method: As requests'; with the headers it decides what may be repeated.
            url: As requests'; with a named target also a path below the target's URL.
            params: As requests'.
            data: As requests'. An iterator is sent once and never again.
            headers: As requests'; an ``Idempotency-Key`` makes any method repeatable.
            cookies: As requests'.
            files: As requests'.
            auth: As requests'.
            timeout: As requests'; by default 5 s to connect and 30 s between two pieces. None means
                no limit.
            allow_redirects: As requests'.
            proxies: As requests'.
            hooks: As requests'.
            stream: As requests'.
            verify: As requests'.
            cert: As requests'.
            json: As requests'.

        Raises:
            TielineError: One of its classes; also what requests raises.
        """
        given = timeout is not NOT_GIVEN
        token = unbounded_var.set(given and timeout is None)
        # One made by a hook, while a redirect is followed, was itself never answered before.
        hop = redirected_var.set(False) if redirected_var.get() else None
        try:
            return super().request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                cookies=cookies,
                files=files,
                auth=auth,
                timeout=timeout if given else None,
                allow_redirects=allow_redirects,
                proxies=proxies,
                hooks=hooks,
                stream=stream,
                verify=verify,
                cert=cert,
                json=json,
            )
        finally:
            if hop is not None:
                redirected_var.reset(hop)
            unbounded_var.reset(token)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As requests'.

        Args:
            request: As requests'.

        Raises:
            requests.RequestException: It cannot be sent like this; the text has no secrets of its
                URL in it.
        """
        at = self._tieline_place
        if at.url is not None:
            request = copy(request)
            url = request.url.decode() if isinstance(request.url, bytes) else request.url
            request.url = url = at.absolute(url or "")
            headers = request.headers or {}
            more = dict(at.missing(url, CaseInsensitiveDict(headers), self.headers))
            request.headers = {**headers, **more}
        try:
            return super().prepare_request(request)
        except requests.RequestException as error:
            without_secrets(error, request.url)
            raise

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """As requests'; a redirect to another origin does not take the target's headers there.

        Args:
            prepared_request: As requests'.
            response: As requests'.
        """
        self._tieline_place.withdraw(str(prepared_request.url), prepared_request.headers)
        super().rebuild_auth(prepared_request, response)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As requests'.

        Args:
            request: As requests'.
            **kwargs: As requests'.

        Raises:
            TielineError: One of its classes; also what requests raises.
        """
        redirected = getattr(request, _REDIRECTED, False)
        token = hop = None
        if unbounded_var.get() is None:
            # To follow a redirect by hand, requests needs no timeout, and hands on None.
            given = "timeout" in kwargs and not redirected
            token = unbounded_var.set(given and kwargs["timeout"] is None)
        if redirected:
            hop = redirected_var.set(True)
        try:
            return super().send(request, **kwargs)
        except requests.RequestException as error:
            without_secrets(error, request.url)
            raise
        finally:
            if hop is not None:
                redirected_var.reset(hop)
            if token is not None:
                unbounded_var.reset(token)

    def rebuild_method(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """As requests'; what was sent before the redirect counts as sent.

        Args:
            prepared_request: As requests'.
            response: As requests'.
        """
        super().rebuild_method(prepared_request, response)
        setattr(prepared_request, _REDIRECTED, True)


def session() -> Session:
    """A session, as requests' function of that name gives it."""
    return Session()
