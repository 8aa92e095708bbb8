"""What went wrong, in one vocabulary for every client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tieline.endpoint import Endpoint


class Phase(StrEnum):
    """How far the attempt had come, in order."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    HANDSHAKE = "handshake"
    """Start-up, authentication, upgrade: all that comes before the first request."""
    SEND = "send"
    RECEIVE = "receive"


REQUEST_PHASES = frozenset({Phase.SEND, Phase.RECEIVE})
"""From here on something of the request may have reached the server."""


class Kind(StrEnum):
    """What happened."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NO_NAME = "no-name"
    """The name does not exist, or has no address."""
    RESOLVER = "resolver"
    """The name service did not answer; another try may succeed."""
    CERTIFICATE = "certificate"
    TLS = "tls"
    """The other side speaks no TLS, or none that we accept."""
    EOF = "eof"
    """End of stream: the other side sent FIN."""
    RESET = "reset"
    """The connection was reset: RST."""
    PROTOCOL = "protocol"
    """What came back is not the protocol, or is truncated."""
    DENIED = "denied"
    NO_TARGET = "no-target"
    """The server knows no such database or path."""
    BUSY = "busy"
    NOT_READY = "not-ready"
    """Starting up, shutting down, in recovery; for HTTP also 502, 503 and 504."""
    SHUTDOWN = "shutdown"
    """The server said that it ends this connection."""
    WRONG_ROLE = "wrong-role"
    """A standby where a primary was asked for, or the reverse."""
    SETTINGS = "settings"
    """The server rejects a setting of ours."""
    STALE = "stale"
    """A kept connection turned out to be dead before anything came back."""
    CONFLICT = "conflict"
    """Serialization failure or deadlock: the transaction was rolled back."""
    ANSWERED = "answered"
    """The server is alive and said no to this very request."""
    REQUEST_TIMEOUT = "request-timeout"
    SERVER_ERROR = "server-error"
    UNSUPPORTED = "unsupported"
    LOCAL = "local"
    """This machine ran out of descriptors, ports or memory."""
    UNKNOWN = "unknown"


class Safety(Enum):
    """Whether repeating is right, as far as this attempt alone tells."""

    ALWAYS = "always"
    """Nothing of the request was sent, or the server is known not to have acted on it."""
    IF_IDEMPOTENT = "if-idempotent"
    """It may have been applied."""
    NEVER = "never"
    """Repeating cannot help, or must not happen."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A classified outcome.

    Attributes:
        phase: How far the attempt had come.
        kind: What happened.
        safety: Whether repeating is right.
        code: The native code: ``ECONNREFUSED``, ``57P03``, ``EAI_AGAIN``; empty without one.
        hint: Key of the hint text; empty without one.
        retry_after: Seconds that the server asked us to wait.
        maybe_applied: Whether the server may have carried out the request.
    """

    phase: Phase
    kind: Kind
    safety: Safety
    code: str = ""
    hint: str = ""
    retry_after: float | None = None
    maybe_applied: bool = False

    @property
    def sent(self) -> bool:
        """Whether anything of a request may have reached the server."""
        in_request = self.phase in REQUEST_PHASES and self.safety is not Safety.ALWAYS
        return self.maybe_applied or in_request


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call, as it is remembered.

    Attributes:
        number: 1 for the first; several endpoints tried in one round share a number.
        endpoint: Where it went.
        failure: How it ended.
        elapsed: Seconds it took.
        waited: Seconds slept before it.
    """

    number: int
    endpoint: Endpoint | None
    failure: Failure
    elapsed: float
    waited: float
