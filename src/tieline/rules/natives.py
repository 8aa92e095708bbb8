"""Our class x client -> the native base that callers of this client catch.

It serves for errors that begin with us. One that begins with the client keeps the class that the
client raised. Names are strings, resolved on first use: no client is imported by its table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from tieline.errors import (
    ConfigError,
    ConnectTimeout,
    DeadlineExceeded,
    NotAttempted,
    TielineError,
)
from tieline.failure import REQUEST_PHASES, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

NATIVES: Final[Mapping[tuple[str, type[TielineError], str], str]] = {
    ("psycopg", TielineError, ""): "psycopg.OperationalError",
    ("psycopg", ConfigError, ""): "psycopg.ProgrammingError",
    ("psycopg", ConnectTimeout, ""): "psycopg.errors.ConnectionTimeout",
    ("psycopg_pool", TielineError, ""): "psycopg_pool.PoolTimeout",
    ("psycopg_pool", ConfigError, ""): "psycopg.ProgrammingError",
    ("requests", TielineError, ""): "requests.exceptions.ConnectionError",
    ("requests", DeadlineExceeded, "connect"): "requests.exceptions.ConnectTimeout",
    ("requests", DeadlineExceeded, "request"): "requests.exceptions.ReadTimeout",
    ("requests", ConfigError, ""): "requests.exceptions.InvalidURL",
    ("urllib3", TielineError, ""): "urllib3.exceptions.HTTPError",
    # What urllib3 raises when a server cannot be had: callers' fallbacks catch this one.
    ("urllib3", NotAttempted, ""): "urllib3.exceptions.MaxRetryError",
    ("urllib3", ConfigError, ""): "urllib3.exceptions.LocationParseError",
    ("websockets", TielineError, ""): "websockets.exceptions.WebSocketException",
    ("websockets", ConfigError, ""): "websockets.exceptions.InvalidURI",
}
"""The last part of the key narrows a row to a half of the attempt: connect or request."""


def native_class(client: str, ours: type[TielineError]) -> type[Exception]:
    """The native class of a client, for code that catches or raises it.

    Args:
        client: Name of the client's package.
        ours: Our class.
    """
    found = native_base(client, ours)
    if found is None:
        raise LookupError(f"no native class of {client!r} for {ours.__name__}")
    return found


def native_base(
    client: str, ours: type[TielineError], phase: Phase | None = None
) -> type[Exception] | None:
    """The native class to fuse ours with; None for a guarded function, which has no client.

    Args:
        client: Name of the client's package; empty for a guarded function.
        ours: Our class.
        phase: How far the last attempt had come, if one was made.
    """
    half = "request" if phase in REQUEST_PHASES else "connect"
    for cls in ours.__mro__:
        if not issubclass(cls, TielineError):
            continue
        name = NATIVES.get((client, cls, half)) or NATIVES.get((client, cls, ""))
        if name is not None:
            module, _, attribute = name.rpartition(".")
            found: type[Exception] = getattr(importlib.import_module(module), attribute)
            return found
    return None
