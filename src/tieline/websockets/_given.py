"""What a caller and the environment ask for, as far as it is ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from websockets.datastructures import Headers
from websockets.uri import parse_uri

from tieline import config
from tieline.config import names
from tieline.endpoint import Endpoint
from tieline.errors import ConfigError
from tieline.rules.natives import native_class
from tieline.rules.translate import config_error
from tieline.rules.websockets import bad_setting
from tieline.websockets._seam import Seam

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.uri import WebSocketURI

    from tieline.policy.policy import Policy

CLIENT: Final = "websockets"

HEADER_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""The name of a header (RFC 9110, 5.6.2)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a client that connects is to do.

    Attributes:
        enabled: Whether we act at all.
        uri: Where to.
        place: The endpoint that this means.
        target: Name of the target; None for the endpoint itself.
        policy: The settings.
        secrets: Names of the headers that come from the environment, in lower case.
        origin: The only place that these are sent to: secure or not, host and port.
    """

    enabled: bool
    uri: str = field(repr=False)
    place: Endpoint
    target: str | None
    policy: Policy
    secrets: frozenset[str] = frozenset()
    origin: tuple[bool, str, int] | None = None

    def headers(self, uri: WebSocketURI, headers: Any) -> Any:
        """The headers for a place where a redirect may have led.

        Args:
            uri: The place.
            headers: Those of the attempt.
        """
        if not self.secrets or origin_of(uri) == self.origin:
            return headers
        kept = Headers()
        for name, value in Headers(headers).raw_items():
            if name.lower() not in self.secrets:
                kept[name] = value
        return kept


def origin_of(uri: WebSocketURI) -> tuple[bool, str, int]:
    """What makes two URIs lead to the same server."""
    return uri.secure, uri.host, uri.port


def given(
    uri: str | None, target: str | None, policy: Policy | None, keywords: dict[str, Any]
) -> Given:
    """Read the arguments, and the environment for what they leave open.

    Args:
        uri: As given; None for the one in the environment.
        target: Name of the target.
        policy: The settings.
        keywords: Those of websockets. Headers from the environment are added, and the timeout.

    Raises:
        ConfigError: There is no URI, or one that makes no sense.
        TypeError: There is neither URI nor target.
    """
    if uri is None and target is None:
        raise TypeError("connect() missing 1 required positional argument: 'uri' (or target=)")
    found = config.resolve(CLIENT, target, policy=policy)
    if uri is None and found.url is None:
        variable = f"{names.of_target(target or '')}URL"
        raise config_error((f"uri: not given, and {variable} is not set",), CLIENT, target=target)
    where = uri if uri is not None else found.url or ""
    parsed = parsed_uri(where)
    secrets: frozenset[str] = frozenset()
    origin = None
    if found.headers and found.url is not None:
        origin = origin_of(parsed_uri(found.url))
        if origin == origin_of(parsed):
            problems = tuple(
                f"headers: {name!r} is no name of a header"
                for name in found.headers
                if not re.fullmatch(HEADER_NAME, name)
            )
            if problems:
                raise config_error(problems, CLIENT, target=target)
            secrets = _add_headers(keywords, found.headers)
    settled = found.policy
    if "open_timeout" in keywords:
        settled = _settled(settled, keywords["open_timeout"])
    elif found.enabled:
        keywords["open_timeout"] = settled.attempt_timeout
    return Given(found.enabled, where, place_of(parsed, keywords), target, settled, secrets, origin)


def parsed_uri(uri: str) -> WebSocketURI:
    """The parts of a URI.

    Raises:
        ConfigError: It makes no sense; also websockets' ``InvalidURI``.
    """
    try:
        return parse_uri(uri)
    except native_class(CLIENT, ConfigError) as error:
        wrong = bad_setting(error)
    except ValueError:
        # A port that is none; what was raised holds a piece of the URI.
        wrong = bad_setting(native_class(CLIENT, ConfigError)(uri, "malformed"))
    raise wrong from None


@lru_cache(maxsize=64)
def _settled(policy: Policy, timeout: float | None) -> Policy:
    return policy.with_attempt_timeout(timeout)


def _add_headers(keywords: dict[str, Any], more: Mapping[str, str]) -> frozenset[str]:
    headers = Headers(keywords.get("additional_headers") or ())
    added = {name: value for name, value in more.items() if name not in headers}
    headers.update(added)
    keywords["additional_headers"] = headers
    return frozenset(map(str.lower, added))


def place_of(uri: WebSocketURI, keywords: Mapping[str, Any]) -> Endpoint:
    """The endpoint that a URI means, or that the keywords put in its place."""
    scheme = "wss" if uri.secure else "ws"
    if keywords.get("unix"):
        return Endpoint(scheme, str(keywords.get("path") or uri.host), None)
    # `address` in threads, `host` and `port` on asyncio: both lead elsewhere than the URI.
    host, port = keywords.get("address") or (keywords.get("host"), keywords.get("port"))
    return Endpoint(scheme, host or uri.host, port or uri.port)


def factory(
    ours: type[Seam],
    asked: Any,
    noted: Callable[[Any], None],
    failed: Callable[[Exception], None],
) -> Callable[..., Any]:
    """What makes the connections: of our class, or of the caller's with ours mixed in.

    Args:
        ours: Our class.
        asked: ``create_connection`` of the caller, a class or any callable; None without.
        noted: Is told of each connection.
        failed: Is told of each error in making one.
    """
    make = ours if asked is None else asked
    if isinstance(make, type) and not issubclass(make, Seam):
        make = mixed(ours, make)  # type: ignore[arg-type]  # a class has a hash of its own

    def made(*args: Any, **kwargs: Any) -> Any:
        try:
            connection = make(*args, **kwargs)
        except Exception as error:
            failed(error)
            raise
        noted(connection)
        return connection

    return made


@cache
def mixed(ours: Any, theirs: Any) -> type[Any]:
    """A caller's subclass of the native class, with what ours adds; made once."""
    body = {"__module__": theirs.__module__, "__doc__": theirs.__doc__}
    return type(theirs.__name__, (ours, theirs), body)


def once(policy: Policy) -> Policy:
    """The settings of one opening in a loop: the loop itself decides what follows."""
    seconds = [
        limit for limit in (policy.attempt_timeout, policy.call_timeout) if limit is not None
    ]
    single = replace(policy.retry, max_attempts=1)
    return replace(
        policy, retry=single, call_timeout=None, attempt_timeout=min(seconds, default=None)
    )
