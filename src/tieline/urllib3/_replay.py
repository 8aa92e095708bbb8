"""Request bodies: which of them can be sent a second time, and from where."""

from __future__ import annotations

from typing import Any

from tieline.rules.http_native import body_is_gone

PLAIN = (type(None), str, bytes, bytearray, memoryview)
"""Bodies that are values, and stay what they are."""


def is_replayable(body: Any) -> bool:
    """Whether urllib3 can send the same body again.

    It reads files from where they began. What an iterable has given may be gone: urllib3 would
    send what is left of it, an empty body as a rule, as if that were all. So only what is known to
    give the same again counts.
    """
    if isinstance(body, (*PLAIN, list, tuple)):
        return True
    if hasattr(body, "read"):
        return hasattr(body, "seek") and isinstance(position(body), int)
    try:
        memoryview(body)
    except TypeError:
        return False
    return True


def position(body: Any) -> Any:
    """Where a file stands now; None for what is no file, or cannot tell."""
    if isinstance(body, PLAIN) or not hasattr(body, "tell"):
        return None
    try:
        return body.tell()
    except OSError:
        return None


def positions(body: Any, given: Any, *, again: bool) -> tuple[Any, Any]:
    """Where a body begins, as urllib3 is to be told: for the first attempt, and for others.

    Args:
        body: What is sent.
        given: What the caller says of it.
        again: Whether it was sent before, to where a redirect came from.

    Raises:
        HTTPError: It was, and cannot be sent again.
    """
    if again and not is_replayable(body):
        raise body_is_gone()
    return given, position(body) if given is None else given
