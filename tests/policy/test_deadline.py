"""Deadlines as values: the earliest of those that live."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tieline.policy.deadline import Deadline, earliest


def test_earliest() -> None:
    """The first time that is set; None when none is."""
    assert earliest() is None
    assert earliest(None, None) is None
    assert earliest(None, 3.0, 2.0) == 2.0
    assert earliest(0.0, None) == 0.0


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1))
def test_nested(levels: list[tuple[float, bool]]) -> None:
    """Of any nesting, dead ones in between or not, the earliest living one counts."""
    innermost = None
    for at, dead in levels:
        innermost = Deadline(at, 1.0, innermost)
        if dead:
            innermost.end()
    assert innermost.at == earliest(*(at for at, dead in levels if not dead))


def test_of_another_thread() -> None:
    """A deadline from elsewhere bounds as long as both it and the block around live."""
    given_, ambient = Deadline(5.0, 5.0), Deadline(9.0, 9.0)
    joined = Deadline(given_, 5.0, ambient)
    assert joined.at == 5.0
    given_.end()
    assert joined.at == 9.0
    joined.end()
    assert joined.at == 9.0
    ambient.end()
    assert joined.at is None
