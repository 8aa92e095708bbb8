"""What urllib3 itself raises: made by us where we stand in for a piece of it, and made fit to show."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, cast

from tieline import redact
from tieline.errors import ConfigError, TielineError
from tieline.failure import REQUEST_PHASES, Kind
from tieline.rules.fuse import fuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tieline.failure import Failure

BAD_URL: Final = f"url: malformed {redact.HIDDEN}"


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


def retry_after(retry: Any, response: object) -> float | None:
    """Seconds that urllib3's own retry settings read in an answer; None where it makes no sense.

    Args:
        retry: The caller's.
        response: The answer.
    """
    try:
        return cast("float | None", retry.get_retry_after(response))
    except _class("InvalidHeader"):
        return None


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


def cut_short() -> Exception:
    """What http.client raises for an answer that ends too early."""
    from http.client import IncompleteRead

    return IncompleteRead(b"")


def body_is_gone() -> Exception:
    """What urllib3 raises for a body that it cannot read again."""
    said = (
        "the request was redirected, and its body cannot be sent again: it is no file with seek()"
    )
    return cast("Exception", _class("UnrewindableBodyError")(said))


def bad_url(error: Exception) -> Exception:
    """What is raised for a URL that cannot be read; other errors come back as they are."""
    parse = _class("LocationParseError")
    if isinstance(error, TielineError) or not isinstance(error, parse):
        return error
    facts = {"problems": (BAD_URL,)}
    made = fuse(ConfigError, parse, None, BAD_URL, facts)
    made.__dict__["location"] = error.__dict__.get("location")
    return made


def reason(error: BaseException) -> str:
    """What urllib3, or what is below it, says in one line; secrets must be out of it already."""
    return " ".join(str(getattr(error, "reason", None) or error).split())


def without_secrets(error: BaseException, url: str) -> BaseException:
    """The same error, with nothing secret of the URL in its text or in that of its causes.

    Its attributes, such as ``url``, stay what they were.
    """
    shown = redact.reference(url)
    if url and shown != url:
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


def without_frames(error: BaseException) -> None:
    """Let go of where it was raised, and of where its causes were."""
    for part in _all(error):
        part.__traceback__ = None


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
