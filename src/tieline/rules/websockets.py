"""What websockets raises, and the codes that a connection is closed with -> Rule."""

from __future__ import annotations

import dataclasses
import errno
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tieline import redact
from tieline.errors import ConfigError
from tieline.failure import Kind, Phase, Safety
from tieline.rules import http, system
from tieline.rules.fuse import fuse
from tieline.rules.table import Rule, first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.failure import Failure

_CUT = Rule(Kind.EOF, hint="cut")
_RESET = system.ERRNOS["ECONNRESET"]
_NOT_OURS = Rule(Kind.PROTOCOL, Phase.HANDSHAKE, repeat=False, hint="not-websocket")
_REDIRECT = Rule(Kind.ANSWERED, Phase.HANDSHAKE, repeat=False, hint="redirects")
_UNKNOWN = Rule(Kind.UNKNOWN)
_TIMEOUT = system.ERRNOS["ETIMEDOUT"]
_HANDSHAKE = "websockets.exceptions.InvalidHandshake"
_NEGOTIATION = "websockets.exceptions.NegotiationError"
_HEADER = "websockets.exceptions.InvalidHeader"
_SECURITY = "websockets.exceptions.SecurityError"
_URI = "websockets.exceptions.InvalidURI"
_NOT_DONE = "websockets.exceptions.InvalidProxyStatus"

EXCEPTIONS: Final[Mapping[str, Rule]] = {
    "websockets.exceptions.InvalidProxyMessage": _CUT,
    "websockets.exceptions.ProxyError": Rule(Kind.UNKNOWN, Phase.HANDSHAKE),
    # More redirects than there may be, or one that leads out of TLS.
    "websockets.exceptions.SecurityError": _REDIRECT,
    # Of a redirect: that of the caller was looked at before.
    "websockets.exceptions.InvalidURI": _REDIRECT,
    "websockets.exceptions.InvalidMessage": _NOT_OURS,
    "websockets.exceptions.StatusLineTooLong": _NOT_OURS,
    "websockets.exceptions.HeaderLineTooLong": _NOT_OURS,
    "websockets.exceptions.TooManyHeaders": _NOT_OURS,
    "websockets.exceptions.InvalidHandshake": _NOT_OURS,
    # In threads an opening may end like a connection that was open before: who sees the end
    # first, the thread that reads or the one that sends, is left to chance.
    "websockets.exceptions.ConnectionClosed": _CUT,
    "builtins.EOFError": _CUT,
}
"""By type name: an opening that failed, where the system did not fail."""

_DENIED = Rule(Kind.DENIED, repeat=False, hint="login")
_NO_PATH = Rule(Kind.NO_TARGET, repeat=False, hint="no-path")
NO_UPGRADE: Final = Rule(Kind.ANSWERED, repeat=False, hint="no-upgrade")

STATUSES: Final[Mapping[str, Rule]] = {
    **{str(status): http.STATUSES[status] for status in (408, 429, 502, 503, 504)},
    "401": _DENIED,
    "403": _DENIED,
    "404": _NO_PATH,
    "410": _NO_PATH,
    # As websockets' own loop has it: nothing was asked for yet that could be done twice.
    "500": dataclasses.replace(http.STATUSES[500], repeat=True),
}
"""Status of the answer to an opening; any other means that there is no WebSocket."""

_OBJECTS = Rule(Kind.ANSWERED, repeat=False, hint="peer-objects")
_BAD_FRAME = Rule(Kind.PROTOCOL, repeat=False, hint="bad-frame")

RECEIVED: Final[Mapping[int, Rule]] = {
    1000: Rule(Kind.SHUTDOWN, repeat=False, hint="closed"),
    1001: Rule(Kind.SHUTDOWN, hint="going-away"),
    1002: _OBJECTS,
    1003: _OBJECTS,
    # A close frame without a code.
    1005: Rule(Kind.SHUTDOWN, hint="going-away"),
    1007: _OBJECTS,
    1008: _OBJECTS,
    1009: _OBJECTS,
    1010: _OBJECTS,
    1011: Rule(Kind.SERVER_ERROR, hint="server-fault"),
    1012: Rule(Kind.SHUTDOWN, hint="going-away"),
    1013: Rule(Kind.BUSY, hint="throttled"),
    1014: Rule(Kind.NOT_READY, hint="gateway"),
}
"""Close code from the other side (RFC 6455, 7.4, and IANA's registry)."""

