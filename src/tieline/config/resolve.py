"""What a client is to do: argument before target variable before default variable before built-in."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tieline import redact
from tieline.config import names, values
from tieline.config.environment import Content, Environment, current
from tieline.config.layers import Layers
from tieline.config.secrets import Secrets
from tieline.config.target import Origin, Resolved, Source
from tieline.policy.defaults import DEFAULTS
from tieline.policy.policy import Policy
from tieline.rules.translate import config_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


GUARD: Final = "guard"
"""Guarded code connects to nothing by itself: where a target is, is none of its business."""


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
    wrong = tuple(_wrong(target, policy))
    if wrong:
        raise config_error(wrong, client)
    environment = current()
    name = target or None
    files = () if name is None or client == GUARD else environment.files(names.of_target(name))
    found = _resolved(environment, client, name, policy, files)
    if isinstance(found, Resolved):
        return found
    raise config_error(found, client, target=name)


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
    if name is not None and client != GUARD:
        secrets = Secrets(variables, dict(files), names.of_target(name))
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


def _wrong(target: object, policy: object) -> Iterator[str]:
    """A name stands in every message and event: it must not be an address with a password in it."""
    if not isinstance(target, str | None):
        yield f"target: must be a name, not a {type(target).__name__}"
    elif target and ("=" in target or ("://" in target and ("@" in target or "?" in target))):
        yield f"target: a conninfo or URL {redact.HIDDEN}; give the target a name"
    if not isinstance(policy, Policy | None):
        yield f"policy: must be a tieline.Policy, not a {type(policy).__name__}"


def _enabled(variables: Mapping[str, str], client: str, problems: list[str]) -> tuple[bool, Origin]:
    text = variables.get(names.ENABLED)
    if text is None:
        return True, Origin(Source.DEFAULT, client)
    problems += values.one_of(names.ENABLED, text, values.WORDS)
    return values.WORDS.get(text.lower(), True), Origin(Source.VARIABLE, names.ENABLED)


def _paths(policy: Policy) -> Iterator[str]:
    """The settings of a policy, those of its parts for each part that it has."""
    return iter(Layers(policy, "").origins)
