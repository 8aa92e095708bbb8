"""HTTP: what a failed request and an answer mean, for urllib3 and requests alike.

urllib3's own exceptions do not tell how far a request had come: a handshake that times out is a
``ReadTimeoutError``, and every refusal a ``ConnectTimeoutError``. So the connection notes what
it does, and the tables below are read in the light of that.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final, Protocol

from tieline.errors import TooBusy
from tieline.failure import REQUEST_PHASES, Failure, Kind, Phase, Safety
from tieline.rules import system
from tieline.rules.classes import CLASSES
from tieline.rules.table import Rule, first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tieline.errors import TielineError

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods of which a second time does no harm (RFC 9110, 9.2.2)."""

KEY: Final = "idempotency-key"
"""Header by which a caller has the server apply a request once, however often it arrives."""

_FAULT = Rule(Kind.SERVER_ERROR, repeat=False, hint="server-fault")
_GATEWAY = Rule(Kind.NOT_READY, hint="gateway")

STATUSES: Final[Mapping[int, Rule]] = {
    **dict.fromkeys(range(500, 600), _FAULT),
    408: Rule(Kind.REQUEST_TIMEOUT, hint="slow-request"),
    429: Rule(Kind.BUSY, hint="throttled"),
    501: Rule(Kind.UNSUPPORTED, repeat=False, hint="unsupported"),
    502: _GATEWAY,
    503: _GATEWAY,
    504: _GATEWAY,
}
"""Status -> what it means; every other one is an answer of a server that is well."""

ANSWER: Final = Rule(Kind.ANSWERED, repeat=False)

_BUSY: Final = frozenset({"429", "503"})

MAX_RETRY_AFTER: Final = 21600.0
"""Seconds of Retry-After that are believed: as many as urllib3 does (``retry_after_max``)."""

_PROXY_ROOM = Rule(Kind.NOT_READY, hint="proxy")

TUNNELS: Final[Mapping[str, Rule]] = {
    "407": Rule(Kind.DENIED, repeat=False, hint="proxy-login"),
    "502": _PROXY_ROOM,
    "503": _PROXY_ROOM,
    "504": _PROXY_ROOM,
}
"""Status of a proxy that opens no tunnel -> what it means; other ones: it will not."""

NO_TUNNEL: Final = Rule(Kind.ANSWERED, repeat=False, hint="proxy-refuses")

# http.client words it so in every version, and puts the status nowhere else.
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")

_GARBAGE = Rule(Kind.PROTOCOL, repeat=False, hint="not-http")
_TRUNCATED = Rule(Kind.PROTOCOL, hint="truncated")
_TIMEOUT = system.ERRNOS["ETIMEDOUT"]

ERRORS: Final[Mapping[str, Rule]] = {
    # It is a ConnectionResetError as well, although what came was a FIN.
    "http.client.RemoteDisconnected": Rule(Kind.EOF, hint="cut"),
    "http.client.IncompleteRead": _TRUNCATED,
    "http.client.HTTPException": _GARBAGE,
    "urllib3.exceptions.InvalidChunkLength": _GARBAGE,
    "urllib3.util.ssl_match_hostname.CertificateError": system.TYPES[
        "ssl.SSLCertVerificationError"
    ],
    # A name that cannot be one; a URL that cannot be read is noticed before there is an attempt.
    "urllib3.exceptions.LocationParseError": system.NAMES["builtins.UnicodeError"],
    "urllib3.exceptions.EmptyPoolError": Rule(
        Kind.LOCAL, Phase.CONNECT, repeat=False, hint="full-pool"
    ),
    # These tell something only where nothing inside them does.
    "urllib3.exceptions.NameResolutionError": system.RESOLVER["EAI_AGAIN"],
    "urllib3.exceptions.NewConnectionError": Rule(Kind.UNKNOWN, Phase.CONNECT),
    "urllib3.exceptions.ConnectTimeoutError": Rule(Kind.TIMEOUT, Phase.CONNECT, hint="silent"),
    "urllib3.exceptions.ReadTimeoutError": _TIMEOUT,
    # Raised by what counts redirects: all other counting is ours.
    "urllib3.exceptions.MaxRetryError": Rule(Kind.ANSWERED, repeat=False, hint="redirects"),
    "urllib3.exceptions.SSLError": Rule(Kind.TLS, repeat=False, hint="tls"),
    "urllib3.exceptions.ProtocolError": Rule(Kind.UNKNOWN),
    "urllib3.exceptions.ProxyError": Rule(Kind.UNKNOWN),
}
"""Type of an exception, or of one inside it -> what it means."""

MESSAGES: Final[Mapping[str, Rule]] = {
    "password is required": Rule(Kind.TLS, Phase.TLS, repeat=False, hint="client-key"),
    "Fingerprints did not match": Rule(
        Kind.CERTIFICATE, Phase.TLS, repeat=False, hint="fingerprint"
    ),
    "Response ended prematurely": _TRUNCATED,
    "exceeded maximum allowed length": _GARBAGE,
}
"""Part of the text of urllib3's errors that have nothing inside -> what they mean."""

