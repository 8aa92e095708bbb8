"""Sentences about settings that make no sense."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


def number(
    name: str,
    value: object,
    *,
    least: float,
    most: float | None = None,
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
        most: Upper bound.
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
        low_enough = most is None or value <= most
        if high_enough and low_enough and value < (math.inf if below is None else below):
            return
    what = "a whole number" if whole else "a number"
    wanted = f"above {least:g}" if exclusive else f"{least:g} or more"
    wanted += f" {unit}" if unit else ""
    wanted += f" and below {below:g}" if below is not None else ""
    wanted += f" and at most {most:g}" if most is not None else ""
    wanted += " (or None for no limit)" if optional else ""
    yield f"{name}={value!r}: must be {what}, {wanted}"


def choice(name: str, value: object, names: Collection[str]) -> Iterator[str]:
    """Yield a sentence if the value is none of the names.

    Args:
        name: The setting, as its user writes it.
        value: What was given.
        names: What would be right.
    """
    if not isinstance(value, str) or value not in names:
        known = either([repr(known) for known in names])
        yield f"{name}={value!r}: must be {known}{advice(value, names)}"


def either(words: Sequence[str]) -> str:
    """The words as a list to choose from."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def advice(value: object, names: Collection[str]) -> str:
    """The nearest of the names, as the end of a sentence; empty where none is near."""
    from difflib import get_close_matches  # on the way to an error alone

    near = get_close_matches(value.lower(), names, 1) if isinstance(value, str) else ()
    return f"; did you mean {near[0]!r}?" if near else ""
