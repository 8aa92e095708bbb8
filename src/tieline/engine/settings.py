"""Where the settings of guarded code come from."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tieline.policy.policy import Policy

SOURCE: Final = "tieline.config"
"""Module whose ``resolve`` knows them; named, and not imported: it builds on the engine's layer,
and nothing needs it before guarded code runs."""


class Settings(Protocol):
    """What is configured for one target.

    Attributes:
        enabled: Whether a guard does anything at all.
        policy: The policy.
    """

    enabled: bool
    policy: Policy


def settings(name: str, policy: Policy | None) -> Settings:
    """What is configured for guarded code.

    Args:
        name: Name of the target.
        policy: Given in code; None leaves it to the environment.

    Raises:
        ConfigError: The environment makes no sense.
    """
    found: Settings = importlib.import_module(SOURCE).resolve("guard", name, policy=policy)
    return found
