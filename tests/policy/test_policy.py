"""Settings: every problem at once, each by its name, with what would be right."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.errors import ConfigError
from tieline.policy.backoff import Backoff
from tieline.policy.breaker import CircuitBreaker
from tieline.policy.budget import Budget
from tieline.policy.defaults import DEFAULTS
from tieline.policy.limits import Limits
from tieline.policy.policy import Policy
from tieline.policy.retry import Retry

PARTS = {"retry": Retry, "backoff": Backoff, "breaker": CircuitBreaker, "budget": Budget}


def make(name: str, value: object) -> Policy:
    """A policy with one setting, named as its users write it."""
    part, _, field = name.rpartition(".")
    return Policy(**({part: PARTS[part](**{field: value})} if part else {name: value}))


BELOW_ALL = {
    "call_timeout": ("above 0 seconds (or None for no limit)", 0),
    "attempt_timeout": ("above 0 seconds (or None for no limit)", 0),
    "retry.max_attempts": ("a whole number, 1 or more (or None for no limit)", 0),
    "backoff.initial": ("a number, 0 or more seconds", -0.1),
    "backoff.max": ("a number, 0 or more seconds", -0.1),
    "backoff.multiplier": ("a number, 1 or more", 0.99),
    "breaker.failures": ("a whole number, 1 or more", 0),
    "breaker.rate": ("a number, above 0 and at most 1 (or None for no limit)", 0),
    "breaker.min_calls": ("a whole number, 1 or more", 0),
    "breaker.window": ("a number, above 0 seconds", 0),
    "breaker.open_for": ("a number, above 0 seconds", 0),
    "breaker.open_max": ("a number, above 0 seconds", 0),
    "breaker.jitter": ("a number, 0 or more and below 1", -0.1),
    "budget.tokens": ("a number, above 0", 0),
    "budget.refill": ("a number, 0 or more", -1),
    "budget.chance": ("a number, 0 or more and at most 1 (or None for no limit)", -0.1),
    "budget.min_calls": ("a whole number, 1 or more", 0),
    "budget.window": ("a number, above 0 seconds", 0),
}
settings = pytest.mark.parametrize("name", BELOW_ALL)


@settings
@pytest.mark.parametrize("value", ["5", "250ms", True, math.nan, math.inf, [1], -1, "just below"])
def test_senseless_value(name: str, value: object) -> None:
    """A value that is no number, or out of range, is named with its setting and what is right."""
    wanted, below = BELOW_ALL[name]
    value = below if value == "just below" else value
    with pytest.raises(ConfigError) as caught:
        make(name, value)
    problem = next(p for p in caught.value.problems if p.startswith(f"{name}={value!r}: "))
    assert "must be" in problem
    assert wanted in problem


@settings
def test_none(name: str) -> None:
    """None means no limit for times and attempts, and nothing elsewhere."""
    if "None" in BELOW_ALL[name][0]:
        make(name, None)
    else:
        with pytest.raises(ConfigError, match=f"{name}=None: must be"):
            make(name, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backoff.initial", 0),
        ("backoff.multiplier", 1),
        ("breaker.failures", 1),
        ("breaker.jitter", 0),
        ("breaker.jitter", 0.999),
        ("breaker.rate", 1),
        ("breaker.min_calls", 1),
        ("breaker.window", 10),
        ("budget.refill", 0),
        ("budget.chance", 0),
        ("budget.chance", 1),
        ("budget.min_calls", 1),
        ("retry.max_attempts", 1),
        ("call_timeout", 5),
    ],
)
def test_bounds_that_are_in(name: str, value: float) -> None:
    """The bounds themselves are allowed where they make sense."""
    make(name, value)


def test_jitter_of_one_is_too_much() -> None:
    """A jitter that could make the open time nothing is refused."""
    with pytest.raises(ConfigError, match=r"breaker.jitter=1: "):
        make("breaker.jitter", 1)


@pytest.mark.parametrize("name", ["breaker.rate", "budget.chance"])
def test_parts_of_a_whole(name: str) -> None:
    """More than all is refused."""
    with pytest.raises(ConfigError, match=rf"{name}=1.01: must be .* and at most 1 "):
        make(name, 1.01)


@pytest.mark.parametrize(
    "name", ["retry.max_attempts", "breaker.failures", "breaker.min_calls", "budget.min_calls"]
)
def test_counts_are_whole(name: str) -> None:
    """There is no half attempt."""
    with pytest.raises(ConfigError, match=f"{name}=2.5: must be a whole number"):
        make(name, 2.5)


@pytest.mark.parametrize(
    ("small", "large", "options"),
    [
        ("attempt_timeout=5.0", "call_timeout=2", {"call_timeout": 2}),
        (
            "backoff.initial=6",
            "backoff.max=5.0",
            {"backoff": Backoff(initial=6)},
        ),
        (
            "backoff.initial=4",
            "call_timeout=3",
            {"backoff": Backoff(initial=4), "call_timeout": 3, "attempt_timeout": 1},
        ),
        ("breaker.open_for=31", "breaker.open_max=30.0", {"breaker": CircuitBreaker(open_for=31)}),
    ],
)
def test_contradictions(small: str, large: str, options: dict[str, object]) -> None:
    """Settings that contradict each other are named together."""
    with pytest.raises(ConfigError) as caught:
        Policy(**options)
    assert f"{small}: must not exceed {large}" in caught.value.problems


@pytest.mark.parametrize("value", ["fleat", "Fleet", "FLEET"])
def test_nearest_budget(value: str) -> None:
    """A budget's name that is none is answered by the nearest one."""
    with pytest.raises(ConfigError, match=r"'fleet' or None; did you mean 'fleet'\?$"):
        Policy(budget=value)