APPLICATION: Final = Rule(Kind.ANSWERED, repeat=False, hint="application-close")
"""A code from 3000 on: only the application knows what it means."""

FAILED: Final[Mapping[int, Rule]] = {
    1002: _BAD_FRAME,
    1007: _BAD_FRAME,
    1009: _BAD_FRAME,
}
"""Close code that the client itself sent first, because of what it received."""

NO_PONG: Final = Rule(Kind.TIMEOUT, hint="ping")

PING_TIMEOUT: Final = "keepalive ping timeout"
"""Reason that the client gives with the code 1011 when a ping of its own was not answered."""

_NO_CONNECTION: Final = "timed out"
"""What a socket says that could not connect; a proxy that does not answer reads another way."""

_NUMBERS: Final = re.compile(r"\[Errno (\d+)\]")

_LED_TO: Final = re.compile(
    r"(?s)(cannot follow (?:cross-origin )?redirect to (?:non-secure URI )?)(.*?)( with an? .*)?"
)
_MALFORMED: Final = re.compile(r"(?i)port could not|port out of|ipv6|ipv4|netloc|hostname|label")


@dataclass(slots=True)
class Evidence:
    """What was seen of an opening.

    Attributes:
        phase: How far it had come.
        secure: Whether TLS is what comes after the connection.
        proxied: Whether it is still on its way through a proxy.
        answer: What the client found wrong with the answer; None where it came to none.
        reset: Whether the system told of a reset, also where the client forgot it.
    """

    phase: Phase = Phase.RESOLVE
    secure: bool = False
    proxied: bool = False
    answer: BaseException | None = None
    reset: bool = False


def classify_open(error: Exception, evidence: Evidence) -> Failure | None:
    """The failure that ended an opening; None for an error that is none of connecting.

    Args:
        error: What the client raised.
        evidence: What was seen.
    """
    failure = _classify(error, evidence)
    return failure if failure is None or not evidence.proxied else http.at_proxy(failure)


def _classify(error: Exception, evidence: Evidence) -> Failure | None:
    """The failure, by what tells most.

    The exception alone does not tell: one and the same reset comes in three types, by chance. So
    what the client found wrong with an answer goes first, then what the system told.
    """
    told = _telling(error, evidence.answer)
    named = set(system.type_names(told))
    if _NEGOTIATION in named or (_HEADER in named and told is not evidence.answer):
        # What the caller asked for, or a header that cannot be sent.
        return None
    response = getattr(told, "response", None)
    if response is not None:
        return _declined(response, by_proxy=_NOT_DONE in system.type_names(told))
    found = first(EXCEPTIONS, system.type_names(told))
    if found is not None:
        rule = found[1]
        if isinstance(told.__cause__, EOFError) or rule is _CUT:
            rule = _RESET if evidence.reset or is_reset(error) or is_reset(told) else _CUT
        return rule.failure(rule.phase or _accepted(evidence))
    if isinstance(error, OSError) and not system.code_of(error):
        return _without_number(error, evidence)
    failure = system.classify(error, evidence.phase)
    if failure is not None and failure.kind in (Kind.RESET, Kind.EOF):
        # A reset can overtake the report that the connection was accepted.
        return dataclasses.replace(failure, phase=_accepted(evidence))
    return failure


def _telling(error: Exception, answer: BaseException | None) -> BaseException:
    """What was raised, or what was wrong with the answer, where that tells more."""
    if answer is None or _HANDSHAKE in system.type_names(error):
        return error
    # Giving up cuts the connection, which then ends without an answer.
    gave_up = isinstance(error, TimeoutError) and isinstance(answer.__cause__, EOFError)
    return error if gave_up else answer


def _declined(response: Any, *, by_proxy: bool) -> Failure:
    status, headers = str(response.status_code), response.headers
    table, otherwise = (http.TUNNELS, http.NO_TUNNEL) if by_proxy else (STATUSES, NO_UPGRADE)
    rule = table.get(status, otherwise)
    # The first of several: asking for the only one of two is an error.
    after, date = (next(iter(headers.get_all(name)), None) for name in ("Retry-After", "Date"))
    asked = http.retry_after(after, date, time.time())
    return rule.failure(Phase.HANDSHAKE, code=status, retry_after=asked)


