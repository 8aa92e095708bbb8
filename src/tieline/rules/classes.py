"""(phase, kind) -> the class we raise: one total table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tieline import errors
from tieline.failure import Kind, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.failure import Failure

_BY_PHASE: Final[Mapping[Phase, type[errors.TielineError]]] = {
    Phase.RESOLVE: errors.NameNotResolved,
    Phase.CONNECT: errors.ConnectFailed,
    Phase.TLS: errors.TLSFailed,
    Phase.HANDSHAKE: errors.HandshakeFailed,
    Phase.SEND: errors.ConnectionLost,
    Phase.RECEIVE: errors.ConnectionLost,
}
"""What holds for every kind that has no row of its own below."""

_CONNECT: Final[Mapping[Kind, type[errors.TielineError]]] = {
    Kind.REFUSED: errors.Refused,
    Kind.UNREACHABLE: errors.Unreachable,
    Kind.TIMEOUT: errors.ConnectTimeout,
    # The kernel had accepted; a reset can overtake the report of it.
    Kind.RESET: errors.HandshakeFailed,
    Kind.EOF: errors.HandshakeFailed,
}

_ANSWER: Final[Mapping[Kind, type[errors.TielineError]]] = {
    Kind.DENIED: errors.AuthenticationFailed,
    Kind.NO_TARGET: errors.TargetNotFound,
    Kind.BUSY: errors.TooBusy,
    Kind.NOT_READY: errors.NotReady,
    Kind.SHUTDOWN: errors.NotReady,
    Kind.WRONG_ROLE: errors.Declined,
    Kind.SETTINGS: errors.Declined,
    Kind.ANSWERED: errors.Declined,
    Kind.SERVER_ERROR: errors.Declined,
    Kind.UNSUPPORTED: errors.Declined,
    Kind.REQUEST_TIMEOUT: errors.Declined,
    Kind.CONFLICT: errors.Declined,
}
"""A server that answers before it lets us in declines, whatever its words."""

_REQUEST: Final[Mapping[Kind, type[errors.TielineError]]] = {
    Kind.EOF: errors.Aborted,
    Kind.SHUTDOWN: errors.Aborted,
    Kind.STALE: errors.Aborted,
    Kind.RESET: errors.Reset,
    Kind.TIMEOUT: errors.ResponseTimeout,
    Kind.PROTOCOL: errors.BadAnswer,
}

_OVERRIDES: Final[Mapping[Phase, Mapping[Kind, type[errors.TielineError]]]] = {
    Phase.RESOLVE: {},
    Phase.CONNECT: _CONNECT,
    Phase.TLS: {},
    Phase.HANDSHAKE: _ANSWER,
    Phase.SEND: _REQUEST,
    Phase.RECEIVE: _REQUEST,
}

CLASSES: Final[Mapping[tuple[Phase, Kind], type[errors.TielineError]]] = {
    (phase, kind): _OVERRIDES[phase].get(kind, general)
    for phase, general in _BY_PHASE.items()
    for kind in Kind
}

_BY_CODE: Final[Mapping[str, type[errors.TielineError]]] = {"503": errors.TooBusy}
"""Status of a server that answers before it lets us in, and whose class is not that of its kind."""


def class_of(failure: Failure) -> type[errors.TielineError]:
    """The class for a failure."""
    if failure.phase is Phase.HANDSHAKE and failure.code in _BY_CODE:
        return _BY_CODE[failure.code]
    return CLASSES[failure.phase, failure.kind]
