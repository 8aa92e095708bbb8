"""Which value counts, where it comes from, and what is said when values make no sense."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

import tieline
from tieline import config
from tieline.config import Origin, Source
from tieline.policy.budget import FLEET
from tieline.policy.defaults import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Set = "Callable[..., None]"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets variables, given without TIELINE_; an X begins those of the target orders-db."""

    def assign(**given: str) -> None:
        for name, text in given.items():
            start = "TIELINE_TARGETS__ORDERS_DB__" if name.startswith("X__") else "TIELINE_"
            monkeypatch.setenv(start + name.removeprefix("X__"), text)

    return assign


def problems(client: str = "psycopg", target: str | None = "orders-db") -> tuple[str, ...]:
    """All that is wrong."""
    with pytest.raises(tieline.ConfigError) as caught:
        config.resolve(client, target)
    assert str(caught.value) == "; ".join(caught.value.problems)
    assert caught.value.target == target
    return caught.value.problems


@pytest.mark.parametrize("client", DEFAULTS)
@pytest.mark.parametrize("target", [None, "", "orders-db"])
def test_nothing_set(client: str, target: str | None) -> None:
    """Without any variable the client's own defaults count, and know that they are."""
    found = config.resolve(client, target)
    assert found.policy is DEFAULTS[client]
    assert (found.enabled, found.dsn, found.url, dict(found.headers)) == (True, None, None, {})
    assert set(found.origins.values()) == {Origin(Source.DEFAULT, client)}
    assert str(found.origins["retry.max_attempts"]) == f"built in for {client}"


def test_precedence(variables: Callable[..., None]) -> None:
    """Argument before target variable before default variable before what is built in."""

    def found(policy: tieline.Policy | None = None) -> tuple[int | None, str]:
        result = config.resolve("psycopg", "orders-db", policy=policy)
        return result.policy.retry.max_attempts, str(result.origins["retry.max_attempts"])

    assert found() == (4, "built in for psycopg")
    variables(RETRY__MAX_ATTEMPTS="5")
    assert found() == (5, "TIELINE_RETRY__MAX_ATTEMPTS")
    variables(X__RETRY__MAX_ATTEMPTS="6")
    assert found() == (6, "TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS")
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=7))
    assert found(policy) == (7, "argument policy")


def test_each_field_for_itself(variables: Callable[..., None]) -> None:
    """A variable changes its own setting, and every other one stays where it was."""
    variables(X__BREAKER__FAILURES="9", CALL_TIMEOUT="1m")
    found = config.resolve("psycopg", "orders-db")
    assert found.policy == dataclasses.replace(
        DEFAULTS["psycopg"],
        call_timeout=60.0,
        breaker=dataclasses.replace(tieline.CircuitBreaker(), failures=9),
    )
    given = {path: str(origin) for path, origin in found.origins.items() if "TIE" in str(origin)}
    assert given == {
        "call_timeout": "TIELINE_CALL_TIMEOUT",
        "breaker.failures": "TIELINE_TARGETS__ORDERS_DB__BREAKER__FAILURES",
    }


def test_another_target_is_not_touched(variables: Callable[..., None]) -> None:
    """Variables of one target mean nothing to another one, nor to a client without a name."""
    variables(X__RETRY__MAX_ATTEMPTS="6", X__DSN="host=db")
    for name in ("orders", "orders-db-2", None):
        found = config.resolve("psycopg", name)
        assert found.policy is DEFAULTS["psycopg"]
        assert found.dsn is None


def test_argument_wins_whole(variables: Callable[..., None]) -> None:
    """A policy given in code is used as it is, whatever the environment says of policies."""
    variables(RETRY__MAX_ATTEMPTS="nonsense", X__BREAKER="none", X__DSN="host=db")
    policy = tieline.Policy(breaker=None)
    found = config.resolve("psycopg", "orders-db", policy=policy)
    assert found.policy is policy
    assert found.dsn == "host=db"
    assert found.origins["breaker"] == Origin(Source.ARGUMENT, "policy")
    assert found.origins["dsn"] == Origin(Source.VARIABLE, "TIELINE_TARGETS__ORDERS_DB__DSN")


def test_parts_by_name(variables: Callable[..., None]) -> None:
    """A breaker or budget may be none, and a budget may have a name."""
    variables(BREAKER="none", X__BUDGET="Fleet")
    found = config.resolve("psycopg", "orders-db")
    assert (found.policy.breaker, found.policy.budget) == (None, FLEET)
    assert str(found.origins["breaker"]) == "TIELINE_BREAKER"
    assert str(found.origins["budget.chance"]) == "TIELINE_TARGETS__ORDERS_DB__BUDGET"
    assert "breaker.failures" not in found.origins


