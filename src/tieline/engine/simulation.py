"""Failures that tests ask for, in place of an attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tieline.failure import Failure

planned: dict[str, Callable[[], Failure | None]] = {}
"""Client -> what its next attempt fails with, or None to let it through. Empty outside tests."""


def next_failure(client: str) -> Failure | None:
    """What the client's next attempt is to fail with; None for a real attempt."""
    plan = planned.get(client)
    return None if plan is None else plan()