DEAD: Final = frozenset({Kind.EOF, Kind.RESET})
"""How a kept connection shows that it was dead."""


class Seen(Protocol):
    """What a connection noted of one attempt.

    Attributes:
        phase: How far it had come; None where nothing could be noted.
        sent: Bytes of the request that were handed to the kernel.
        reused: Whether it went over a kept connection.
        answered: Whether anything came back.
    """

    phase: Phase | None
    sent: int
    reused: bool
    answered: bool


def is_idempotent(method: str, headers: Mapping[str, str] | None) -> bool:
    """Whether sending this request twice does no harm."""
    if method.upper() in IDEMPOTENT:
        return True
    return any(_text(name).lower() == KEY for name in headers or ())


def _text(name: str | bytes) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else name


def classify(error: BaseException, seen: Seen) -> Failure | None:
    """The failure behind what urllib3 raised; None if it is no connection failure.

    Args:
        error: What was raised, before any retry settings have wrapped it.
        seen: What the connection noted.
    """
    if first(ERRORS, system.type_names(error)) is None and system.find(error) is None:
        return None
    found = None
    for cause in reversed(list(_inside(error))):
        found = _rule(cause)
        if found is not None:
            break
    if found is None:
        return None
    code, rule = found
    phase = rule.phase or seen.phase or Phase.RECEIVE
    if seen.phase is not None and seen.phase in REQUEST_PHASES:
        phase = seen.phase
        # After the handshake it is a stream that broke, and no disagreement.
        rule = dataclasses.replace(rule, repeat=rule.repeat or rule.kind is Kind.TLS)
    return _as_seen(rule.failure(phase, code=code), seen)


def _as_seen(failure: Failure, seen: Seen) -> Failure:
    """The same, corrected by what is known of this attempt."""
    if seen.reused and not seen.answered and failure.kind in DEAD:
        failure = dataclasses.replace(failure, kind=Kind.STALE, hint="reused")
    if seen.phase in REQUEST_PHASES and not seen.sent:
        safety = Safety.NEVER if failure.safety is Safety.NEVER else Safety.ALWAYS
        failure = dataclasses.replace(failure, safety=safety, maybe_applied=False)
    return failure


def _inside(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was made of, outermost first."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        held = (part for part in reversed(current.args) if isinstance(part, BaseException))
        current = next(held, current.__cause__)


def _rule(error: BaseException) -> tuple[str, Rule] | None:
    """The code and the rule of one exception by itself."""
    tunnel = _TUNNEL.search(str(error)) if isinstance(error, OSError) else None
    if tunnel is not None:
        return tunnel[1], TUNNELS.get(tunnel[1], NO_TUNNEL)
    named = first(ERRORS, system.type_names(error))
    if named is None:
        return system.find(error)
    text = str(error)
    said = (rule for part, rule in MESSAGES.items() if part in text)
    return "", next(said, named[1])


def as_theirs(failure: Failure) -> Failure:
    """The same failure, where the caller's own retry settings say whether trying again can help.

    Credentials are offered once, whatever they say.
    """
    if failure.safety is not Safety.NEVER or failure.kind is Kind.DENIED:
        return failure
    safety = Safety.IF_IDEMPOTENT if failure.maybe_applied else Safety.ALWAYS
    return dataclasses.replace(failure, safety=safety)


def unrepeatable(failure: Failure) -> Failure:
    """The same failure of a request whose body is gone."""
    return dataclasses.replace(failure, safety=Safety.NEVER)


def at_proxy(failure: Failure) -> Failure:
    """The same failure, of the proxy on the way."""
    hint = failure.hint if failure.hint.startswith("proxy") else "proxy"
    return dataclasses.replace(failure, hint=hint)


def status_failure(status: int, after: float | None, *, wanted: bool) -> Failure | None:
    """The failure that an answer means; None for the answer of a server that is well.

    Args:
        status: Its status.
        after: Seconds that it asks us to wait.
        wanted: Whether the caller's own retry settings want it repeated, whatever it means.
    """
    rule = STATUSES.get(status)
    if rule is None and not wanted:
        return None
    failure = (rule or ANSWER).failure(Phase.RECEIVE, code=str(status), retry_after=after)
    return dataclasses.replace(failure, safety=Safety.IF_IDEMPOTENT) if wanted else failure


def answer_class(failure: Failure) -> type[TielineError] | None:
    """Our class for an answer that is raised; None for what is no answer."""
    if failure.kind is not Kind.ANSWERED and not failure.code.isdigit():
        return None
    return TooBusy if failure.code in _BUSY else CLASSES[Phase.HANDSHAKE, failure.kind]


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks to wait; None without one, or a malformed one.

    Args:
        value: The header: seconds, or a date (RFC 9110, 10.2.3).
        date: The Date header of the same answer, against which a date counts: the two clocks
            may differ.
        now: The wall clock, in seconds since the epoch, for an answer without.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    until = _epoch(value)
    if until is None:
        return None
    start = None if date is None else _epoch(date)
    return min(max(0.0, until - (now if start is None else start)), MAX_RETRY_AFTER)


def _epoch(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None for what is none."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        parsed = parsedate_to_datetime(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