def test_a_part_that_was_none_comes_back(variables: Callable[..., None]) -> None:
    """Who sets a part of what all others do without wants it for this target."""
    variables(BREAKER="none", X__BREAKER__FAILURES="7")
    found = config.resolve("psycopg", "orders-db").policy.breaker
    assert found == tieline.CircuitBreaker(failures=7)
    assert config.resolve("psycopg", "billing").policy.breaker is None


def test_a_named_part_may_be_refined(variables: Callable[..., None]) -> None:
    """What has a name can be set further, on the same layer and on a higher one."""
    variables(BUDGET="fleet", X__BUDGET__TOKENS="7")
    found = config.resolve("psycopg", "orders-db").policy.budget
    assert found == dataclasses.replace(FLEET, tokens=7.0)


def test_none_and_a_part_of_it(variables: Callable[..., None]) -> None:
    """None, and a part of it, on one layer contradict each other."""
    variables(X__BREAKER="none", X__BREAKER__FAILURES="7")
    assert problems() == (
        (
            "TIELINE_TARGETS__ORDERS_DB__BREAKER__FAILURES='7': contradicts "
            "TIELINE_TARGETS__ORDERS_DB__BREAKER='none'"
        ),
    )


@pytest.mark.parametrize(
    ("given", "path", "value", "fitted"),
    [
        ({"CALL_TIMEOUT": "3s"}, "attempt_timeout", 3.0, "TIELINE_CALL_TIMEOUT"),
        ({"ATTEMPT_TIMEOUT": "40s"}, "call_timeout", 40.0, "TIELINE_ATTEMPT_TIMEOUT"),
        ({"ATTEMPT_TIMEOUT": "20s"}, "breaker.window", 40.0, "TIELINE_ATTEMPT_TIMEOUT"),
        ({"BACKOFF__INITIAL": "9s"}, "backoff.max", 9.0, "TIELINE_BACKOFF__INITIAL"),
        ({"BACKOFF__INITIAL": "1m"}, "call_timeout", 60.0, "TIELINE_BACKOFF__INITIAL"),
        ({"BACKOFF__MAX": "50ms"}, "backoff.initial", 0.05, "TIELINE_BACKOFF__MAX"),
        ({"CALL_TIMEOUT": "100ms"}, "backoff.initial", 0.1, "TIELINE_CALL_TIMEOUT"),
        ({"BREAKER__OPEN_FOR": "1m"}, "breaker.open_max", 60.0, "TIELINE_BREAKER__OPEN_FOR"),
        ({"BREAKER__OPEN_MAX": "500ms"}, "breaker.open_for", 0.5, "TIELINE_BREAKER__OPEN_MAX"),
    ],
)
def test_defaults_yield(
    given: dict[str, str],
    path: str,
    value: float,
    fitted: str,
    variables: Callable[..., None],
) -> None:
    """What is built in is brought in line with what is given, and knows for which variable."""
    variables(**given)
    found = config.resolve("psycopg", "orders-db")
    part: object = found.policy
    for name in path.split("."):
        part = getattr(part, name)
    assert part == value
    assert found.origins[path] == Origin(Source.DEFAULT, "psycopg", fitted)
    assert str(found.origins[path]) == f"built in for psycopg, fitted to {fitted}"


CONTRADICTIONS = [
    (
        {"CALL_TIMEOUT": "10s", "X__ATTEMPT_TIMEOUT": "15s"},
        (
            "TIELINE_TARGETS__ORDERS_DB__ATTEMPT_TIMEOUT='15s': must not exceed "
            "TIELINE_CALL_TIMEOUT='10s'"
        ),
    ),
    (
        {"BACKOFF__INITIAL": "3s", "X__BACKOFF__MAX": "1s"},
        (
            "TIELINE_BACKOFF__INITIAL='3s': must not exceed "
            "TIELINE_TARGETS__ORDERS_DB__BACKOFF__MAX='1s'"
        ),
    ),
    (
        {"X__BREAKER__WINDOW": "4s"},
        (
            "TIELINE_TARGETS__ORDERS_DB__BREAKER__WINDOW='4s': must be at least 2 times "
            "attempt_timeout=5.0 (built in for psycopg) (or breaker.rate None)"
        ),
    ),
    (
        {"BACKOFF__JITTER": "none", "X__CALL_TIMEOUT": "1s", "RETRY__MAX_ATTEMPTS": "9"},
        (
            "TIELINE_RETRY__MAX_ATTEMPTS='9': the waits before the last one, 21.2 seconds at least, "
            "must take less than TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT='1s'"
        ),
    ),
]


