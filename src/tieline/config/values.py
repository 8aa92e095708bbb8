"""From what a variable says to a value."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from tieline import redact
from tieline.config.names import NONE
from tieline.policy.checks import choice
from tieline.policy.policy import PARTS, Policy
from tieline.policy.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
"""How a variable says yes and no."""

UNITS: Final[Mapping[str, tuple[int, int]]] = {
    "ms": (1, 1000),
    "s": (1, 1),
    "m": (60, 1),
    "h": (3600, 1),
}
"""Unit of a duration -> seconds, as a fraction."""

_PLAIN: Final = r"[\w.+ -]{1,16}"
"""No number, unit or word of ours is longer, or has other characters in it."""

_DURATION: Final = rf"([0-9]+\.?[0-9]*|\.[0-9]+)\s*({'|'.join(UNITS)})"


@cache
def hints() -> Mapping[str, Any]:
    """Setting of a policy -> its type."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(Policy, include_extras=True).items():
        if name not in PARTS:
            found[name] = hint
            continue
        inner = get_type_hints(PARTS[name][0], include_extras=True)
        found |= {f"{name}.{setting}": hint for setting, hint in inner.items()}
    return found


def is_duration(path: str) -> bool:
    """Whether a setting counts seconds."""
    hint = hints()[path]
    return Seconds in (hint, *get_args(hint))


def shown(text: str) -> str:
    """What a variable says, for a message; nothing of it where a secret may have strayed there.

    Args:
        text: The variable's value.
    """
    return repr(text) if re.fullmatch(_PLAIN, text) else redact.HIDDEN


def one_of(variable: str, text: str, words: Collection[str]) -> Iterator[str]:
    """Yield a sentence if a variable says none of the words.

    Args:
        variable: Its name.
        text: What it says.
        words: What would be right.
    """
    word = text.lower()
    for problem in choice(variable, word, words):
        yield problem.replace(f"={word!r}", f"={shown(text)}", 1)


def value(path: str, text: str) -> object:
    """What a variable says; the text itself where it says nothing that makes sense.

    Args:
        path: The setting.
        text: The variable's value.
    """
    import msgspec  # only where there is something to convert

    if text.lower() == NONE and type(None) in get_args(hints()[path]):
        return None
    number: object = text
    if is_duration(path) and (found := re.fullmatch(_DURATION, text)):
        times, by = UNITS[found[2]]
        number = float(found[1]) * times / by
    try:
        converted: object = msgspec.convert(number, hints()[path], strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # The latter for bytes that are no UTF-8; its text would show them.
        return text
    return converted
