"""The names of the variables."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Final

from tieline.policy.policy import NAMED, PARTS, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

PREFIX: Final = "TIELINE_"
ENABLED: Final = "TIELINE_ENABLED"
TARGETS: Final = "TIELINE_TARGETS__"
HEADERS: Final = "HEADERS__"
FILE: Final = "_FILE"

NESTED: Final = "__"
"""Between a setting and one inside it."""

NONE: Final = "none"
"""How a variable says None."""

_SIGNS: Final = str.maketrans("-.", "__")
_TARGET: Final = rf"{TARGETS}(?P<target>.+?){NESTED}(?P<setting>.+)"


def of_target(name: str) -> str:
    """What the variables of a target begin with.

    Args:
        name: Name of the target. Upper and lower case are one, and so are ``-``, ``.`` and ``_``.
    """
    return f"{TARGETS}{name.upper().translate(_SIGNS)}{NESTED}"


def of_setting(path: str) -> str:
    """What the variables of a setting end with: ``RETRY__MAX_ATTEMPTS`` for ``retry.max_attempts``.

    Args:
        path: The setting.
    """
    return path.upper().replace(".", NESTED)


@cache
def settings() -> Mapping[str, str]:
    """How the variable of each setting of a policy ends -> its path."""
    return {of_setting(path): path for path in _paths()}


def _paths() -> Iterator[str]:
    for setting in fields(Policy):
        if setting.name in PARTS:
            cls, _ = PARTS[setting.name]
            yield from (f"{setting.name}.{inner.name}" for inner in fields(cls))
        else:
            yield setting.name


@cache
def wholes() -> Mapping[str, tuple[str, ...]]:
    """Part of a policy that has a variable of its own -> what that may say."""
    return {name: (*NAMED.get(name, ()), NONE) for name, (_, optional) in PARTS.items() if optional}


@cache
def endings() -> tuple[str, ...]:
    """How variables of a target may end, but for its headers."""
    places = ("DSN", f"DSN{FILE}", "URL", f"URL{FILE}")
    return (*places, *map(of_setting, wholes()), *settings())


def is_known(variable: str) -> bool:
    """Whether a ``TIELINE_*`` variable is one of ours."""
    found = re.fullmatch(_TARGET, variable)
    if found is None:
        return variable in _defaults()
    setting = found["setting"]
    return setting in endings() or (setting.startswith(HEADERS) and setting != HEADERS)


def nearest(variable: str) -> str | None:
    """The variable that was meant by an unknown one; None where none is near."""
    found = re.fullmatch(_TARGET, variable)
    if found is not None:
        ending = _nearest_ending(found["setting"])
        return None if ending is None else f"{TARGETS}{found['target']}{NESTED}{ending}"
    if any(name.startswith(f"{variable}{NESTED}") for name in _defaults()):
        return next(name for name in _defaults() if name.startswith(f"{variable}{NESTED}"))
    # Without what all of them begin with: it would make any two alike.
    names = (*_defaults(), *_of_targets(variable))
    near = _close(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in names])
    return None if near is None else PREFIX + near


def _nearest_ending(setting: str) -> str | None:
    head, nested, header = setting.partition(NESTED)
    if nested and header and _close(head + nested, (HEADERS,)):
        return HEADERS + header
    begun = (ending for ending in endings() if ending.startswith(setting + NESTED))
    return next(begun, None) or _close(setting, endings())


def _of_targets(variable: str) -> Iterator[str]:
    """Where the name of the target ends is not clear: an underscore may be missing there, too."""
    rest = re.sub(rf"{PREFIX}(TARGETS?_+)?", "", variable, count=1)
    for found in re.finditer("_+", rest):
        ending = _nearest_ending(rest[found.end() :])
        name = f"{TARGETS}{rest[: found.start()]}{NESTED}{ending}"
        if ending is not None and is_known(name):
            yield name


def _close(word: str, known: Collection[str]) -> str | None:
    from difflib import get_close_matches  # on the way to a warning alone

    near = get_close_matches(word, known, 1, cutoff=0.6)
    return near[0] if near else None


@cache
def _defaults() -> tuple[str, ...]:
    """The variables that hold for every target."""
    return (ENABLED, *(f"{PREFIX}{name}" for name in (*map(of_setting, wholes()), *settings())))
