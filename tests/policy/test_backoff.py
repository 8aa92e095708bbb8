"""Backoff: how long, within which bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.policy.backoff import Backoff

DRAWS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (2000, 5.0)]
)
def test_full_jitter(failures: int, bound: float) -> None:
    """The bound doubles with each failure up to the longest, and all below it is possible."""
    assert Backoff().delay(failures, 0.0) == 0
    assert Backoff().delay(failures, 0.5) == pytest.approx(bound / 2)


@given(failures=st.integers(1, 10_000), draw=DRAWS, floor=st.floats(0, 1e6), base=st.floats(0, 9))
def test_never_below_what_was_asked_for(
    failures: int, draw: float, floor: float, base: float
) -> None:
    """A server's hint and the least wait of a failure are never undercut, nor exceeded by much."""
    delay = Backoff().delay(failures, draw, base=base, floor=floor)
    assert max(base, floor) <= delay <= max(base, floor) + 5.0


def test_jitter_goes_on_top() -> None:
    """Clients that are told the same time do not all come back in the same instant."""
    for least in ({"base": 1.0}, {"floor": 1.0}):
        waits = {Backoff().delay(1, draw / 10, **least) for draw in range(10)}
        assert len(waits) == 10


def test_base_is_a_larger_first_bound() -> None:
    """A failure that takes longer to pass spreads its retries over a longer time."""
    assert Backoff().delay(1, 0.5, base=1.0) == pytest.approx(1.5)
    assert Backoff().delay(2, 0.5, base=1.0) == pytest.approx(2.0)
