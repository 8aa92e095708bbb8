"""Coming back after a lost connection: the windows, and what they promise for any history."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.world import REFUSED
from tieline import ConfigError, Policy, Reconnect
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.decision import Raise, Sleep
from tieline.policy.reconnection import Reconnection
from tieline.policy.retry import Reason

DENIED = Failure(Phase.HANDSHAKE, Kind.DENIED, Safety.NEVER)


def windows(settings: Reconnect, count: int) -> list[float]:
    """Where the first windows after a loss at 0 begin."""
    begins = [0.0]
    for number in range(1, count):
        begins.append(begins[-1] + settings.window(number))
    return begins


def test_the_first_opening_is_within_five_seconds() -> None:
    """RFC 6455, 7.2.3: a random wait of 5 seconds at most, before the first opening too."""
    draws = [index / 100 for index in range(100)]
    waits = [Reconnection(Reconnect()).after(REFUSED, 0.0, lambda d=draw: d) for draw in draws]
    assert [wait.seconds for wait in waits] == pytest.approx([5 * draw for draw in draws])


def test_the_windows_double_up_to_a_minute() -> None:
    """5, 10, 20, 40, 60, 60 seconds."""
    settings = Reconnect()
    assert [settings.window(number) for number in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert settings.window(10_000) == 60


def test_the_next_window_begins_where_the_last_one_ends() -> None:
    """An opening early in its window is not followed by another one in it."""
    comeback = Reconnection(Reconnect())
    assert comeback.after(REFUSED, 100.0, lambda: 0.1) == Sleep(0.5)
    # It is 100.5 now, and refused at once: the next one is in [105, 115).
    assert comeback.after(REFUSED, 100.5, lambda: 0.0) == Sleep(4.5)
    # And the one after that in [115, 135).
    assert comeback.after(REFUSED, 105.0, lambda: 0.5) == Sleep(20.0)


def test_a_connection_that_lived_begins_anew() -> None:
    """30 seconds of life, and the first window is the short one again."""
    comeback = Reconnection(Reconnect())
    for now in (0.0, 5.0, 15.0):
        comeback.after(REFUSED, now, lambda: 0.0)
    assert comeback.failures == 3
    assert comeback.after(REFUSED, 100.0, lambda: 0.5, lived=30.0) == Sleep(2.5)
    assert comeback.failures == 1


def test_a_connection_that_died_young_does_not() -> None:
    """A server that accepts and closes meets ever longer waits."""
    comeback = Reconnection(Reconnect())
    now, waits = 0.0, []
    for _ in range(5):
        decision = comeback.after(REFUSED, now, lambda: 0.5, lived=0.01)
        assert isinstance(decision, Sleep)
        waits.append(decision.seconds)
        now += decision.seconds + 0.01
    assert all(later > earlier for earlier, later in pairwise(waits))
    assert comeback.failures == 5


def test_what_waiting_does_not_help_ends_the_loop() -> None:
    """A rejected credential is not offered again."""
    assert Reconnection(Reconnect()).after(DENIED, 0.0, lambda: 0.0) == Raise(None, Reason.HOPELESS)


def test_the_loop_ends_when_its_openings_are_used_up() -> None:
    """`max_attempts` counts openings in a row; one that lived counts no more."""
    comeback = Reconnection(Reconnect(max_attempts=2))
    assert isinstance(comeback.after(REFUSED, 0.0, lambda: 0.0), Sleep)
    assert isinstance(comeback.after(REFUSED, 50.0, lambda: 0.0, lived=40.0), Sleep)
    assert comeback.after(REFUSED, 60.0, lambda: 0.0) == Raise(None, Reason.ATTEMPTS)


def test_the_loop_ends_when_the_deadline_leaves_no_time() -> None:
    """It does not wait for a moment at which it would be told to stop."""
    comeback = Reconnection(Reconnect())
    assert comeback.after(REFUSED, 0.0, lambda: 0.9, deadline=4.0) == Raise(None, Reason.DEADLINE)
    assert Reconnection(Reconnect()).after(REFUSED, 0.0, lambda: 0.5, deadline=4.0) == Sleep(2.5)


def test_what_was_not_tried_counts_for_nothing() -> None:
    """While the breaker is open the server hears nothing of us: the window stays as long as it is."""
    comeback = Reconnection(Reconnect())
    assert comeback.after(REFUSED, 0.0, lambda: 0.5) == Sleep(2.5)
    assert comeback.after(None, 2.5, lambda: 0.5, asked=1.0) == Sleep(1.0 + 2.5)
    assert comeback.failures == 1


def test_a_caller_may_forgive_what_is_hopeless() -> None:
    """An application that knows better goes on."""
    assert Reconnection(Reconnect()).after(DENIED, 0.0, lambda: 0.5, forgiven=True) == Sleep(2.5)


def test_a_schedule_of_the_callers_own() -> None:
    """It replaces the windows, and what the server asked for stays the least."""
    comeback = Reconnection(Reconnect())
    assert comeback.after(REFUSED, 0.0, lambda: 0.9, given=0.25) == Sleep(0.25)
    assert comeback.after(REFUSED, 1.0, lambda: 0.9, given=0.25, asked=3.0) == Sleep(3.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"initial": -1}, "reconnect.initial=-1: must be a number, 0 or more seconds"),
        ({"max": math.inf}, "reconnect.max=inf: must be a number"),
        ({"reset_after": "30"}, "reconnect.reset_after='30': must be a number"),
        ({"max_attempts": 0}, "reconnect.max_attempts=0: must be a whole number, 1 or more"),
        ({"initial": 9, "max": 3}, "reconnect.initial=9: must not exceed reconnect.max=3"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object], said: str) -> None:
    """Each is named, with its value and with what would be right."""
    with pytest.raises(ConfigError) as caught:
        Policy(reconnect=Reconnect(**wrong))
    assert said in str(caught.value)


SETTINGS = st.builds(
    Reconnect,
    initial=st.floats(0.01, 10),
    max=st.floats(10, 120),
    reset_after=st.floats(1, 60),
)
STEPS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),  # the draw
        st.none() | st.floats(0, 100),  # how long the connection lived
        st.none() | st.floats(0, 200),  # what the server asked for
        st.floats(0, 3),  # how long the opening took
    ),
    min_size=1,
    max_size=30,
)


@given(settings=SETTINGS, steps=STEPS)
def test_for_any_history(settings: Reconnect, steps: list[tuple[float, ...]]) -> None:
    """No wait undercuts Retry-After; windows neither overlap nor share an opening; only life resets."""
    comeback = Reconnection(settings)
    now, ends, failures = 0.0, -math.inf, 0
    for draw, lived, asked, took in steps:
        now += (lived or 0.0) + took
        decision = comeback.after(REFUSED, now, lambda d=draw: d, lived=lived, asked=asked)
        assert isinstance(decision, Sleep)
        if lived is not None and lived >= settings.reset_after:
            failures, ends = 0, -math.inf
        failures += 1
        assert comeback.failures == failures
        assert decision.seconds >= (asked or 0.0) - 1e-9
        at = now + decision.seconds
        # Never two in one window, and never later than the end of the next one.
        assert at >= ends - 1e-6
        begins = max(ends, now + (asked or 0.0))
        ends = begins + settings.window(failures)
        assert at <= ends + 1e-6
        now = at


def test_a_fleet_spreads_over_the_window() -> None:
    """1,000 clients that lose one server in one moment: no tenth of the window has 15 % of them."""
    chance = random.Random(7)
    at = [Reconnection(Reconnect()).after(REFUSED, 0.0, chance.random).seconds for _ in range(1000)]
    shares = [sum(tenth <= moment * 2 < tenth + 1 for moment in at) for tenth in range(10)]
    assert sum(shares) == 1000
    assert max(shares) < 150
