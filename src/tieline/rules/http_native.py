"""What urllib3 itself raises: made by us where we stand in for a piece of it, and made fit to show."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, cast

from tieline.errors import ConfigError, TielineError
from tieline.failure import REQUEST_PHASES, Kind
from tieline.rules.fuse import fuse
from tieline.rules.urls import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.failure import Failure

BAD_URL: Final = "url: malformed (not shown, it may hold a password)"


def _class(name: str) -> Any:
    return getattr(importlib.import_module("urllib3.exceptions"), name)


def not_connected(connection: Any, host: str, error: Exception) -> Exception:
    """What urllib3's connection raises when it gets no socket.

    Args:
        connection: The connection.
        host: The name, as it was looked up.
        error: What the system said.
    """
    if isinstance(error, UnicodeError):
        return cast("Exception", _class("LocationParseError")(f"'{host}', label empty or too long"))
    import socket

    if isinstance(error, socket.gaierror):
        made = _class("NameResolutionError")(connection.host, connection, error)
    elif isinstance(error, TimeoutError):
        said = f"Connection to {connection.host} timed out. (connect timeout={connection.timeout})"
        made = _class("ConnectTimeoutError")(connection, said)
    else:
        said = f"Failed to establish a new connection: {error}"
        made = _class("NewConnectionError")(connection, said)
    return cast("Exception", made)


def simulated(failure: Failure, said: str, pool: object, url: str) -> Exception:
    """What urllib3 might raise for a failure that a test asks for."""
    timeout = failure.kind is Kind.TIMEOUT
    if failure.phase in REQUEST_PHASES:
        made = (
            _class("ReadTimeoutError")(pool, url, said)
            if timeout
            else _class("ProtocolError")(said)
        )
    else:
        made = _class("ConnectTimeoutError" if timeout else "NewConnectionError")(pool, said)
    return cast("Exception", made)


def bad_url(error: Exception) -> Exception:
    """What is raised for a URL that cannot be read; other errors come back as they are."""
    parse = _class("LocationParseError")
    if isinstance(error, TielineError) or not isinstance(error, parse):
        return error
    facts = {"problems": (BAD_URL,)}
    made = fuse(ConfigError, parse, None, BAD_URL, facts)
    made.__dict__["location"] = error.__dict__.get("location")
    return made


def without_secrets(error: BaseException, url: str) -> BaseException:
    """The same error, with nothing secret of the URL in its text or in that of its causes.

    Its attributes, such as ``url``, stay what they were.
    """
    shown = masked(url)
    if shown != url:
        for part in _all(error):
            if isinstance(part, TielineError):
                continue
            part.args = tuple(
                arg.replace(url, shown) if isinstance(arg, str) else arg for arg in part.args
            )
            said = part.__dict__.get("_message")
            if isinstance(said, str):
                part.__dict__["_message"] = said.replace(url, shown)
    return error


def _all(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        linked = (part.__cause__, part.__context__, getattr(part, "reason", None), *part.args)
        waiting += [other for other in linked if isinstance(other, BaseException)]
