"""Errors of the operating system, the resolver and Python's own modules -> Rule."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from tieline.failure import Kind, Phase
from tieline.rules.table import Rule, first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.failure import Failure

_LOCAL = Rule(Kind.LOCAL, Phase.CONNECT, hint="local-resources")
# No proof of a phase: a connection that is established ends like this when its route is gone.
_NO_ROUTE = Rule(Kind.UNREACHABLE, hint="no-route")

ERRNOS: Final[Mapping[str, Rule]] = {
    "ECONNREFUSED": Rule(Kind.REFUSED, Phase.CONNECT, hint="refused"),
    "EHOSTUNREACH": _NO_ROUTE,
    "ENETUNREACH": _NO_ROUTE,
    "EHOSTDOWN": _NO_ROUTE,
    "ENETDOWN": _NO_ROUTE,
    "EADDRNOTAVAIL": _LOCAL,
    "EMFILE": _LOCAL,
    "ENFILE": _LOCAL,
    "ENOBUFS": _LOCAL,
    # A local firewall, or the permissions of a Unix socket.
    "EACCES": Rule(Kind.UNREACHABLE, Phase.CONNECT, repeat=False, hint="not-permitted"),
    "EPERM": Rule(Kind.UNREACHABLE, Phase.CONNECT, repeat=False, hint="not-permitted"),
    # A Unix socket whose server is not up yet.
    "ENOENT": Rule(Kind.UNREACHABLE, Phase.CONNECT, hint="no-socket"),
    "ETIMEDOUT": Rule(Kind.TIMEOUT, hint="silent"),
    "ECONNRESET": Rule(Kind.RESET, hint="cut"),
    "ECONNABORTED": Rule(Kind.RESET, hint="cut"),
    "EPIPE": Rule(Kind.EOF, hint="cut"),
}

RESOLVER: Final[Mapping[str, Rule]] = {
    "EAI_NONAME": Rule(Kind.NO_NAME, Phase.RESOLVE, repeat=False, hint="no-name"),
    "EAI_NODATA": Rule(Kind.NO_NAME, Phase.RESOLVE, repeat=False, hint="no-name"),
    "EAI_AGAIN": Rule(Kind.RESOLVER, Phase.RESOLVE, hint="resolver"),
    "EAI_FAIL": Rule(Kind.RESOLVER, Phase.RESOLVE, hint="resolver"),
    "EAI_SYSTEM": Rule(Kind.RESOLVER, Phase.RESOLVE, hint="resolver"),
    "EAI_MEMORY": Rule(Kind.LOCAL, Phase.RESOLVE, hint="local-resources"),
}

TYPES: Final[Mapping[str, Rule]] = {
    "ssl.SSLCertVerificationError": Rule(
        Kind.CERTIFICATE, Phase.TLS, repeat=False, hint="certificate"
    ),
    # These may come at any time: a stream can break inside TLS after the handshake as well.
    "ssl.SSLEOFError": Rule(Kind.EOF, hint="cut"),
    "ssl.SSLZeroReturnError": Rule(Kind.EOF, hint="cut"),
    "ssl.SSLError": Rule(Kind.TLS, repeat=False, hint="tls"),
    "socket.gaierror": Rule(Kind.RESOLVER, Phase.RESOLVE, hint="resolver"),
    "builtins.ConnectionRefusedError": ERRNOS["ECONNREFUSED"],
    "builtins.ConnectionResetError": ERRNOS["ECONNRESET"],
    "builtins.ConnectionAbortedError": ERRNOS["ECONNABORTED"],
    "builtins.BrokenPipeError": ERRNOS["EPIPE"],
    "builtins.TimeoutError": ERRNOS["ETIMEDOUT"],
}
"""By type name, for errors without a number: asyncio raises ConnectionResetError() bare."""

NAMES: Final[Mapping[str, Rule]] = {
    "builtins.UnicodeError": Rule(Kind.NO_NAME, Phase.RESOLVE, repeat=False, hint="no-name"),
}
"""By type name, for what means a bad host name as long as no connection has been made."""

_RESOLVER_CODES = {getattr(socket, name): name for name in RESOLVER if hasattr(socket, name)}


def code_of(error: BaseException) -> str:
    """The symbolic name behind an OSError: ``ECONNREFUSED``, ``EAI_AGAIN``; empty without one."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror):
        return _RESOLVER_CODES.get(number, "")
    # ssl.SSLError.errno counts OpenSSL's reasons: 1 would print as EPERM.
    if not isinstance(error, OSError) or "ssl.SSLError" in type_names(error) or number is None:
        return ""
    return errno.errorcode.get(number, "")


def type_names(error: BaseException) -> list[str]:
    """The qualified names of its class and base classes, most derived first."""
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__]


def find(error: BaseException) -> tuple[str, Rule] | None:
    """The code and the rule for an error, by number first, then by type; None if unknown."""
    if getattr(error, "filename", None) is not None:
        # About a file, not a connection: connect() names none, not even of a Unix socket.
        return None
    code = code_of(error)
    table = RESOLVER if code.startswith("EAI_") else ERRNOS
    found = first(table, (code,)) or first(TYPES, type_names(error))
    return None if found is None else (code, found[1])


def classify(error: BaseException, phase: Phase) -> Failure | None:
    """The failure that an error of this family means; None if it is of another.

    Args:
        error: What was raised.
        phase: How far the attempt had come, for codes that do not tell.
    """
    found = find(error)
    if found is None and phase in (Phase.RESOLVE, Phase.CONNECT):
        named = first(NAMES, type_names(error))
        found = None if named is None else ("", named[1])
    if found is None:
        return None
    code, rule = found
    return rule.failure(rule.phase or phase, code=code)
