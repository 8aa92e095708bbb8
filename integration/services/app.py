"""What a test can ask of a service of our own."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.services.service import Service

SOURCE = Path(__file__).parent.parent / "apps"


@dataclass(frozen=True)
class App:
    """One of the services below `integration/apps`.

    Attributes:
        name: How people call it.
        module: What is run.
        scheme: Of its URL.
    """

    name: str
    module: str
    scheme: str


HTTP = App("HTTP", "apps.http", "http")
WEBSOCKET = App("WebSocket", "apps.websocket", "ws")


class AppService(Service):
    """A service of our own, with a ledger of what it received.

    Attributes:
        app: Which one.
    """

    app: App
    _listened = 0

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"{self.app.scheme}://{self.host}:{self.port}"

    def start(self) -> float:
        """Start it, and wait until it has noted that it listens."""
        self._listened = len(self.ledger("listening"))
        return super().start()  # type: ignore[safe-super] # of what runs it

    def ledger(self, event: str | None = None) -> list[dict[str, Any]]:
        """What it received since it was created, in order; it need not be running.

        A killed one has all of it up to the last request that it began to answer.

        Args:
            event: Only these.
        """
        lines = map(json.loads, self._ledger().splitlines())
        return [line for line in lines if event in {None, line["event"]}]

    def _ready(self) -> bool:
        # A connection to find out would be in the ledger, too.
        return len(self.ledger("listening")) > self._listened

    @abstractmethod
    def _ledger(self) -> bytes:
        """The content of the file."""
