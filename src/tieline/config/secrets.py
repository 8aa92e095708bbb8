"""What of a target is shown to nobody: DSN, URL and headers, in variables or in files."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tieline import redact
from tieline.config import names
from tieline.config.target import NO_HEADERS, Origin, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tieline.config.environment import Content

SCHEMES: Final = ("http", "https", "ws", "wss")
"""Schemes of a target's URL."""


class Secrets:
    """The secrets of one target, each in a variable or in a file that a variable names.

    Args:
        variables: Variable -> what it says.
        files: Variable -> what is in the file that it names.
        prefix: What the variables of the target begin with.

    Attributes:
        problems: What is wrong so far, one line each.
    """

    def __init__(
        self, variables: Mapping[str, str], files: Mapping[str, Content], prefix: str
    ) -> None:
        """Read nothing yet."""
        self._variables = variables
        self._files = files
        self._prefix = prefix
        self.problems: list[str] = []

    def place(self, origins: dict[str, Origin]) -> dict[str, Any]:
        """DSN, URL and headers, as far as they are given.

        Args:
            origins: Takes where they come from.
        """
        place: dict[str, Any] = {"headers": NO_HEADERS}
        for name, fault in (("dsn", _dsn_fault), ("url", _url_fault)):
            found = self._text(name.upper(), fault)
            if found is not None:
                place[name], origins[name] = found
        headers: dict[str, str] = {}
        for ending in self._headers():
            found = self._text(ending, _header_fault)
            if found is not None:
                name = ending.removeprefix(names.HEADERS).replace("_", "-").title()
                headers[name], origins[f"headers.{name}"] = found
        if headers:
            place["headers"] = MappingProxyType(headers)
        return place

    def _headers(self) -> Iterator[str]:
        start = self._prefix + names.HEADERS
        found = (
            name.removesuffix(names.FILE) for name in self._variables if name.startswith(start)
        )
        return (name.removeprefix(self._prefix) for name in sorted({*found}) if name != start)

    def _text(self, ending: str, fault: Callable[[str], str]) -> tuple[str, Origin] | None:
        variable = self._prefix + ending
        file = variable + names.FILE
        if variable in self._variables and file in self._variables:
            self.problems.append(f"{variable} and {file} are both set: keep one of them")
        elif file in self._variables:
            text, trouble = self._files[file]
            if trouble:
                self.problems.append(f"{file}={_shown_path(self._variables[file])}: {trouble}")
            else:
                return self._checked(file, text, fault)
        elif variable in self._variables:
            return self._checked(variable, self._variables[variable], fault)
        return None

    def _checked(
        self, variable: str, text: str, fault: Callable[[str], str]
    ) -> tuple[str, Origin] | None:
        trouble = fault(text)
        if trouble:
            self.problems.append(f"{variable}: {trouble}")
            return None
        return text, Origin(Source.VARIABLE, variable)


def _shown_path(path: str) -> str:
    """A path; but where somebody has put the secret itself, nothing of it."""
    return repr(path) if Path(path).is_absolute() else "(not shown, no absolute path)"


def _dsn_fault(text: str) -> str:
    try:
        redact.conninfo_parameters(text)
    except redact.Unreadable as error:
        return f"{error} {redact.HIDDEN}; write key=value pairs or a postgresql:// URL"
    return ""


def _url_fault(text: str) -> str:
    try:
        scheme = redact.url_parts(text)[0]
    except redact.Unreadable as error:
        return f"{error} {redact.HIDDEN}; write a URL such as https://host/path"
    if scheme not in SCHEMES:
        known = f"{', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
        return f"must begin with {known} {redact.HIDDEN}; what libpq takes is a DSN"
    return ""


def _header_fault(text: str) -> str:
    if text.isprintable() or text.replace("\t", " ").isprintable():
        try:
            text.encode("latin-1")
        except UnicodeError:
            return f"not Latin-1, as HTTP has it {redact.HIDDEN}"
        return ""
    return f"a line break or control character in it {redact.HIDDEN}"
