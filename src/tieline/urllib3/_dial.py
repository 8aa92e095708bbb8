"""One socket: the name resolved in time, its addresses tried in a good order."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from urllib3.util import connection as native

from tieline.engine import addresses, resolver
from tieline.engine import clock as clock_module
from tieline.failure import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3.connection import HTTPConnection

    from tieline.urllib3._span import Span

_CREATE: Final = native.create_connection
_FAMILIES: Final = {socket.AF_INET: (False,), socket.AF_INET6: (True,)}


def dial(connection: HTTPConnection, span: Span) -> socket.socket:
    """A connected socket.

    By way of urllib3's ``create_connection``: many applications put their own in its place.

    Raises:
        OSError: Why there is none.
        UnicodeError: The name cannot be one.
    """
    seconds = span.bound(span.timing.connect)
    host, port = connection._dns_host, connection.port
    if seconds is not None and seconds <= 0:
        raise TimeoutError("timed out")
    if native.create_connection is not _CREATE or _is_literal(host):
        span.phase = Phase.CONNECT
        return _create(connection, host, seconds)
    span.phase = Phase.RESOLVE
    until = None if seconds is None else clock_module.active.now() + seconds
    host.encode("idna")
    found = resolver.shared.resolve(host, port, seconds)
    span.phase = Phase.CONNECT
    failed: Exception = OSError("getaddrinfo returns an empty list")
    for address, share in _shares(host, port, found, until):
        try:
            sock = _create(connection, address, share)
        except OSError as error:
            failed = error
        else:
            addresses.remember(host, port, address)
            return sock
    try:
        raise failed
    finally:
        # It knows this frame; not knowing it back saves a garbage collection.
        del failed


def _create(connection: HTTPConnection, host: str, seconds: float | None) -> socket.socket:
    return native.create_connection(
        (host, connection.port),
        seconds,
        source_address=connection.source_address,
        socket_options=connection.socket_options,
    )


def _shares(
    host: str, port: int, found: list[str], until: float | None
) -> Iterator[tuple[str, float | None]]:
    """Each address with the time to try it: a dead one costs its share and no more."""
    families: Any = _FAMILIES.get(native.allowed_gai_family(), (False, True))
    ordered = addresses.in_order(host, port, [one for one in found if (":" in one) in families])
    for left in range(len(ordered), 0, -1):
        share = None
        if until is not None:
            share = (until - clock_module.active.now()) / left
            if share <= 0:
                raise TimeoutError("timed out")
        yield ordered[-left], share


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
