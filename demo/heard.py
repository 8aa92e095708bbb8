"""What tieline tells of one target while it works."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tieline import Kind, add_listener, remove_listener
from tieline.events import AttemptFailed, BreakerClosed, BreakerOpened, BreakerProbing

if TYPE_CHECKING:
    from typing import Self

    from tieline import Event

_STATES = {BreakerOpened: "open", BreakerProbing: "half-open", BreakerClosed: "closed"}


class Heard:
    """Counts the events of one target, for as long as the block lasts.

    Args:
        target: Its name.

    Attributes:
        target: Its name.
        failed: Attempts that failed so far.
        refused: Those among them that nobody accepted.
        breaker: State of the circuit breaker.
    """

    def __init__(self, target: str) -> None:
        """Nothing was heard, and breakers start closed."""
        self.failed = 0
        self.refused = 0
        self.breaker = "closed"
        self.target = target
        # Events come on the threads of the calls, and several may fail at once.
        self._lock = threading.Lock()

    def on_event(self, event: Event) -> None:
        """Count one event."""
        if event.target != self.target:
            return
        with self._lock:
            if isinstance(event, AttemptFailed):
                self.failed += 1
                self.refused += event.failure.kind is Kind.REFUSED
            self.breaker = _STATES.get(type(event), self.breaker)

    def __enter__(self) -> Self:
        """Begin to listen."""
        add_listener(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        remove_listener(self)
