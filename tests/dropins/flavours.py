"""psycopg in both flavours, used in one way: a rule that holds for both is tested by one test."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg as native
import psycopg_pool

from tieline import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

FLAVOURS = ("sync", "async")


class Flavour:
    """The classes of one flavour, ours unless they are called native, as if all of it were sync.

    Attributes:
        name: ``sync`` or ``async``.
        connection: Our connection class.
        native_connection: psycopg's.
        client_cursor: psycopg's class of cursors that merge parameters themselves.
        pool: psycopg's own pool class.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "async"
        self._own = threading.local()
        self._runners: list[asyncio.Runner] = []
        if self.is_async:
            self.connection: Any = psycopg.AsyncConnection
            self.native_connection: Any = native.AsyncConnection
            self.client_cursor: Any = native.AsyncClientCursor
            self.pool: Any = psycopg_pool.AsyncConnectionPool
        else:
            self.connection = psycopg.Connection
            self.native_connection = native.Connection
            self.client_cursor = native.ClientCursor
            self.pool = psycopg_pool.ConnectionPool

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Connect with our class."""
        return self.connect_as(self.connection, *args, **kwargs)

    def connect_natively(self, *args: Any, **kwargs: Any) -> Any:
        """Connect with psycopg's own class."""
        return self.connect_as(self.native_connection, *args, **kwargs)

    def connect_as(self, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Connect with some class of this flavour."""
        return self.adapt(cls.connect(*args, **kwargs))

    def open_pool(self, *args: Any, **kwargs: Any) -> Any:
        """A native pool of our connections, opened."""
        kwargs |= {"connection_class": self.connection, "open": False}

        async def made() -> Any:
            return self.pool(*args, **kwargs)

        pool = self.adapt(made()) if self.is_async else self.pool(*args, **kwargs)
        pool.open()
        return pool

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """What an awaitable comes to, on an event loop of this thread, in the context of here."""
        runner = getattr(self._own, "runner", None)
        if runner is None:
            runner = self._own.runner = asyncio.Runner()
            self._runners.append(runner)
        result, error = runner.run(_outcome(awaitable), context=contextvars.copy_context())
        try:
            if error is not None:
                raise error
        finally:
            del error  # it knows this frame
        return result

    def adapt(self, value: Any) -> Any:
        """The same, usable without ``await``."""
        if not self.is_async:
            return value
        if inspect.isawaitable(value) and not hasattr(value, "__aenter__"):
            value = self.run(value)
        if hasattr(value, "__aenter__") or hasattr(value, "__anext__"):
            return Blocking(self, value)
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self.adapt(value(*args, **kwargs))
        return value

    def close(self) -> None:
        """Close the event loops, whose threads have ended but for this one."""
        for runner in self._runners:
            runner.close()


class Blocking:
    """An asynchronous object whose coroutines are run where they are called."""

    def __init__(self, flavour: Flavour, value: Any) -> None:
        self.flavour = flavour
        self.value = value

    def __getattr__(self, name: str) -> Any:
        return self.flavour.adapt(getattr(self.value, name))

    def __enter__(self) -> Any:
        return self.flavour.adapt(self.value.__aenter__())

    def __exit__(self, *error: object) -> Any:
        return self.flavour.run(self.value.__aexit__(*error))

    def __iter__(self) -> Iterator[Any]:
        rows = self.value.__aiter__()
        while True:
            try:
                yield self.flavour.run(anext(rows))
            except StopAsyncIteration:
                return


def bare(value: Any) -> Any:
    """The object itself."""
    return value.value if isinstance(value, Blocking) else value


@contextmanager
def flavour(name: str) -> Iterator[Flavour]:
    """One flavour, until the event loops it made are closed."""
    made = Flavour(name)
    try:
        yield made
    finally:
        made.close()


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, Exception | None]:
    """Its result, or what it raised; raising that here would leave it in a cycle with the task."""
    try:
        return await awaitable, None
    except Exception as error:  # noqa: BLE001 - raised again by `run`
        return None, error
