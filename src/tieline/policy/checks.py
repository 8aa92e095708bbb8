"""Sentences about settings that make no sense."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def number(
    name: str,
    value: object,
    *,
    least: float,
    below: float | None = None,
    exclusive: bool = False,
    whole: bool = False,
    optional: bool = False,
    unit: str = "",
) -> Iterator[str]:
    """Yield a sentence if the value is not such a number; infinity is none, as NaN is none.

    Args:
        name: The setting, as its user writes it.
        value: What was given.
        least: Lower bound.
        below: Upper bound, never reached.
        exclusive: Whether the lower bound itself is out.
        whole: Whether fractions are out.
        optional: Whether None will do.
        unit: Said behind the bound.
    """
    if value is None and optional:
        return
    if isinstance(value, int if whole else (int, float)) and not isinstance(value, bool):
        high_enough = value > least or (value == least and not exclusive)
        if high_enough and value < (math.inf if below is None else below):
            return
    what = "a whole number" if whole else "a number"
    wanted = f"above {least:g}" if exclusive else f"{least:g} or more"
    wanted += f" {unit}" if unit else ""
    wanted += f" and below {below:g}" if below is not None else ""
    wanted += " (or None for no limit)" if optional else ""
    yield f"{name}={value!r}: must be {what}, {wanted}"
