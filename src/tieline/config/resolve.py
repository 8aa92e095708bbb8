"""What a client is to do: argument before target variable before default variable before built-in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tieline import redact
from tieline.config import names, values
from tieline.config.environment import Content, Environment, current
from tieline.config.layers import Layers
from tieline.config.target import NO_HEADERS, Origin, Resolved, Source
from tieline.policy.checks import choice
from tieline.policy.defaults import DEFAULTS
from tieline.rules.translate import config_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tieline.policy.policy import Policy

SCHEMES: Final = ("http", "https", "ws", "wss")
"""Schemes of a target's URL."""


def resolve(client: str, target: str | None = None, *, policy: Policy | None = None) -> Resolved:
    """What a client is to do.

    The environment is read anew, files included, and what it comes to is kept for as long as it
    stays the same: a look costs some microseconds.

    Args:
        client: The client, such as ``psycopg``: it decides what is built in, and which class of
            the client a `ConfigError` is, too.
        target: Name of the target. Without one, only the settings for all targets count.
        policy: Settings given in code. They win as a whole.

    Raises:
        ConfigError: With every problem of this target, and none of its secrets.
    """
    environment = current()
    name = target or None
    files = () if name is None else environment.files(names.of_target(name))
    found = _resolved(environment, client, name, policy, files)
    if isinstance(found, Resolved):
        return found
    raise config_error(found, client, target=None if any(_name_fault(name or "")) else name)


@lru_cache(maxsize=256)
def _resolved(
    environment: Environment,
    client: str,
    name: str | None,
    policy: Policy | None,
    files: tuple[tuple[str, Content], ...],
) -> Resolved | tuple[str, ...]:
    """The same for the same environment; all problems, if there are any."""
    variables = environment.variables
    problems: list[str] = []
    origins: dict[str, Origin] = {}
    enabled, origins["enabled"] = _enabled(variables, client, problems)
    settings = policy or DEFAULTS[client]
    if policy is not None:
        origins |= dict.fromkeys(_paths(policy), Origin(Source.ARGUMENT, "policy"))
    elif enabled:
        layers = Layers(settings, client)
        layers.add(variables, names.PREFIX)
        if name is not None:
            layers.add(variables, names.of_target(name))
        settings = layers.policy() or settings
        origins |= layers.origins
        problems += layers.problems
    place: dict[str, Any] = {}
    if name is not None:
        problems += _name_fault(name)
        secrets = _Secrets(variables, dict(files), names.of_target(name))
        place = secrets.place(origins)
        problems += secrets.problems
    if problems:
        return tuple(problems)
    return Resolved(
        name=name,
        client=client,
        enabled=enabled,
        policy=settings,
        origins=MappingProxyType(origins),
        **place,
    )


def _name_fault(name: str) -> Iterator[str]:
    """A name stands in every message and event: it must not be an address with a password in it."""
    if "=" in name or ("://" in name and ("@" in name or "?" in name)):
        yield f"target: a conninfo or URL {redact.HIDDEN}; give the target a name"


def _enabled(variables: Mapping[str, str], client: str, problems: list[str]) -> tuple[bool, Origin]:
    text = variables.get(names.ENABLED)
    if text is None:
        return True, Origin(Source.DEFAULT, client)
    problems += choice(names.ENABLED, text.lower(), values.WORDS)
    return values.WORDS.get(text.lower(), True), Origin(Source.VARIABLE, names.ENABLED)


def _paths(policy: Policy) -> Iterator[str]:
    """The settings of a policy, those of its parts for each part that it has."""
    return iter(Layers(policy, "").origins)


class _Secrets:
    """What of a target is shown to nobody: each in a variable, or in a file that one names."""

    def __init__(
        self, variables: Mapping[str, str], files: Mapping[str, Content], prefix: str
    ) -> None:
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
        return f"must begin with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]} {redact.HIDDEN}"
    return ""


def _header_fault(text: str) -> str:
    if text.isprintable() or text.replace("\t", " ").isprintable():
        try:
            text.encode("latin-1")
        except UnicodeError:
            return f"not Latin-1, as HTTP has it {redact.HIDDEN}"
        return ""
    return f"a line break or control character in it {redact.HIDDEN}"
