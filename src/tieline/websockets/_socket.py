"""A socket to the server, for threads: all addresses of its name within the time there is."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from tieline.engine import resolver
from tieline.websockets._dial import is_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tieline.websockets._dial import Opening

LEAST = 0.001
"""Seconds: a timeout of 0 means something else to a socket."""


def open_socket(opening: Opening, keywords: Mapping[str, Any]) -> socket.socket:
    """Look the name up, and try its addresses.

    Args:
        opening: Tells the name, and how long it may take.
        keywords: As given, for ``socket.create_connection``.

    Raises:
        OSError: Of the last address, or of the name.
    """
    own = dict(keywords)
    own.pop("address", None)
    most = own.pop("timeout", None)
    name = opening.name or ""
    if is_literal(name):
        opening.resolved()
        return _connect(name, opening, (most, opening.left()), own)
    found = resolver.shared.resolve(name, opening.port, opening.left())
    opening.resolved()
    for address, share, last in opening.shares(found):
        try:
            sock = _connect(address, opening, (most, share, opening.left()), own)
        except Exception as error:
            if last or not opening.goes_on(error):
                raise
        else:
            opening.answered(address)
            return sock
    raise AssertionError("a name that resolves has addresses")


def _connect(
    address: str, opening: Opening, limits: Iterable[float | None], own: dict[str, Any]
) -> socket.socket:
    limit = min((max(LEAST, limit) for limit in limits if limit is not None), default=None)
    sock = socket.create_connection((address, opening.port), timeout=limit, **own)
    # `wrap_socket` would leave a socket open that is reset by now.
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        sock.close()
        raise OSError(number, os.strerror(number))
    sock.settimeout(None)
    return sock