@pytest.mark.parametrize(
    ("window", "attempt", "rate", "good"),
    [
        (10.0, 5.0, 0.5, True),
        (9.9, 5.0, 0.5, False),
        (9.9, 5.0, None, True),
        (9.9, None, 0.5, True),
        (30.0, 15.0, 0.5, True),
        (30.0, 16.0, 0.5, False),
    ],
)
def test_window_holds_two_attempts(
    window: float, attempt: float | None, rate: float | None, good: bool
) -> None:
    """A window that two timed-out attempts do not fit into is refused, where there is a rate."""
    breaker = CircuitBreaker(window=window, rate=rate)
    if good:
        Policy(attempt_timeout=attempt, breaker=breaker)
        return
    with pytest.raises(ConfigError) as caught:
        Policy(attempt_timeout=attempt, breaker=breaker)
    wanted = f"must be at least 2 times attempt_timeout={attempt} (or breaker.rate None)"
    assert caught.value.problems == (f"breaker.window={window}: {wanted}",)
    Policy(attempt_timeout=attempt, breaker=None)


@pytest.mark.parametrize(
    ("attempts", "total", "backoff", "least"),
    [
        (3, 5.0, Backoff(jitter="none"), None),
        (4, 5.0, Backoff(initial=1, max=4, jitter="none"), "7"),
        (3, 3.0, Backoff(initial=1, max=4, jitter="none"), "3"),
        (3, 3.01, Backoff(initial=1, max=4, jitter="none"), None),
        (4, 3.5, Backoff(initial=1, max=4, jitter="equal"), "3.5"),
        (4, 3.5, Backoff(initial=1, max=4), None),
        (4, 3.0, Backoff(initial=1, max=4, jitter="decorrelated"), "3"),
        (10**9, 60.0, Backoff(jitter="none"), "5e+09"),
        (10**9, None, Backoff(jitter="none"), None),
        (None, 1.0, Backoff(jitter="none"), None),
    ],
)
def test_waits_leave_time(
    attempts: int | None, total: float | None, backoff: Backoff, least: str | None
) -> None:
    """Waits that use up all the time of a call, however they are drawn, are refused."""
    options = {
        "retry": Retry(max_attempts=attempts),
        "call_timeout": total,
        "attempt_timeout": 1,
        "backoff": backoff,
    }
    if least is None:
        Policy(**options)
        return
    with pytest.raises(ConfigError) as caught:
        Policy(**options)
    waits = f"the waits before the last one, {least} seconds at least"
    wanted = f"{waits}, must take less than call_timeout={total}"
    assert caught.value.problems == (f"retry.max_attempts={attempts}: {wanted}",)


def test_probe_outlives_its_attempt() -> None:
    """A probe's lease is longer than its attempt may take, whatever the settings."""
    for attempt in (0.001, 5.0, 1e6, None):
        limits = Limits(Policy(attempt_timeout=attempt, call_timeout=None, breaker=None), 0.0, None)
        assert limits.for_probe(0.0) > (attempt or 0.0)


