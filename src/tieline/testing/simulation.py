"""Clients that fail as told, without any server."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from tieline.engine import simulation
from tieline.failure import REQUEST_PHASES, Failure
from tieline.rules.classes import CLASSES
from tieline.rules.sqlstate import SQLSTATES
from tieline.rules.system import ERRNOS, RESOLVER
from tieline.rules.table import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tieline.errors import TielineError

CLIENTS = ("psycopg", "urllib3", "websockets")
"""Drop-ins that ask for a simulated failure before each attempt."""

CLASS = 2
"""Characters that name a class of SQLSTATEs."""


@contextmanager
def simulate(
    client: ModuleType, error: type[TielineError], *, times: int | None = None
) -> Iterator[None]:
    """Make every attempt to connect fail, as if the server did.

    Everything else is real: classification, retries, breaker, budget, the fused exception. Put a
    `ManualClock` around it, and the waits take no time.

    Args:
        client: A drop-in, such as ``tieline.psycopg``.
        error: How to fail: a class that connecting can raise, such as ``tieline.Refused``.
        times: Attempts that fail before the next ones are real; None for all of them.

    Raises:
        ValueError: The client is no drop-in of ours, or connecting never raises that class.
    """
    package, _, name = client.__name__.rpartition(".")
    if package != "tieline" or name not in CLIENTS:
        raise ValueError(f"simulate: {client.__name__} is none of " + ", ".join(CLIENTS))
    failure = _failure(error)
    failures = count()

    def plan() -> Failure | None:
        return failure if times is None or next(failures) < times else None

    before = simulation.planned.get(name)
    simulation.planned[name] = plan
    try:
        yield
    finally:
        if before is None:
            del simulation.planned[name]
        else:
            simulation.planned[name] = before


def _failure(error: type[TielineError]) -> Failure:
    """A failure, as real as the tables have one, that ends in that class."""
    for (phase, kind), ours in CLASSES.items():
        if ours is error and phase not in REQUEST_PHASES:
            for code, rule in {**ERRNOS, **RESOLVER, **SQLSTATES}.items():
                if rule.kind is kind:
                    # The first code of a class of SQLSTATEs stands for the class.
                    return rule.failure(phase, code=f"{code}000" if len(code) == CLASS else code)
            return Rule(kind).failure(phase)
    raise ValueError(f"simulate: connecting never raises {error.__name__}")
