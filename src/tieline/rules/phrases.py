"""Failures in words: one phrase for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tieline.failure import Kind, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.endpoint import Endpoint
    from tieline.failure import Failure

PHRASES: Final[Mapping[Kind, str]] = {
    Kind.REFUSED: "connection refused by {where}",
    Kind.UNREACHABLE: "{where} is unreachable",
    Kind.TIMEOUT: "no answer from {where} in time, while {doing}",
    Kind.NO_NAME: "the name of {where} does not resolve",
    Kind.RESOLVER: "no answer from the name service for {where}",
    Kind.CERTIFICATE: "the certificate of {where} was not accepted",
    Kind.TLS: "no TLS with {where}",
    Kind.EOF: "{where} closed the connection, while {doing}",
    Kind.RESET: "{where} reset the connection, while {doing}",
    Kind.PROTOCOL: "{where} does not speak the protocol, or broke off, while {doing}",
    Kind.DENIED: "{where} rejected the credentials",
    Kind.NO_TARGET: "{where} does not know what was asked for",
    Kind.BUSY: "{where} is too busy",
    Kind.NOT_READY: "{where} is not ready",
    Kind.SHUTDOWN: "{where} ended the connection",
    Kind.WRONG_ROLE: "{where} has another role than was asked for",
    Kind.SETTINGS: "{where} rejected a connection setting",
    Kind.STALE: "a kept connection to {where} was dead",
    Kind.CONFLICT: "{where} rolled the transaction back",
    Kind.ANSWERED: "{where} answered with an error",
    Kind.REQUEST_TIMEOUT: "{where} waited too long for the request",
    Kind.SERVER_ERROR: "{where} failed",
    Kind.UNSUPPORTED: "{where} does not support this",
    Kind.LOCAL: "this machine has no room for a connection to {where}",
    Kind.UNKNOWN: "the connection to {where} failed, while {doing}",
}

DOING: Final[Mapping[Phase, str]] = {
    Phase.RESOLVE: "resolving the name",
    Phase.CONNECT: "connecting",
    Phase.TLS: "setting up TLS",
    Phase.HANDSHAKE: "starting up",
    Phase.SEND: "sending",
    Phase.RECEIVE: "waiting for the answer",
}


def describe(failure: Failure, endpoint: Endpoint | None) -> str:
    """The failure as a phrase, with its code."""
    where = "the other side" if endpoint is None else endpoint.address
    phrase = PHRASES[failure.kind].format(where=where, doing=DOING[failure.phase])
    return f"{phrase} ({failure.code})" if failure.code else phrase


def seconds(value: float) -> str:
    """A duration for people: ``3 ms``, ``0.25 s``, ``12 s``, ``1234 s``."""
    if value < 0.1:  # noqa: PLR2004 - milliseconds read better below
        return f"{round(value * 1000, 3):.3g} ms"
    if value < 100:  # noqa: PLR2004 - from here on the shorter form would be 1e+03
        return f"{value:.3g} s"
    return f"{value:.0f} s"