@pytest.mark.parametrize(("given", "said"), CONTRADICTIONS)
def test_contradictions(given: dict[str, str], said: str, variables: Callable[..., None]) -> None:
    """Settings that contradict each other are told by the variables that they came from."""
    variables(**given)
    assert problems() == (said,)


def test_all_problems_at_once(variables: Callable[..., None], tmp_path: Path) -> None:
    """One error holds what is wrong with policy, DSN, URL, headers and files."""
    variables(
        ENABLED="perhaps",
        RETRY__MAX_ATTEMPTS="0",
        BUDGET="flet",
        X__CALL_TIMEOUT="soon",
        X__DSN="host db",
        X__URL="ftp://host",
        X__HEADERS__AUTHORIZATION_FILE=str(tmp_path / "none"),
        X__HEADERS__COOKIE="a\nb",
    )
    found = problems()
    assert len(found) == 8
    for name in (
        "TIELINE_ENABLED='perhaps': ",
        "TIELINE_RETRY__MAX_ATTEMPTS='0': ",
        "TIELINE_BUDGET='flet': ",
        "TIELINE_TARGETS__ORDERS_DB__CALL_TIMEOUT='soon': ",
        "TIELINE_TARGETS__ORDERS_DB__DSN: a word without = (not shown, it may hold a password)",
        "TIELINE_TARGETS__ORDERS_DB__URL: must begin with http, https, ws or wss",
        f"TIELINE_TARGETS__ORDERS_DB__HEADERS__AUTHORIZATION_FILE='{tmp_path}/none': No such file",
        "TIELINE_TARGETS__ORDERS_DB__HEADERS__COOKIE: a line break",
    ):
        assert sum(problem.startswith(name) for problem in found) == 1, (name, found)


def test_error_is_the_clients_too(variables: Callable[..., None]) -> None:
    """Who catches what the client raises for bad settings catches this; guards have no client."""
    variables(CALL_TIMEOUT="soon")
    import psycopg

    with pytest.raises(psycopg.ProgrammingError):
        config.resolve("psycopg")
    with pytest.raises(ValueError, match="TIELINE_CALL_TIMEOUT='soon'"):
        config.resolve("guard")


def test_empty_is_not_set(variables: Callable[..., None]) -> None:
    """An empty variable is what a compose file makes of one that was not given."""
    variables(CALL_TIMEOUT="", X__DSN=" ", X__DSN_FILE="", ENABLED="")
    found = config.resolve("psycopg", "orders-db")
    assert (found.policy, found.dsn, found.enabled) == (DEFAULTS["psycopg"], None, True)


def test_headers(variables: Callable[..., None]) -> None:
    """Headers get their hyphens back."""
    variables(X__HEADERS__AUTHORIZATION="Bearer x", X__HEADERS__X_API_KEY="k", X__URL="https://h/")
    found = config.resolve("psycopg", "orders-db")
    assert dict(found.headers) == {"Authorization": "Bearer x", "X-Api-Key": "k"}
    assert found.url == "https://h/"
    assert str(found.origins["headers.X-Api-Key"]).endswith("__HEADERS__X_API_KEY")


def test_repr_shows_no_secret(variables: Callable[..., None]) -> None:
    """What is resolved can be printed."""
    variables(
        X__DSN="host=db password=geheim",
        X__URL="https://geheim@h/?t=geheim",
        X__HEADERS__AUTHORIZATION="geheim",
    )
    shown = repr(config.resolve("psycopg", "orders-db"))
    assert "geheim" not in shown
    for part in ("orders-db", "host=db", "https://***@h/?t=***", "Authorization", "max_attempts=4"):
        assert part in shown


@pytest.mark.parametrize(
    "name", ["postgresql://u:geheim@db/x", "https://h/?t=geheim", "host=db password=geheim"]
)
def test_address_as_name(name: str) -> None:
    """An address with a password in it is no name: names stand in every message."""
    with pytest.raises(tieline.ConfigError, match="give the target a name") as caught:
        config.resolve("psycopg", name)
    assert "geheim" not in repr(caught.value)
    assert caught.value.target is None


def test_endpoint_as_name() -> None:
    """The name that a target without one goes by may be given to a guard."""
    found = config.resolve("guard", "postgresql://a:1,postgresql://[::1]:2")
    assert found.policy is DEFAULTS["guard"]


def test_wrong_arguments() -> None:
    """What is no name, or no policy, is told by the argument's name."""
    with pytest.raises(tieline.ConfigError, match="target: must be a name, not a int"):
        config.resolve("psycopg", 5)  # type: ignore[arg-type]
    with pytest.raises(tieline.ConfigError, match=r"policy: must be a tieline\.Policy, not a dict"):
        config.resolve("psycopg", policy={})  # type: ignore[arg-type]
