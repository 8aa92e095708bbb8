"""Who hears of events."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tieline.events import Event, Listener

DEFAULT = "tieline.telemetry.logging"
"""Module with the listener that is there from the start; named, and not imported, because
nothing needs the logging package before there is something to log."""

added: list[Listener] = []
"""The listeners besides that one, which cares for no event of a call that was declined."""


@cache
def _default() -> Listener:
    listener: Listener = importlib.import_module(DEFAULT).LoggingListener()
    return listener


def add_listener(listener: Listener) -> None:
    """Send every event from now on to this listener too.

    Args:
        listener: Its ``on_event`` is called on the thread where the event happens, with no lock
            held. What it raises is logged and goes no further.
    """
    added.append(listener)


def remove_listener(listener: Listener) -> None:
    """Send it nothing more.

    Args:
        listener: One that was added.

    Raises:
        ValueError: It was not added.
    """
    added.remove(listener)


def emit(events: Iterable[Event]) -> None:
    """Deliver; never raises an Exception."""
    for event in events:
        for listener in (_default(), *added):
            try:
                listener.on_event(event)
            except Exception as error:  # noqa: BLE001 - a listener must not break a call
                with suppress(Exception):  # nor must what receives the log
                    _log(listener, error)


def _log(listener: Listener, error: Exception) -> None:
    import logging

    name = type(listener).__qualname__
    logging.getLogger("tieline").error("listener %s failed", name, exc_info=error)
