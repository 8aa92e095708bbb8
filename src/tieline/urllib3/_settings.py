"""What a pool goes by: the one place where settings are looked up."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tieline.policy.defaults import DEFAULTS
from tieline.policy.policy import Policy
from tieline.policy.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping


CLIENT = "urllib3"

_CONNECT = Policy().attempt_timeout
"""What a policy has where its author says nothing of attempts: made for those that only connect.
One of HTTP waits for an answer too, and has timeouts of its own for each."""


class Settings(NamedTuple):
    """The settings of one pool.

    Attributes:
        client: The client that callers see: ``urllib3`` or ``requests``.
        name: Name of the target; None for the origin.
        policy: The policy.
        given: Whether somebody has said how long a call, or an attempt, may take.
        enabled: Whether to do anything at all.
        url: Where the environment says that the target is; None where it does not.
        headers: What it says that the target is to be told; secret as a rule.
    """

    client: str
    name: str | None
    policy: Policy
    given: bool
    enabled: bool
    url: str | None
    headers: Mapping[str, str]


def settings(client: str, target: str | None, policy: Policy | None) -> Settings:
    """What holds for a client of that target.

    Args:
        client: The client that callers see.
        target: Name of the target; None for the origin.
        policy: As given to the client; None where it was not.

    Raises:
        ConfigError: The environment makes no sense.
    """
    from tieline.config import resolve  # not before the first client is made

    found = resolve(client, target, policy=policy)
    settled = found.policy
    if policy is not None and policy.attempt_timeout == _CONNECT:
        settled = replace(policy, attempt_timeout=None)
    built_in = DEFAULTS[client]
    given = (settled.call_timeout, settled.attempt_timeout) != (
        built_in.call_timeout,
        built_in.attempt_timeout,
    )
    return Settings(client, found.name, settled, given, found.enabled, found.url, found.headers)


@lru_cache(maxsize=64)
def for_call(policy: Policy, call: float | None, *, theirs: bool) -> Policy:
    """The policy of one call.

    Args:
        policy: Of its target.
        call: Seconds for all of it, which an explicit timeout may have made longer.
        theirs: Whether retry settings of the caller's decide how often.
    """
    retry = Retry(max_attempts=None) if theirs else policy.retry
    attempt = policy.attempt_timeout
    return replace(policy, call_timeout=call, retry=retry, attempt_timeout=attempt)


@lru_cache(maxsize=64)
def for_body(policy: Policy) -> Policy:
    """The policy for a body that is read after the call: it has no total."""
    return replace(policy, call_timeout=None, attempt_timeout=None)
