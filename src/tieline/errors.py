"""The exceptions of tieline: one hierarchy for every client.

    TielineError
    |-- ConfigError (ValueError)
    |-- NotAttempted                    we declined; nothing was sent
    |   |-- CircuitOpen
    |   `-- TargetUnhealthy
    |-- ConnectFailed                   no request was sent
    |   |-- Refused (ConnectionRefusedError)
    |   |-- NameNotResolved
    |   |-- Unreachable
    |   |-- ConnectTimeout
    |   |-- TLSFailed
    |   |-- HandshakeFailed             accepted, then cut, silent or garbage before we were let in
    |   `-- Declined                    the server answered, and would not have us
    |       |-- AuthenticationFailed
    |       |-- TargetNotFound
    |       |-- TooBusy
    |       `-- NotReady
    |-- ConnectionLost                  it worked, then broke
    |   |-- Aborted                     end of stream (FIN)
    |   |-- Reset                       connection reset (RST)
    |   |-- ResponseTimeout
    |   `-- BadAnswer                   not the protocol, or truncated
    |-- OutcomeUnknown                  a COMMIT or a lone statement may have been applied
    |-- DeadlineExceeded (TimeoutError)
    `-- ReadinessTimeout (TimeoutError)

What a drop-in raises is such a class *fused* with the class that the wrapped client raised, so
that both ``except tieline.Refused`` and ``except psycopg.OperationalError`` match.

A builtin base stands only where the tree shows one. Elsewhere it would do harm: a WSGI server
takes a ``ConnectionResetError`` that leaves an application for a client that hung up, and answers
nothing; websockets reconnects for ever on every ``OSError``.
"""

from __future__ import annotations

import errno as _errno
import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.endpoint import Endpoint
    from tieline.failure import Attempt, Failure


class TielineError(Exception):
    """Base of everything that tieline raises.

    ``str()`` is one line without secrets; the history of the attempts and a hint follow as notes
    (PEP 678).

    Args:
        message: One line for people.
        **facts: Values for the attributes below.

    Attributes:
        target: Name of the target, or its endpoint where it has no name.
        endpoint: The endpoint of the last attempt.
        failure: The classified outcome of the last attempt.
        attempts: One record for each attempt of the call, oldest first.
        elapsed: Seconds from the start of the call to this error.
        hint: What to look at, in one sentence.
        retry_after: Seconds after which trying again makes sense, where that is known.
        maybe_applied: Whether the server may have carried out the request on any attempt.
        errno: The operating system's error number, where there was one.
    """

    target: str | None = None
    endpoint: Endpoint | None = None
    failure: Failure | None = None
    attempts: tuple[Attempt, ...] = ()
    elapsed: float | None = None
    hint: str | None = None
    retry_after: float | None = None
    maybe_applied: bool = False
    errno: int | None = None

    def __init__(self, message: str = "", **facts: Any) -> None:
        """Take the message and any of the attributes."""
        unknown = facts.keys() - _FACTS
        if unknown:
            raise TypeError(f"{type(self).__name__}() got unexpected {', '.join(sorted(unknown))}")
        if isinstance(self, OSError) and facts.get("errno") is not None:
            OSError.__init__(self, facts["errno"], message)
        else:
            super().__init__(message)
        self._message = message
        self.__dict__.update(facts)

    def __str__(self) -> str:
        """The message: one line, and no secrets."""
        return self._message

    def __repr__(self) -> str:
        """The class and its message."""
        return f"{type(self).__module__}.{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without running an ``__init__``; what cannot be pickled becomes None."""
        return rebuild, (type(self), picklable_args(self.args), picklable(self.__dict__))

    def __copy__(self) -> TielineError:
        """A copy that keeps every attribute, also those that cannot be pickled."""
        return rebuild(type(self), self.args, self.__dict__)


_FACTS = frozenset(TielineError.__annotations__)


def picklable(state: dict[str, Any]) -> dict[str, Any]:
    """The same attributes, with None for what cannot be pickled (sockets, pools, connections)."""
    return {name: value if _survives(value) else None for name, value in state.items()}


