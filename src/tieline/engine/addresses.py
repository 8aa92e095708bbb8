"""The order in which the addresses of one name are tried."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REMEMBERED = 1024
"""Names whose good address is remembered; beyond it the oldest is forgotten."""

_answered: dict[tuple[str, int | None], str] = {}


def in_order(name: str, port: int | None, addresses: Sequence[str]) -> list[str]:
    """The address that answered last time, then the rest, families taking turns (RFC 8305, 4).

    Args:
        name: The name.
        port: The port.
        addresses: As the system gave them; its first one decides which family begins.
    """
    families: dict[bool, list[str]] = {}
    for address in addresses:
        families.setdefault(":" in address, []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    ordered = [address for address in turns if address is not None]
    known = _answered.get((name, port))
    if known in ordered:
        ordered.remove(known)
        ordered.insert(0, known)
    return ordered


def remember(name: str, port: int | None, address: str) -> None:
    """Try this address first the next time."""
    _answered.pop((name, port), None)
    _answered[name, port] = address
    if len(_answered) > MAX_REMEMBERED:
        _answered.pop(next(iter(_answered)), None)
