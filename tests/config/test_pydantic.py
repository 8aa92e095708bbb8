"""Our dataclasses in the settings of somebody else, filled by pydantic-settings as they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import tieline
from tieline.config import Target
from tieline.policy.budget import FLEET


class Settings(BaseSettings):
    """What an application of our users has."""

    model_config = SettingsConfigDict(env_prefix="SHOP_", env_nested_delimiter="__")

    orders: Target = Target()
    policy: tieline.Policy = tieline.Policy()
    retry: tieline.Retry = tieline.Retry()


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(f"SHOP_{name}", value)
    return Settings()


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without variables they are what they are without pydantic."""
    found = settings(monkeypatch)
    assert (found.policy, found.retry, found.orders) == (
        tieline.Policy(),
        tieline.Retry(),
        Target(),
    )


def test_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every level is filled, and what comes out is ours and works as a policy."""
    found = settings(
        monkeypatch,
        ORDERS__DSN="host=db password=geheim",
        ORDERS__URL="https://host/",
        ORDERS__HEADERS__AUTHORIZATION="Bearer geheim",
        ORDERS__POLICY__RETRY__MAX_ATTEMPTS="7",
        ORDERS__POLICY__BREAKER__FAILURES="3",
        POLICY__CALL_TIMEOUT="10",
        POLICY__BACKOFF__JITTER="equal",
        RETRY__MAX_ATTEMPTS="2",
    )
    assert type(found.orders) is Target
    assert found.orders.policy == tieline.Policy(
        retry=tieline.Retry(max_attempts=7), breaker=tieline.CircuitBreaker(failures=3)
    )
    assert found.policy == tieline.Policy(call_timeout=10, backoff=tieline.Backoff(jitter="equal"))
    assert found.retry == tieline.Retry(max_attempts=2)
    assert found.orders.headers == {"authorization": "Bearer geheim"}
    assert tieline.guard("pydantic", policy=found.orders.policy)(lambda: 5)() == 5
    assert "geheim" not in repr(found)


def test_budget_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has a name in code has it here."""
    assert settings(monkeypatch, POLICY__BUDGET="fleet").policy.budget == FLEET


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "POLICY__ATTEMPT_TIMEOUT",
            "99",
            "attempt_timeout=99.0: must not exceed call_timeout=25.0",
        ),
        ("POLICY__RETRY__MAX_ATTEMPTS", "0", "retry.max_attempts=0: must be a whole number"),
        ("POLICY__BUDGET", "flet", "policy.budget"),
        ("POLICY__CALL_TIMEOUT", "soon", "policy.call_timeout"),
    ],
)
def test_mistakes(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own error says what is wrong, in our words where the check is ours."""
    with pytest.raises(ValidationError) as caught:
        settings(monkeypatch, **{name: value})
    assert said in str(caught.value)
