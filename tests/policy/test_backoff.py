"""Backoff: how long, within which bounds."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.errors import ConfigError
from tieline.policy.backoff import Backoff, Jitter
from tieline.policy.policy import Policy

DRAWS = st.floats(0, 1, exclude_max=True)
NAMES = get_args(Jitter)
names = pytest.mark.parametrize("name", NAMES)


def bound(failures: int) -> float:
    """The bound of the formulas, with the defaults."""
    return min(5.0, 0.1 * 2 ** min(failures - 1, 60))


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (2000, 5.0)]
)
def test_full_jitter(failures: int, bound: float) -> None:
    """The bound doubles with each failure up to the longest, and all below it is possible."""
    assert Backoff().delay(failures, 0.0) == 0
    assert Backoff().delay(failures, 0.5) == pytest.approx(bound / 2)


def test_equal_jitter() -> None:
    """Half of the bound is certain, and chance adds up to the other half."""
    backoff = Backoff(jitter="equal")
    assert [backoff.delay(3, draw) for draw in (0.0, 0.5)] == pytest.approx([0.2, 0.3])


def test_no_jitter() -> None:
    """Without jitter the bound itself is the wait, whatever is drawn."""
    backoff = Backoff(jitter="none")
    waits = [backoff.delay(count, 0.7) for count in range(1, 9)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_decorrelated_jitter() -> None:
    """Between the first wait and three times the last one, whatever the count; never above max."""
    backoff = Backoff(jitter="decorrelated")
    assert backoff.delay(1, 0.5) == pytest.approx(0.2)
    assert backoff.delay(9, 0.5) == pytest.approx(0.2)
    assert backoff.delay(2, 0.0, previous=2.0) == pytest.approx(0.1)
    assert backoff.delay(2, 0.5, previous=1.0) == pytest.approx(1.55)
    assert backoff.delay(2, 0.9, previous=4.0) == pytest.approx(5.0)


@given(failures=st.integers(1, 10_000), draw=DRAWS, previous=st.floats(0, 1e6))
def test_within_the_bounds_of_the_formula(failures: int, draw: float, previous: float) -> None:
    """Every wait lies where the AWS Architecture Blog says."""
    waits = {name: Backoff(jitter=name).delay(failures, draw, previous=previous) for name in NAMES}
    most = bound(failures) + 1e-9
    assert 0 <= waits["full"] <= most
    assert most / 2 - 1e-9 <= waits["equal"] <= most
    assert waits["none"] == pytest.approx(most)
    assert 0.1 - 1e-9 <= waits["decorrelated"] <= min(5.0, 3 * max(previous, 0.1)) + 1e-9


@given(
    name=st.sampled_from(NAMES),
    failures=st.integers(1, 10_000),
    draw=DRAWS,
    floor=st.floats(0, 1e6),
    base=st.floats(0, 9),
    previous=st.floats(0, 1e6),
)
def test_never_below_what_was_asked_for(
    *, name: Jitter, failures: int, draw: float, floor: float, base: float, previous: float
) -> None:
    """A server's hint and the least wait of a failure are never undercut, nor exceeded by much."""
    delay = Backoff(jitter=name).delay(failures, draw, base=base, floor=floor, previous=previous)
    least = max(base, floor)
    assert least <= delay <= least + 5.0 + 1e-9


@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), hints=st.lists(st.floats(0, 9)))
def test_same_seed_same_schedule(name: Jitter, seed: int, hints: list[float]) -> None:
    """Nothing but the draws decides: the same ones give the same waits."""

    def schedule() -> list[float]:
        draw, waits = random.Random(seed).random, [0.0]
        for count, hint in enumerate(hints, 1):
            delay = Backoff(jitter=name).delay(count, draw(), floor=hint, previous=waits[-1])
            waits.append(delay)
        return waits

    assert schedule() == schedule()


@pytest.mark.parametrize("name", ["full", "equal", "decorrelated"])
def test_jitter_goes_on_top(name: Jitter) -> None:
    """Clients that are told the same time do not all come back in the same instant."""
    for least in ({"base": 1.0}, {"floor": 1.0}):
        waits = {Backoff(jitter=name).delay(1, draw / 10, **least) for draw in range(10)}
        assert len(waits) == 10


def test_hint_without_jitter() -> None:
    """Without jitter a hint is met exactly, and so is a longer bound."""
    backoff = Backoff(jitter="none")
    assert backoff.delay(1, 0.5, floor=3.0) == 3.0
    assert backoff.delay(9, 0.5, floor=3.0) == 5.0


def test_base_is_a_larger_first_bound() -> None:
    """A failure that takes longer to pass spreads its retries over a longer time."""
    assert Backoff().delay(1, 0.5, base=1.0) == pytest.approx(1.5)
    assert Backoff().delay(2, 0.5, base=1.0) == pytest.approx(2.0)


@pytest.mark.parametrize("multiplier", [65536, 1e300, 10**400])
@pytest.mark.parametrize(("initial", "bound"), [(0.1, 5.0), (0.0, 0.0)])
def test_growth_beyond_all_numbers(multiplier: float, initial: float, bound: float) -> None:
    """A multiplier that no float can follow leads to the longest wait, and from nothing nowhere."""
    backoff = Backoff(initial=initial, multiplier=multiplier, jitter="none")
    assert backoff.delay(100, 0.5) == bound


@names
@pytest.mark.parametrize("waits", [0, 1, 2, 10, 64, 65, 66, 200])
def test_least_of_several_waits(name: Jitter, waits: int) -> None:
    """The least that waits take together is the sum of their lowest draws."""
    backoff = Backoff(jitter=name, initial=1e-3, multiplier=1.1)
    assert backoff.least(waits) == pytest.approx(
        sum(backoff.delay(count, 0.0) for count in range(1, waits + 1))
    )


def test_least_of_very_many_waits() -> None:
    """It takes no longer to say for a billion attempts."""
    assert Backoff(jitter="none").least(10**9) == pytest.approx(5e9, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("Full", "; did you mean 'full'?"),
        ("equl", "; did you mean 'equal'?"),
        ("decorelated", "; did you mean 'decorrelated'?"),
        ("non", "; did you mean 'none'?"),
        ("", ""),
        ("xyz", ""),
        (None, ""),
        (3, ""),
        (["full"], ""),
    ],
)
def test_unknown_name(given: object, advice: str) -> None:
    """A name that is none is answered by all of them, and by the nearest."""
    with pytest.raises(ConfigError) as caught:
        Policy(backoff=Backoff(jitter=given))
    known = "'full', 'equal', 'decorrelated' or 'none'"
    assert caught.value.problems == (f"backoff.jitter={given!r}: must be {known}{advice}",)
