"""A listener that remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tieline.engine.listeners import add_listener, remove_listener
from tieline.events import Event

if TYPE_CHECKING:
    from typing import Self

E = TypeVar("E", bound=Event)


class RecordingListener:
    """Keeps every event; ``with RecordingListener() as heard:`` listens for as long as the block.

    Attributes:
        events: What it has heard, in order.
    """

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        """Remember one event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def __enter__(self) -> Self:
        """Begin to listen."""
        add_listener(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        remove_listener(self)
