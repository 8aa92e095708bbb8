"""The WebSocket part of the demonstration counts what the service saw."""

from __future__ import annotations

import pytest

from demo import ticks
from demo.ticks import FOLLOWERS, Opening, Side, broken, most, too_early


def openings(*rows: tuple[float, str, int]) -> list[Opening]:
    """What the log of the service comes to."""
    return [Opening(*row) for row in rows]


def ours() -> Side:
    """A side of ours that kept every promise."""
    return Side("tieline.websockets", back=[2.0, 2.0])


def test_an_opening_before_its_time_is_seen() -> None:
    """Who was asked to wait a second and comes earlier; another client's opening is none of it."""
    kept = openings((1.0, "a", 503), (1.5, "b", 101), (2.0, "a", 101))
    assert too_early(kept) == 0
    assert too_early(openings((1.0, "a", 503), (1.9, "a", 101))) == 1


def test_the_busiest_moment() -> None:
    """Openings after the first loss, in any tenth of a second."""
    found = openings(*((moment, "a", 101) for moment in (0.0, 0.0, 5.0, 5.05, 5.09, 5.2)))
    assert most(found, [4.0]) == 3
    assert most([], [4.0]) == 0


def test_promises_that_held() -> None:
    """Nothing is said, and of the plain client nothing ever."""
    assert list(broken(ours(), openings((1.0, "a", 503), (2.5, "a", 101)))) == []
    plain = Side("websockets", errors=[OSError("gone")], back=[15.0, 15.0])
    assert list(broken(plain, openings((1.0, "a", 503), (1.1, "a", 101)))) == []


@pytest.mark.parametrize(
    ("side", "rows", "said"),
    [
        (ours(), [(1.0, "a", 503), (1.1, "a", 101)], "openings before Retry-After was over: 1"),
        (Side("tieline.websockets", back=[15.0, 2.0]), [], "back 15.0 s after the restart"),
        (Side("tieline.websockets", back=[2.0, 9.0]), [], "back 9.0 s after the crash"),
        (Side("tieline.websockets", errors=[OSError("gone")], back=[2.0, 2.0]), [], "OSError"),
    ],
)
def test_promises_that_broke(side: Side, rows: list[tuple[float, str, int]], said: str) -> None:
    """Each is told in one sentence."""
    (sentence,) = broken(side, openings(*rows))
    assert said in sentence


def test_both_sides_are_the_same_program() -> None:
    """What differs is the client that it imports."""
    assert list(ticks.SIDES) == ["websockets", "tieline.websockets"]
    assert FOLLOWERS >= 20
