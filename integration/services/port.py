"""A port that is nobody else's while its server is down."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def reserved_port(host: str) -> Iterator[int]:
    """A port that is handed out to nobody inside the block, and refuses connections.

    A port that is bound is handed out to nobody. The server itself may bind it too, as both
    sockets agree to share it (SO_REUSEADDR) and only one of them listens.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((host, 0))
        yield reservation.getsockname()[1]
