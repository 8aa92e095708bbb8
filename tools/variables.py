"""Writes the tables of docs/configuration.md: each variable with its meaning and its defaults.

    python -m tools.variables

Meanings are the attributes' own documentation and defaults those of the code, so that neither can
drift; a test compares. Run it when a setting or a default has changed, or a client was added.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from tieline.config import Target, names, values
from tieline.policy.defaults import DEFAULTS
from tieline.policy.policy import PARTS, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PAGE: Final = Path(__file__).parent.parent / "docs" / "configuration.md"

_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)
_BLOCK: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def meanings(cls: type) -> dict[str, str]:
    """Attribute -> what the docstring of its class says about it."""
    documentation = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    found = _ATTRIBUTE.findall(documentation.partition("\n\n")[0])
    return {
        name: " ".join(text.replace("``", "`").split()).replace("None", f"`{names.NONE}`")
        for name, text in found
    }


def settings() -> Iterator[tuple[str, ...]]:
    """Every setting of a policy: how its variable ends, what it says, and each client's default."""
    yield ("variable", "meaning", *DEFAULTS)
    for ending, path in names.settings().items():
        name, nested, inner = path.partition(".")
        meaning = meanings(PARTS[name][0])[inner] if nested else meanings(Policy)[name]
        if get_origin(values.hints()[path]) is Literal:
            meaning += (
                f" One of {', '.join(f'`{word}`' for word in get_args(values.hints()[path]))}."
            )
        found = (_default(policy, path) for policy in DEFAULTS.values())
        yield (f"`{ending}`", meaning, *found)


def wholes() -> Iterator[tuple[str, ...]]:
    """The parts of a policy that have a variable of their own, and what it may say."""
    yield ("variable", "may say", "instead of")
    for name, words in names.wholes().items():
        ending = names.of_setting(name)
        yield f"`{ending}`", ", ".join(f"`{word}`" for word in words), f"`{ending}__*`"


def places() -> Iterator[tuple[str, ...]]:
    """What says where a target is, and who we are there."""
    yield ("variable", "meaning")
    said = meanings(Target)
    for ending, name in (("DSN", "dsn"), ("URL", "url"), ("HEADERS__<NAME>", "headers")):
        yield f"`{ending}`, `{ending}{names.FILE}`", said[name]


def _default(policy: Policy, path: str) -> str:
    value: Any = policy
    for name in path.split("."):
        value = getattr(value, name)
    if value is None:
        return f"`{names.NONE}`"
    if values.is_duration(path):
        return f"`{value * 1000:g}ms`" if value < 1 else f"`{value:g}s`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


TABLES: Final[Mapping[str, Callable[[], Iterator[tuple[str, ...]]]]] = {
    "places": places,
    "settings": settings,
    "wholes": wholes,
}


def render(page: str) -> str:
    """The page with its tables as they should be.

    Args:
        page: As it is.
    """

    def table(block: re.Match[str]) -> str:
        head, *rows = TABLES[block[2]]()
        lines = [head, ("---",) * len(head), *rows]
        return block[1] + "".join(f"| {' | '.join(line)} |\n" for line in lines) + block[3]

    return _BLOCK.sub(table, page)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(PAGE.read_text()))


if __name__ == "__main__":
    main()
