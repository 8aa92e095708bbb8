"""Name resolution that a caller can leave.

``getaddrinfo`` cannot be interrupted. It runs in a few daemon threads that all callers share; a
caller whose time is up goes on without the answer.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_THREADS = 4
"""Threads at most. When a dead name server holds all of them, further callers wait in line, each
until its own time is up."""

Addresses = list[str]


class _Lookup:
    """One question, and room for its answer."""

    def __init__(self, host: str, port: int | None, tell: Callable[[], object]) -> None:
        self.host = host
        self.port = port
        self.addresses: Addresses = []
        self.error: Exception | None = None
        self.wanted = True
        self.tell = tell

    def run(self) -> None:
        try:
            found = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
            # The same address twice would be tried twice.
            self.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except Exception as error:  # noqa: BLE001 - raised again where the caller is
            self.error = error

    def answer(self, timeout: float | None, *, given: bool) -> Addresses:
        if not given:
            self.wanted = False
            raise TimeoutError(f"no answer from name resolution in {timeout:.3g} s")
        if self.error is not None:
            raise self.error
        return self.addresses


class Resolver:
    """A line of questions and the threads that answer them."""

    def __init__(self) -> None:
        """Start no thread before the first question."""
        self._lookups: queue.SimpleQueue[_Lookup] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unanswered = 0

    def resolve(self, host: str, port: int | None, timeout: float | None) -> Addresses:
        """All addresses of a host, in the system's order.

        Args:
            host: The name.
            port: The port, for names that give addresses by service.
            timeout: Seconds to wait; None for as long as the system takes.

        Raises:
            OSError: As ``getaddrinfo`` raised it.
            UnicodeError: The name cannot be encoded.
            TimeoutError: No answer in time.
        """
        done = threading.Event()
        lookup = self._ask(host, port, done.set)
        return lookup.answer(timeout, given=done.wait(timeout))

    async def resolve_async(self, host: str, port: int | None, timeout: float | None) -> Addresses:
        """The same for asyncio: the event loop goes on meanwhile, and cancelling leaves at once."""
        import asyncio

        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        lookup = self._ask(host, port, tell)
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await done.wait()
        except TimeoutError:
            if not limit.expired():
                raise
        except BaseException:
            lookup.wanted = False
            raise
        return lookup.answer(timeout, given=done.is_set())

    def _ask(self, host: str, port: int | None, tell: Callable[[], object]) -> _Lookup:
        lookup = _Lookup(host, port, tell)
        with self._lock:
            self._lookups.put(lookup)
            self._unanswered += 1
            # A thread more than there are questions would be a thread too many.
            if self._threads < min(self._unanswered, MAX_THREADS):
                name = f"tieline-resolver-{self._threads + 1}"
                threading.Thread(target=self._answer, name=name, daemon=True).start()
                self._threads += 1
        return lookup

    def _answer(self) -> None:
        while True:
            lookup = self._lookups.get()
            if lookup.wanted:
                lookup.run()
            with self._lock:
                self._unanswered -= 1
            # Last, so that whoever has the answer finds this thread free.
            lookup.tell()


shared = Resolver()
"""The resolver of this process."""


def _after_fork() -> None:
    global shared  # noqa: PLW0603 - the parent's threads are not here
    shared = Resolver()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
