"""What is configured for a target, and where each value comes from."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic asks for it at run time
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tieline import redact
from tieline.policy.policy import Policy

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Source(StrEnum):
    """What kind of place a value comes from."""

    ARGUMENT = "argument"
    VARIABLE = "variable"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    Attributes:
        source: The kind of place.
        name: The argument, the variable (``..._FILE`` where the value is in a file), or the client
            whose default it is.
        fitted: The variable that a default was brought in line with; empty as a rule.
    """

    source: Source
    name: str
    fitted: str = ""

    def __str__(self) -> str:
        """The origin for people."""
        if self.source is Source.VARIABLE:
            return self.name
        if self.source is Source.ARGUMENT:
            return f"argument {self.name}"
        return f"built in for {self.name}" + (f", fitted to {self.fitted}" if self.fitted else "")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Target:
    """How to reach a target, and what to do when it fails.

    Attributes:
        dsn: For PostgreSQL: ``key=value`` pairs or a ``postgresql://`` URL, as libpq takes them.
        url: For HTTP and WebSockets: the base URL.
        headers: For HTTP and WebSockets: headers of every request, such as ``Authorization``.
        policy: The settings.
    """

    dsn: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    policy: Policy = field(default_factory=Policy)

    def __repr__(self) -> str:
        """Without secrets."""
        return f"{type(self).__name__}({', '.join(self._facts())})"

    def _facts(self) -> list[str]:
        shown = [f"dsn={redact.conninfo(self.dsn)!r}"] if self.dsn is not None else []
        shown += [f"url={redact.url(self.url)!r}"] if self.url is not None else []
        masked = dict.fromkeys(self.headers, redact.MASK)
        shown += [f"headers={masked!r}"] if masked else []
        return [*shown, f"policy={self.policy!r}"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resolved(Target):
    """A target as one client sees it, where every value knows its origin.

    Attributes:
        name: Name of the target; None for one without.
        client: The client: ``psycopg``, ``requests`` and so on, ``guard`` for guarded code.
        enabled: Whether tieline acts at all; with ``TIELINE_ENABLED=0`` the client is to do what it
            does without us, and only reaches the target as configured.
        origins: Setting, such as ``retry.max_attempts``, ``url`` or ``headers.Authorization`` ->
            where it comes from.
    """

    name: str | None
    client: str
    enabled: bool
    origins: Mapping[str, Origin]

    def _facts(self) -> list[str]:
        shown = [f"name={self.name!r}", f"client={self.client!r}", f"enabled={self.enabled!r}"]
        # A dataclass with slots is made twice, and a bare super() knows the first of them.
        return [*shown, *super(Resolved, self)._facts()]
