"""The script: a short outage that is worth waiting out, and a long one that is not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.services.postgres import PostgresService

_FRAME = 0.1
"""Seconds between two looks at what is going on."""


@dataclass(frozen=True, slots=True)
class Outage:
    """When it happened.

    Attributes:
        killed: The instant before SIGKILL was sent.
        dead: The last process had ended, and the port refused.
        started: The instant before the server was started again.
        accepts: It was seen to accept connections again.
    """

    killed: float
    dead: float
    started: float
    accepts: float


@dataclass(frozen=True, slots=True)
class Script:
    """How long everything takes.

    Attributes:
        seconds: The whole run.
        restart: Seconds without a server, the first time.
        down: Seconds without a server, the second time.
    """

    seconds: float
    restart: float
    down: float

    @property
    def up(self) -> tuple[float, float, float]:
        """Seconds with a server: before, between and after the outages."""
        rest = self.seconds - self.restart - self.down
        return 0.2 * rest, 0.4 * rest, 0.4 * rest


class Stage:
    """The server, and the record of its outages.

    Args:
        server: A server that is running.

    Attributes:
        outages: Those that are over.
    """

    def __init__(self, server: PostgresService) -> None:
        """Nothing has happened yet."""
        self.outages: list[Outage] = []
        self._server = server
        self._killed: float | None = None
        self._dead = 0.0

    def kill(self) -> None:
        """Begin an outage."""
        self._killed = time.monotonic()
        self._server.kill()
        self._dead = time.monotonic()

    def start(self) -> None:
        """End it."""
        assert self._killed is not None
        started = time.monotonic()
        accepts = self._server.start()
        self.outages.append(Outage(self._killed, self._dead, started, accepts))
        self._killed = None

    def state(self, now: float) -> tuple[bool, float | None]:
        """Whether it is up, and for how many seconds; None if it never was down.

        Args:
            now: The time.
        """
        if self._killed is not None:
            return False, now - self._killed
        return True, now - self.outages[-1].accepts if self.outages else None

    def perform(self, script: Script, frame: Callable[[], None]) -> None:
        """Play the script to its end.

        Args:
            script: What happens when.
            frame: Called some ten times a second, and after each change.
        """
        now = time.monotonic()
        for seconds, act in self._scenes(script):
            now += seconds
            while (left := now - time.monotonic()) > 0:
                frame()
                time.sleep(min(left, _FRAME))
            act()
            frame()

    def _scenes(self, script: Script) -> Iterator[tuple[float, Callable[[], None]]]:
        before, between, after = script.up
        yield before, self.kill
        yield script.restart, self.start
        yield between, self.kill
        yield script.down, self.start
        yield after, lambda: None
