"""Our class x client -> the native base that callers of this client catch.

It serves for errors that begin with us. One that begins with the client keeps the class that the
client raised. Names are strings, resolved on first use: no client is imported by its table.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Final

from tieline.errors import ConfigError, DeadlineExceeded, TielineError
from tieline.failure import REQUEST_PHASES, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

NATIVES: Final[Mapping[tuple[str, type[TielineError], str], str]] = {
    ("psycopg", TielineError, ""): "psycopg.OperationalError",
    ("psycopg", ConfigError, ""): "psycopg.ProgrammingError",
    ("psycopg_pool", TielineError, ""): "psycopg_pool.PoolTimeout",
    ("psycopg_pool", ConfigError, ""): "psycopg.ProgrammingError",
    ("requests", TielineError, ""): "requests.exceptions.ConnectionError",
    ("requests", DeadlineExceeded, "connect"): "requests.exceptions.ConnectTimeout",
    ("requests", DeadlineExceeded, "request"): "requests.exceptions.ReadTimeout",
    ("requests", ConfigError, ""): "requests.exceptions.InvalidURL",
    ("urllib3", TielineError, ""): "urllib3.exceptions.HTTPError",
    ("urllib3", DeadlineExceeded, ""): "urllib3.exceptions.TimeoutError",
    ("urllib3", ConfigError, ""): "urllib3.exceptions.LocationParseError",
    ("websockets", TielineError, ""): "websockets.exceptions.WebSocketException",
    ("websockets", ConfigError, ""): "websockets.exceptions.InvalidURI",
}
"""The last part of the key narrows a row to a half of the attempt: connect or request."""


@cache
def native_base(
    client: str, ours: type[TielineError], phase: Phase | None
) -> type[BaseException] | None:
    """The native class to fuse ours with; None for a guarded function, which has no client."""
    half = "request" if phase in REQUEST_PHASES else "connect"
    for cls in ours.__mro__:
        if not issubclass(cls, TielineError):
            continue
        name = NATIVES.get((client, cls, half)) or NATIVES.get((client, cls, ""))
        if name is not None:
            module, _, attribute = name.rpartition(".")
            found = getattr(importlib.import_module(module), attribute)
            assert issubclass(found, BaseException)  # noqa: S101 - for the type checkers
            return found
    return None
