"""The module functions: each makes a session for one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.requests._session import Session

if TYPE_CHECKING:
    from typing import Unpack

    import requests
    from requests import _types as t


def request(method: str, url: t.UriType, **kwargs: Unpack[t.RequestKwargs]) -> requests.Response:
    """Send one request, as requests' function of that name does.

    Args:
        method: As requests'.
        url: As requests'.
        **kwargs: As those of `Session.request`.

    Raises:
        TielineError: One of its classes; also what requests raises.
    """
    with Session() as session:
        return session.request(method=method, url=url, **kwargs)


def get(
    url: t.UriType, params: t.ParamsType = None, **kwargs: Unpack[t.GetKwargs]
) -> requests.Response:
    """As requests'."""
    return request("get", url, params=params, **kwargs)


def options(url: t.UriType, **kwargs: Unpack[t.RequestKwargs]) -> requests.Response:
    """As requests'."""
    return request("options", url, **kwargs)


def head(url: t.UriType, **kwargs: Unpack[t.RequestKwargs]) -> requests.Response:
    """As requests'."""
    kwargs.setdefault("allow_redirects", False)
    return request("head", url, **kwargs)


def post(
    url: t.UriType, data: t.DataType = None, json: t.JsonType = None, **kwargs: Unpack[t.PostKwargs]
) -> requests.Response:
    """As requests'."""
    return request("post", url, data=data, json=json, **kwargs)


def put(
    url: t.UriType, data: t.DataType = None, **kwargs: Unpack[t.DataKwargs]
) -> requests.Response:
    """As requests'."""
    return request("put", url, data=data, **kwargs)


def patch(
    url: t.UriType, data: t.DataType = None, **kwargs: Unpack[t.DataKwargs]
) -> requests.Response:
    """As requests'."""
    return request("patch", url, data=data, **kwargs)


def delete(url: t.UriType, **kwargs: Unpack[t.RequestKwargs]) -> requests.Response:
    """As requests'."""
    return request("delete", url, **kwargs)
