"""Connection-aware drop-in clients for PostgreSQL, HTTP and WebSockets.

    from tieline import psycopg

Public names are loaded on first use: ``import tieline`` itself loads no client, no ssl and no
asyncio.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tieline.endpoint import Endpoint as Endpoint
    from tieline.engine.attempts import attempts as attempts
    from tieline.engine.context import current_deadline as current_deadline
    from tieline.engine.context import deadline as deadline
    from tieline.engine.context import idempotent as idempotent
    from tieline.engine.guard import guard as guard
    from tieline.engine.listeners import add_listener as add_listener
    from tieline.engine.listeners import remove_listener as remove_listener
    from tieline.errors import Aborted as Aborted
    from tieline.errors import AuthenticationFailed as AuthenticationFailed
    from tieline.errors import BadAnswer as BadAnswer
    from tieline.errors import CircuitOpen as CircuitOpen
    from tieline.errors import ConfigError as ConfigError
    from tieline.errors import ConfigWarning as ConfigWarning
    from tieline.errors import ConnectFailed as ConnectFailed
    from tieline.errors import ConnectionLost as ConnectionLost
    from tieline.errors import ConnectTimeout as ConnectTimeout
    from tieline.errors import DeadlineExceeded as DeadlineExceeded
    from tieline.errors import Declined as Declined
    from tieline.errors import HandshakeFailed as HandshakeFailed
    from tieline.errors import NameNotResolved as NameNotResolved
    from tieline.errors import NotAttempted as NotAttempted
    from tieline.errors import NotReady as NotReady
    from tieline.errors import OutcomeUnknown as OutcomeUnknown
    from tieline.errors import ReadinessTimeout as ReadinessTimeout
    from tieline.errors import Refused as Refused
    from tieline.errors import Reset as Reset
    from tieline.errors import ResponseTimeout as ResponseTimeout
    from tieline.errors import TargetNotFound as TargetNotFound
    from tieline.errors import TargetUnhealthy as TargetUnhealthy
    from tieline.errors import TielineError as TielineError
    from tieline.errors import TLSFailed as TLSFailed
    from tieline.errors import TooBusy as TooBusy
    from tieline.errors import Unreachable as Unreachable
    from tieline.events import Event as Event
    from tieline.events import Listener as Listener
    from tieline.failure import Attempt as Attempt
    from tieline.failure import Failure as Failure
    from tieline.failure import Kind as Kind
    from tieline.failure import Phase as Phase
    from tieline.failure import Safety as Safety
    from tieline.policy.backoff import Backoff as Backoff
    from tieline.policy.breaker import CircuitBreaker as CircuitBreaker
    from tieline.policy.budget import Budget as Budget
    from tieline.policy.gate import Snapshot as Snapshot
    from tieline.policy.gate import Verdict as Verdict
    from tieline.policy.policy import Policy as Policy
    from tieline.policy.reconnect import Reconnect as Reconnect
    from tieline.policy.retry import Retry as Retry

_HOME = {
    "Aborted": "tieline.errors",
    "add_listener": "tieline.engine.listeners",
    "Attempt": "tieline.failure",
    "attempts": "tieline.engine.attempts",
    "AuthenticationFailed": "tieline.errors",
    "Backoff": "tieline.policy.backoff",
    "BadAnswer": "tieline.errors",
    "Budget": "tieline.policy.budget",
    "CircuitBreaker": "tieline.policy.breaker",
    "CircuitOpen": "tieline.errors",
    "ConfigError": "tieline.errors",
    "ConfigWarning": "tieline.errors",
    "ConnectFailed": "tieline.errors",
    "ConnectionLost": "tieline.errors",
    "ConnectTimeout": "tieline.errors",
    "current_deadline": "tieline.engine.context",
    "deadline": "tieline.engine.context",
    "DeadlineExceeded": "tieline.errors",
    "Declined": "tieline.errors",
    "Endpoint": "tieline.endpoint",
    "Event": "tieline.events",
    "Failure": "tieline.failure",
    "guard": "tieline.engine.guard",
    "HandshakeFailed": "tieline.errors",
    "idempotent": "tieline.engine.context",
    "Kind": "tieline.failure",
    "Listener": "tieline.events",
    "NameNotResolved": "tieline.errors",
    "NotAttempted": "tieline.errors",
    "NotReady": "tieline.errors",
    "OutcomeUnknown": "tieline.errors",
    "Phase": "tieline.failure",
    "Policy": "tieline.policy.policy",
    "ReadinessTimeout": "tieline.errors",
    "Reconnect": "tieline.policy.reconnect",
    "Refused": "tieline.errors",
    "remove_listener": "tieline.engine.listeners",
    "Reset": "tieline.errors",
    "ResponseTimeout": "tieline.errors",
    "Retry": "tieline.policy.retry",
    "Safety": "tieline.failure",
    "Snapshot": "tieline.policy.gate",
    "TargetNotFound": "tieline.errors",
    "TargetUnhealthy": "tieline.errors",
    "TielineError": "tieline.errors",
    "TLSFailed": "tieline.errors",
    "TooBusy": "tieline.errors",
    "Unreachable": "tieline.errors",
    "Verdict": "tieline.policy.gate",
}

__all__ = [
    "Aborted",
    "Attempt",
    "AuthenticationFailed",
    "Backoff",
    "BadAnswer",
    "Budget",
    "CircuitBreaker",
    "CircuitOpen",
    "ConfigError",
    "ConfigWarning",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "DeadlineExceeded",
    "Declined",
    "Endpoint",
    "Event",
    "Failure",
    "HandshakeFailed",
    "Kind",
    "Listener",
    "NameNotResolved",
    "NotAttempted",
    "NotReady",
    "OutcomeUnknown",
    "Phase",
    "Policy",
    "ReadinessTimeout",
    "Reconnect",
    "Refused",
    "Reset",
    "ResponseTimeout",
    "Retry",
    "Safety",
    "Snapshot",
    "TLSFailed",
    "TargetNotFound",
    "TargetUnhealthy",
    "TielineError",
    "TooBusy",
    "Unreachable",
    "Verdict",
    "add_listener",
    "attempts",
    "current_deadline",
    "deadline",
    "guard",
    "idempotent",
    "remove_listener",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'tieline' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
