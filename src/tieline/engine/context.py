"""What a block around a call says about it: deadline, idempotence, a surrounding guard.

Context variables are copied into threads and tasks and outlive the block there. So each holds an
object that ends with its block: inherited and ended, it means nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from tieline.engine import clock as clock_module
from tieline.errors import ConfigError
from tieline.policy.checks import number
from tieline.policy.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

T = TypeVar("T")


class Scope:
    """Something that holds until its block is left."""

    __slots__ = ("live",)

    def __init__(self) -> None:
        """Begin to hold."""
        self.live = True


class GuardScope:
    """A guarded function that is running, on one attempt.

    Args:
        outer: The guarded function around it.
        idempotent: Whether it may be repeated in any case.
        repeats: Whether its policy repeats anything.
        target: What it guards; compared by identity.
        sent: Whether any call made inside it, on any attempt so far, may have sent something.

    Attributes:
        live: Whether the attempt is still running.
    """

    __slots__ = ("idempotent", "live", "outer", "repeats", "sent", "target")

    live: bool
    sent: bool
    outer: GuardScope | None
    idempotent: bool
    repeats: bool
    target: object

    # Not __init__: one is made for every call of a guarded function, and Python 3.11 takes three
    # times as long to call an __init__ as a function.
    @staticmethod
    def make(
        outer: GuardScope | None,
        idempotent: bool,  # noqa: FBT001 - keywords would cost as well
        repeats: bool = True,  # noqa: FBT001, FBT002 - as above
        target: object = None,
        sent: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> GuardScope:
        """One that is running."""
        scope = GuardScope()
        scope.live = True
        scope.sent = sent
        scope.outer = outer
        scope.idempotent = idempotent
        scope.repeats = repeats
        scope.target = target
        return scope

    def may_repeat(self) -> bool:
        """Whether the guard, or one around it, would repeat the function if it failed now."""
        return any(
            scope.live and scope.repeats and (scope.idempotent or not scope.sent)
            for scope in self.chain()
        )

    def chain(self) -> Iterator[GuardScope]:
        """This guard and those around it, innermost first."""
        scope: GuardScope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def mark_sent(self) -> None:
        """A call inside may have sent something: true for the guards around this one as well."""
        for scope in self.chain():
            scope.sent = True


deadline_var: ContextVar[Deadline | None] = ContextVar("tieline.deadline", default=None)
guard_var: ContextVar[GuardScope | None] = ContextVar("tieline.guard", default=None)
idempotent_var: ContextVar[Scope | None] = ContextVar("tieline.idempotent", default=None)


def restore(variable: ContextVar[T], token: Token[T]) -> None:
    """Undo one `set`.

    A coroutine or generator that is closed from another context, by the garbage collector for
    one, has nothing to undo there.
    """
    try:  # noqa: SIM105 - a tenth of the price of `suppress`
        variable.reset(token)
    except ValueError:
        pass


@contextmanager
def deadline(seconds: float | Deadline | None) -> Iterator[Deadline | None]:
    """Bound every call made inside the block, all of them together.

    Deadlines nest: the earliest counts. A deadline bounds nothing any more once its block is
    left, also in threads and tasks that were started inside.

    Args:
        seconds: From now on; or a deadline of another thread, from `current_deadline` there;
            or None, which bounds nothing.

    Raises:
        ConfigError: The seconds are no number above 0.
    """
    outer = current_deadline()  # a dead one is forgotten: chains of them must not grow
    if seconds is None:
        value = outer
    elif isinstance(seconds, Deadline):
        value = Deadline(seconds, seconds.seconds, outer)
    else:
        problems = tuple(number("deadline", seconds, least=0, exclusive=True, unit="seconds"))
        if problems:
            raise ConfigError(problems=problems)
        value = Deadline(clock_module.active.now() + seconds, seconds, outer)
    token = deadline_var.set(value)
    try:
        yield value
    finally:
        restore(deadline_var, token)
        if value is not None and value is not outer:
            value.end()


def current_deadline() -> Deadline | None:
    """The deadline that bounds calls made here; None without one.

    Hand it to a thread, and write ``with tieline.deadline(it):`` there.
    """
    value = deadline_var.get()
    return value if value is not None and value.at is not None else None


def time_limit() -> float | None:
    """The time by which calls made here must be over, on the engine's clock."""
    value = deadline_var.get()
    return None if value is None else value.at


@contextmanager
def idempotent() -> Iterator[None]:
    """Say that calls made inside the block may be repeated although they may have been applied."""
    scope = Scope()
    token = idempotent_var.set(scope)
    try:
        yield
    finally:
        restore(idempotent_var, token)
        scope.live = False


def is_idempotent() -> bool:
    """Whether the code around says so."""
    scope = idempotent_var.get()
    return scope is not None and scope.live


def mark_sent() -> None:
    """Tell the guarded function that we run inside that something may have been sent."""
    guard = surrounding_guard()
    if guard is not None:
        guard.mark_sent()


def surrounding_guard() -> GuardScope | None:
    """The guarded function that we run inside, the innermost one that still runs."""
    scope = guard_var.get()
    while scope is not None and not scope.live:
        scope = scope.outer
    return scope
