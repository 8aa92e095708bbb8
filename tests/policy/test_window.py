"""The window: what the last seconds held, and nothing older."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.policy.window import BUCKETS, Window

LENGTH = 30.0
PART = LENGTH / BUCKETS

# Wholes and halves of a part, and what lies beside them, reach every edge.
GAPS = st.one_of(st.sampled_from([0.0, PART / 2, PART, LENGTH - PART, LENGTH]), st.floats(0, 90))
MOMENTS = st.lists(st.tuples(GAPS, st.booleans(), st.integers(0, 50)), max_size=30)


def test_counts_calls_and_failures() -> None:
    """A failure is a call too."""
    window = Window(LENGTH)
    for failed in (True, False, False):
        window.record(100.0, failed=failed)
    assert window.totals(100.0) == (3, 1)


@pytest.mark.parametrize(("later", "calls"), [(0.0, 1), (26.9, 1), (27.0, 1), (30.0, 0), (1e9, 0)])
def test_forgets(later: float, calls: int) -> None:
    """A call at the beginning of a part is remembered for the whole length, and no longer."""
    window = Window(LENGTH)
    window.record(300.0, failed=True)
    assert window.totals(300.0 + later) == (calls, calls)


def test_forgets_part_by_part() -> None:
    """What is too old goes, what is younger stays."""
    window = Window(LENGTH)
    for part in range(BUCKETS):
        window.record(300.0 + part * PART, failed=False)
    left = [window.totals(327.0 + part * PART)[0] for part in range(BUCKETS + 1)]
    assert left == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@given(MOMENTS)
def test_never_remembers_beyond_its_length(moments: list[tuple[float, bool, int]]) -> None:
    """It never counts what is older than its length, and all that is younger than nine tenths."""
    window, now, past, elsewhere = Window(LENGTH), 0.0, [], 0
    for gap, failed, _ in moments:
        now += gap
        window.record(now, failed=failed, elsewhere=elsewhere)
        past.append((now, failed))
        calls, failures = window.totals(now)
        slack = 1e-6

        def within(length: float, now: float = now, past: list = past) -> list[bool]:
            return [failed for at, failed in past if now - at < length]

        assert len(within(LENGTH - PART - slack)) <= calls <= len(within(LENGTH + slack))
        assert sum(within(LENGTH - PART - slack)) <= failures <= sum(within(LENGTH + slack))


@given(MOMENTS)
def test_counted_elsewhere_is_counted_once(moments: list[tuple[float, bool, int]]) -> None:
    """However often the number is read, no success in it counts twice, and none as a failure."""
    window, now, elsewhere, failures = Window(1e6), 0.0, 0, 0
    window.clear(0.0)
    for count, (gap, failed, more) in enumerate(moments, 1):
        now += gap
        elsewhere += more
        failures += failed
        window.record(now, failed=failed, elsewhere=elsewhere)
        assert window.totals(now) == (elsewhere + count, failures)


@given(
    seconds=st.floats(0.001, 1e4),
    total=st.integers(0, 10**6),
    start=st.floats(0, 1e6),
    length=st.floats(0.1, 1e3),
)
def test_spread_evenly(seconds: float, total: int, start: float, length: float) -> None:
    """Of successes counted elsewhere as many are in the window as fall into it, evenly spread."""
    window = Window(length)
    window.clear(start)
    now = start + seconds
    window.record(now, failed=True, elsewhere=total)
    calls, failures = window.totals(now)
    least = total * min(1.0, 0.9 * length / seconds) - 2
    most = total * min(1.0, length / seconds) + 2
    rounding = 1e-6 * total + 1
    assert least - rounding <= calls - 1 <= most + rounding
    assert failures == 1


def test_ten_minutes_are_no_moment() -> None:
    """Ten minutes of success count for the half minute that is looked at, and age with it."""
    window = Window(LENGTH)
    window.clear(0.0)
    window.record(600.0, failed=True, elsewhere=6000)
    assert window.totals(600.0) == (271, 1)
    assert window.totals(615.0) == (121, 1)
    assert window.totals(630.0) == (0, 0)


def test_spread_over_the_time_since_the_last_call() -> None:
    """What was counted since the last call is spread from there on, not from the beginning."""
    window = Window(LENGTH)
    window.clear(0.0)
    window.record(600.0, failed=False)
    window.record(603.0, failed=False, elsewhere=100)
    assert window.totals(603.0) == (102, 0)


def test_unknown_beginning() -> None:
    """Where nobody knows since when, successes are taken to be one window old at most."""
    window = Window(LENGTH)
    window.record(600.0, failed=True, elsewhere=6000)
    assert window.totals(600.0)[0] == 5401
    assert window.totals(615.0)[0] == 2401


def test_clear() -> None:
    """Cleared, it knows of nothing that came before, here or elsewhere."""
    window = Window(LENGTH)
    window.record(10.0, failed=True, elsewhere=5)
    window.clear(10.0, elsewhere=8)
    assert window.totals(10.0) == (0, 0)
    window.record(10.0, failed=False, elsewhere=9)
    assert window.totals(10.0) == (2, 0)


def test_number_that_fell() -> None:
    """A number that two threads wrote at once, and that fell by it, takes nothing away."""
    window = Window(LENGTH)
    window.record(10.0, failed=False, elsewhere=8)
    before, _ = window.totals(10.0)
    window.record(10.0, failed=False, elsewhere=5)
    assert window.totals(10.0) == (before + 1, 0)
    window.record(10.0, failed=False, elsewhere=7)
    assert window.totals(10.0) == (before + 4, 0)


def test_time_that_stands_still() -> None:
    """Successes in no time at all are all counted now; a clock that went back loses nothing."""
    window = Window(LENGTH)
    window.clear(10.0)
    window.record(10.0, failed=False, elsewhere=4)
    window.record(5.0, failed=False, elsewhere=6)
    assert window.totals(5.0) == (8, 0)
    assert window.totals(10.0) == (8, 0)