def test_equal_is_no_contradiction() -> None:
    """One attempt may take all the time of the call."""
    Policy(attempt_timeout=5, call_timeout=5)
    Policy(breaker=CircuitBreaker(open_for=30))


def test_all_problems_at_once() -> None:
    """Who made five mistakes hears of five."""
    with pytest.raises(ConfigError) as caught:
        Policy(
            call_timeout="30",
            attempt_timeout=-1,
            retry=Retry(max_attempts=0),
            backoff=Backoff(initial=9),
            breaker=CircuitBreaker(jitter=2),
        )
    names = [problem.partition("=")[0] for problem in caught.value.problems]
    assert names == [
        "call_timeout",
        "attempt_timeout",
        "retry.max_attempts",
        "breaker.jitter",
        "backoff.initial",
    ]
    assert str(caught.value) == "; ".join(caught.value.problems)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("value", [3, True, "fast", PARTS, None], ids=repr)
def test_parts_of_another_type(name: str, value: object) -> None:
    """A number where a group of settings belongs is a problem like any other."""
    optional = name in {"breaker", "budget"}
    if value is None and optional:
        assert getattr(Policy(**{name: None}), name) is None
        return
    wanted = f"must be a tieline.{PARTS[name].__name__}"
    wanted += {"breaker": " or None", "budget": ", 'fleet' or None"}.get(name, "")
    with pytest.raises(ConfigError) as caught:
        Policy(**{name: value})
    assert [p for p in caught.value.problems if p.startswith(f"{name}=")] == [
        f"{name}={value!r}: {wanted}"
    ]


JUNK = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.floats(), st.integers())


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(BELOW_ALL, JUNK)))
def test_any_value_is_accepted_or_explained(values: dict[str, object]) -> None:
    """Whatever is given, a policy is made, or one ConfigError says why not; nothing else."""
    groups: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        part, _, field = name.rpartition(".")
        groups.setdefault(part, {})[field] = value
    own = groups.pop("", {})
    parts = {name: PARTS[name](**fields) for name, fields in groups.items()}
    problems: tuple[str, ...] = ("must",)
    try:
        Policy(**own, **parts)
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all("must" in problem for problem in problems)


def test_immutable_and_comparable() -> None:
    """Policies are values: equal ones share a target's state, and none can be changed."""
    assert Policy() == Policy()
    assert hash(Policy()) == hash(Policy())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy().call_timeout = 3


def test_positional_arguments() -> None:
    """Two numbers in a row would be mistaken for each other, so there are none by position."""
    with pytest.raises(TypeError):
        Policy(25.0)


@pytest.mark.parametrize(
    ("seconds", "attempt", "call"), [(1, 1, 25.0), (60, 60, 60), (None, None, None)]
)
def test_with_attempt_timeout(seconds: float | None, attempt: object, call: object) -> None:
    """A timeout given for one connection stretches the total if it must, and never shrinks it."""
    policy = Policy().with_attempt_timeout(seconds)
    assert (policy.attempt_timeout, policy.call_timeout) == (attempt, call)
    assert policy.breaker.window == max(30.0, 2 * (seconds or 0))
    assert (policy.breaker == Policy().breaker) is (seconds != 60)
    for breaker in (None, CircuitBreaker(rate=None)):
        assert Policy(breaker=breaker).with_attempt_timeout(seconds).breaker == breaker
    unlimited = Policy(call_timeout=None).with_attempt_timeout(seconds)
    assert unlimited.call_timeout is None


def test_defaults() -> None:
    """The defaults that users are told of."""
    policy = Policy()
    assert (policy.call_timeout, policy.attempt_timeout) == (25.0, 5.0)
    assert policy.retry == Retry(max_attempts=3)
    assert policy.backoff == Backoff(initial=0.1, max=5.0, multiplier=2.0, jitter="full")
    assert policy.breaker == CircuitBreaker(
        failures=5, rate=0.5, min_calls=10, window=30.0, open_for=1.0, open_max=30.0, jitter=0.2
    )
    assert policy.budget == Budget(tokens=10.0, refill=0.1, chance=None)
    assert (DEFAULTS["guard"].call_timeout, DEFAULTS["guard"].attempt_timeout) == (None, None)
    assert DEFAULTS["psycopg"].retry.max_attempts == 4