def _accepted(evidence: Evidence) -> Phase:
    """The phase of a connection that somebody has accepted."""
    if evidence.phase in (Phase.RESOLVE, Phase.CONNECT):
        return Phase.TLS if evidence.secure else Phase.HANDSHAKE
    return evidence.phase


def _without_number(error: OSError, evidence: Evidence) -> Failure | None:
    """An error of asyncio's own, which has no number."""
    phase = evidence.phase
    if isinstance(error, TimeoutError):
        if evidence.proxied and phase is Phase.CONNECT and str(error) != _NO_CONNECTION:
            phase = Phase.HANDSHAKE
        return _TIMEOUT.failure(phase)
    if phase is Phase.TLS and isinstance(error, ConnectionResetError):
        # An end of stream in the middle of the handshake; a reset has its number.
        return _CUT.failure(phase)
    if phase is Phase.TLS and isinstance(error, ConnectionAbortedError):
        # asyncio's own limit for a TLS handshake.
        return _TIMEOUT.failure(phase)
    numbers = _NUMBERS.findall(str(error))
    if numbers:
        # Several addresses were tried, and each failed.
        return system.classify(OSError(int(numbers[-1]), ""), phase)
    return system.classify(error, phase) or _UNKNOWN.failure(phase)


def is_reset(error: BaseException | None) -> bool:
    """Whether the system told of a reset, in an error or in one that it was raised from."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ECONNRESET:
            return True
        error = error.__cause__
    return False


def close_code(error: Any) -> tuple[int | None, bool]:
    """The code that ended a connection, None where there was none, and whether it was received."""
    received, sent = error.rcvd, error.sent
    if received is not None and (sent is None or error.rcvd_then_sent):
        return received.code, True
    return (None, True) if sent is None else (sent.code, False)


def classify_close(error: Any, phase: Phase, *, reset: bool, in_flight: bool) -> Failure | None:
    """The failure behind the end of a connection; None where we closed it ourselves.

    Args:
        error: A ``ConnectionClosed``.
        phase: Whether we were sending or receiving.
        reset: Whether the system told of a reset.
        in_flight: Whether something was handed to the kernel that no pong has confirmed.
    """
    code, received = close_code(error)
    if code is None:
        rule = _RESET if reset or is_reset(error) else _CUT
    elif received:
        rule = RECEIVED.get(code, APPLICATION)
    elif code in FAILED:
        rule = FAILED[code]
    elif error.sent.reason == PING_TIMEOUT:
        rule = NO_PONG
    else:
        return None
    failure = rule.failure(phase, code="" if code is None else str(code))
    safety = failure.safety
    if safety is not Safety.NEVER:
        safety = Safety.IF_IDEMPOTENT if in_flight else Safety.ALWAYS
    return dataclasses.replace(failure, safety=safety, maybe_applied=in_flight)


def hide_secrets(error: BaseException) -> None:
    """Show nothing secret of where a redirect led, nor of a header that cannot be sent.

    Args:
        error: What an opening failed of; its causes, too.
    """
    part: BaseException | None = error
    while part is not None:
        named = set(system.type_names(part))
        if _URI in named:
            part.__dict__["uri"] = redact.url(part.__dict__["uri"])
            part.args = (part.__dict__["uri"], *part.args[1:])
        elif _HEADER in named and part.__dict__.get("value") is not None:
            part.__dict__["value"] = redact.MASK
            part.args = (*part.args[:1], redact.MASK)
        elif _SECURITY in named or type(part) is ValueError:
            part.args = tuple(_hidden(arg) if isinstance(arg, str) else arg for arg in part.args)
        part = part.__cause__ or part.__context__


def _hidden(text: str) -> str:
    found = _LED_TO.fullmatch(text)
    if found is not None:
        return f"{found[1]}{redact.url(found[2])}{found[3] or ''}"
    # What the parser of URIs says holds a piece of the URI.
    return f"malformed {redact.HIDDEN}" if _MALFORMED.search(text) else text


def bad_setting(error: Any) -> ConfigError:
    """The error for a URI, or the address of a proxy, that makes no sense.

    Nothing of it is shown: a password may be in it.

    Args:
        error: An ``InvalidURI`` or ``InvalidProxy``.
    """
    what = "proxy" if hasattr(error, "proxy") else "uri"
    problem = f"{what}: {error.msg}"
    wrong = fuse(ConfigError, type(error), error, problem, {"problems": (problem,)})
    assert isinstance(wrong, ConfigError)  # noqa: S101 - for the type checkers
    return wrong