def picklable_args(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same arguments, with None for what cannot be pickled (urllib3 puts a connection here)."""
    return tuple(value if _survives(value) else None for value in args)


def _survives(value: object) -> bool:
    """Whether pickling brings it back.

    It is loaded as well: an exception that wants more arguments than it keeps is pickled without
    complaint, and breaks the pool of processes that it is sent to.
    """
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return False
    return True


def rebuild(cls: type[TielineError], args: tuple[Any, ...], state: dict[str, Any]) -> TielineError:
    """Make an instance of a possibly fused class without running any foreign ``__init__``.

    Foreign initialisers want keywords that differ from client to client, and all they do is set
    attributes, which ``state`` brings along.
    """
    number = state.get("errno")
    # Python insists on the __new__ of the base with the largest layout, wherever it is in the MRO.
    base: Any = cls.__base__
    error: TielineError = base.__new__(cls)
    if isinstance(error, OSError) and number is not None:
        OSError.__init__(error, number, state.get("_message"))
    error.args = args
    error.__dict__.update(state)
    return error


def code_to_errno(code: str) -> int | None:
    """The number behind a symbolic name such as ``ECONNREFUSED``; None where there is none."""
    number = getattr(_errno, code, None)
    return number if isinstance(number, int) else None


class ConfigError(TielineError, ValueError):
    """Settings that contradict each other or make no sense: every problem at once.

    Attributes:
        problems: One line a problem, each with the argument or variable it came from.
    """

    problems: tuple[str, ...] = ()

    def __init__(self, message: str = "", *, problems: tuple[str, ...] = (), **facts: Any) -> None:
        """Take the message, or make one of the problems."""
        super().__init__(message or "; ".join(problems), **facts)
        self.problems = problems or (message,)


class ConfigWarning(UserWarning):
    """A ``TIELINE_*`` variable that is no setting, as a rule a misspelt one."""


class NotAttempted(TielineError):
    """We declined to try; nothing was sent."""


class _Late:
    """A part of what `CircuitOpen.late` writes: written when it is read, and kept on the error."""

    def __init__(self, part: int) -> None:
        self._part = part

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: CircuitOpen | None, _owner: type | None = None) -> Any:
        if error is None or error.late is None:
            raise AttributeError(self._name)
        return error.__dict__.setdefault(self._name, error.late(error)[self._part])


class CircuitOpen(NotAttempted):
    """The circuit breaker is open; ``retry_after`` tells when it lets a probe through.

    Attributes:
        late: Writes message and notes of an error that was made without them.
    """

    late: Callable[[CircuitOpen], tuple[str, list[str]]] | None = None
    _message = _Late(0)
    __notes__: Any = _Late(1)


class TargetUnhealthy(NotAttempted):
    """The health gate holds new connections back."""


class ConnectFailed(TielineError):
    """No request was sent: safe to repeat, if that is true of every attempt."""


class Refused(ConnectFailed, ConnectionRefusedError):
    """Nobody accepts connections there: the kernel answered the first packet with a reset."""


class NameNotResolved(ConnectFailed):
    """The host name gave no address."""


class Unreachable(ConnectFailed):
    """No route to the host or network, or no such Unix socket."""


class ConnectTimeout(ConnectFailed):
    """Nothing answered the connection request in time."""


class TLSFailed(ConnectFailed):
    """The TLS handshake failed: certificate, protocol, or the other side cut it."""


class HandshakeFailed(ConnectFailed):
    """Accepted, then cut, silent or garbage before we were let in."""


class Declined(ConnectFailed):
    """The server answered, and would not have us."""


class AuthenticationFailed(Declined):
    """Credentials were rejected; they are sent once and never repeated."""


class TargetNotFound(Declined):
    """The server knows no such database or path."""


class TooBusy(Declined):
    """The server has no room for us now."""


class NotReady(Declined):
    """The server is starting up, shutting down or in recovery."""


class ConnectionLost(TielineError):
    """It worked, then broke."""


class Aborted(ConnectionLost):
    """The other side closed the stream (FIN)."""


class Reset(ConnectionLost):
    """The other side, or something between, reset the connection (RST)."""


class ResponseTimeout(ConnectionLost):
    """The request was sent, and no answer came in time."""


class BadAnswer(ConnectionLost):
    """What came back is not the protocol, or ends too early."""


class OutcomeUnknown(TielineError):
    """A COMMIT, or a statement outside a transaction, was handed over, and its fate is unknown."""

    maybe_applied = True


class DeadlineExceeded(TielineError, TimeoutError):
    """The deadline cut a running attempt, or left no time for one."""


class ReadinessTimeout(TielineError, TimeoutError):
    """What was waited for did not become ready in time: one line a target."""


def _show_publicly() -> None:
    """Let tracebacks show, and pickles hold, the public name ``tieline.Refused``."""
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, (TielineError, ConfigWarning)):
            value.__module__ = "tieline"


_show_publicly()
