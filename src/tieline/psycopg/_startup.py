"""Starting a libpq connection while noting what psycopg would lose: phase, cause and SQLSTATE.

The generator does what ``psycopg.generators.connect`` does (3.3.9), with three differences: it
waits until the socket is writable before the first poll, as libpq's documentation asks, without
which a remote refusal reads "server closed the connection unexpectedly"; it notes libpq's status
before each poll; and it has libpq put the SQLSTATE into its messages.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from functools import cache
from typing import TYPE_CHECKING

from psycopg import pq
from psycopg.errors import finish_pgconn
from psycopg.waiting import Wait

from tieline.errors import ConnectFailed
from tieline.psycopg._wait import is_writable
from tieline.rules.libpq import native_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGenConn
    from psycopg.pq.abc import PGconn

    from tieline.rules.libpq import Evidence

_VERBOSE, _DEFAULT = 2, 1
"""libpq's ``PGVerbosity``: PQERRORS_VERBOSE and PQERRORS_DEFAULT."""

_STATUSES = {int(status): status.name for status in pq.ConnStatus}

_TCP_STATES = {7: "rst", 8: "fin"}
"""Linux' TCP_CLOSE and TCP_CLOSE_WAIT (``tcp_states.h``): what the other side did."""


def start(conninfo: str, evidence: Evidence) -> PQGenConn[PGconn]:
    """Connect, noting evidence on the way.

    Args:
        conninfo: For libpq.
        evidence: Filled in.

    Raises:
        psycopg.OperationalError: As psycopg raises it, with the same text.
    """
    connection = pq.PGconn.connect_start(conninfo.encode())
    if connection.status == pq.ConnStatus.BAD:
        raise _failed("connection is bad", connection, evidence)
    _show_code(connection, evidence)
    copy: socket.socket | None = None
    # Noted at once, and not in the end: asyncio keeps a cancelled generator alive for a while.
    evidence.status = _STATUSES.get(connection.status, "LATER")
    try:
        if not is_writable(connection.socket):
            while not (yield connection.socket, Wait.W):
                pass
        while True:
            status = connection.status
            evidence.status = _STATUSES.get(status, "LATER")
            evidence.tls = connection.ssl_in_use
            if status == pq.ConnStatus.STARTED:
                # The first socket, or another: libpq begins anew to try without TLS.
                copy = _duplicate(connection.socket, copy)
            polled = connection.connect_poll()
            if polled == pq.PollingStatus.OK:
                break
            if polled == pq.PollingStatus.FAILED:
                evidence.tcp = _tcp_state(copy)
                raise _failed("connection failed", connection, evidence)
            wanted = Wait.R if polled == pq.PollingStatus.READING else Wait.W
            while not (yield connection.socket, wanted):
                pass
    finally:
        if copy is not None:
            copy.close()
    _hide_code(connection)
    connection.nonblocking = 1
    return connection


def _failed(prefix: str, connection: PGconn, evidence: Evidence) -> Exception:
    text = evidence.take_message(connection.error_message.decode("utf-8", "replace")).strip()
    text = text or "no error details available"
    return native_error(ConnectFailed, f"{prefix}: {text}", finish_pgconn(connection))


def _duplicate(fileno: int, previous: socket.socket | None) -> socket.socket | None:
    """A second handle of libpq's socket, which outlives libpq's own, in place of an older one."""
    if previous is not None:
        previous.close()
    try:
        return socket.socket(fileno=os.dup(fileno))
    except OSError:
        return None


def _tcp_state(handle: socket.socket | None) -> str:
    """What the kernel had received on a socket: ``fin``, ``rst``, or empty if it cannot tell."""
    option = getattr(socket, "TCP_INFO", None)
    if handle is None or option is None or not sys.platform.startswith("linux"):
        return ""
    try:
        state = handle.getsockopt(socket.IPPROTO_TCP, option, 1)
    except OSError:
        # A Unix socket has no such state.
        return ""
    return _TCP_STATES.get(state[0], "")


def _show_code(connection: PGconn, evidence: Evidence) -> None:
    set_verbosity = _set_verbosity()
    if set_verbosity is not None:
        set_verbosity(_pointer(connection), _VERBOSE)
        evidence.code_shown = True


def _hide_code(connection: PGconn) -> None:
    set_verbosity = _set_verbosity()
    if set_verbosity is not None:
        set_verbosity(_pointer(connection), _DEFAULT)


def _pointer(connection: PGconn) -> int | None:
    # Public in every implementation of psycopg.pq, but missing from its protocol class.
    pointer: int | None = getattr(connection, "pgconn_ptr", None)
    return pointer


@cache
def _set_verbosity() -> Callable[[int | None, int], int] | None:
    """Libpq's ``PQsetErrorVerbosity``, which psycopg does not wrap; None where it is not found.

    It is looked up through psycopg's extension module, whose dependencies include the very libpq
    that it uses, under whatever name a binary package bundles it.
    """
    module = sys.modules[pq.PGconn.__module__]
    try:
        library = pq.misc.find_libpq_full_path() if pq.__impl__ == "python" else module.__file__
        function = ctypes.CDLL(library).PQsetErrorVerbosity
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_int)
    function.restype = ctypes.c_int
    found: Callable[[int | None, int], int] = function
    return found
