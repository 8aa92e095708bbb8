"""The policy of each client where its user gives none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tieline.policy.backoff import Backoff
from tieline.policy.policy import Policy
from tieline.policy.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

_HTTP = Policy(
    call_timeout=25.0,
    attempt_timeout=None,
    retry=Retry(max_attempts=3),
    backoff=Backoff(initial=0.1, max=2.0),
)
"""The call ends with the head of the answer; a body has no total."""

DEFAULTS: Final[Mapping[str, Policy]] = {
    # What a guarded function does may rightly take long.
    "guard": Policy(call_timeout=None, attempt_timeout=None),
    # 5 s per host is ample for a connection within a region; a restart of PostgreSQL takes
    # seconds, so the waits begin longer than those of HTTP.
    "psycopg": Policy(
        call_timeout=25.0,
        attempt_timeout=5.0,
        retry=Retry(max_attempts=4),
        backoff=Backoff(initial=0.2, max=5.0),
    ),
    # 10 s is what the client itself gives an opening. One that is awaited is given up with the
    # call; a loop comes back by `Policy.reconnect`.
    "websockets": Policy(
        call_timeout=25.0,
        attempt_timeout=10.0,
        retry=Retry(max_attempts=5),
        backoff=Backoff(initial=0.5, max=10.0),
    ),
    # An attempt has no time of its own: connecting and each receive have theirs, below.
    "urllib3": _HTTP,
    "requests": _HTTP,
}

HTTP_CONNECT: Final = 5.0
"""Seconds to connect, TLS included, where the caller of an HTTP client gives no timeout."""

HTTP_READ: Final = 30.0
"""Seconds between two pieces of an answer, or of a body that is sent, alike."""
