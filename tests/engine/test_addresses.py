"""The order in which the addresses of a name are tried."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.engine import addresses
from tieline.engine.addresses import MAX_REMEMBERED, in_order, remember

FOUND = st.lists(st.ip_addresses().map(str), unique=True, max_size=12)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> dict:
    """No address answered yet."""
    memory: dict = {}
    monkeypatch.setattr(addresses, "_answered", memory)
    return memory


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        (["10.0.0.1"], ["10.0.0.1"]),
        (["10.0.0.2", "10.0.0.1"], ["10.0.0.2", "10.0.0.1"]),
        (["::1", "::2", "10.0.0.1"], ["::1", "10.0.0.1", "::2"]),
        (["10.0.0.1", "10.0.0.2", "::1"], ["10.0.0.1", "::1", "10.0.0.2"]),
        (["::1", "10.0.0.1", "10.0.0.2", "::2"], ["::1", "10.0.0.1", "::2", "10.0.0.2"]),
    ],
)
def test_families_take_turns(found: list[str], expected: list[str]) -> None:
    """The system's first address decides which family begins; within one its order stays."""
    assert in_order("db", 5432, found) == expected


@given(FOUND)
def test_nothing_is_lost(found: list[str]) -> None:
    """Any addresses: each once, each family in its order, two of one family in a row only at the end."""
    ordered = in_order("never-remembered", None, found)
    assert sorted(ordered) == sorted(found)
    for family in (True, False):
        assert [a for a in ordered if (":" in a) is family] == [
            a for a in found if (":" in a) is family
        ]
    runs = [len(list(run)) for _, run in groupby(ordered, lambda a: ":" in a)]
    assert all(length == 1 for length in runs[:-1])
    assert ordered[:1] == found[:1]


@given(FOUND.filter(bool), st.data())
def test_the_last_good_one_is_first(found: list[str], data: st.DataObject) -> None:
    """Whichever answered last comes first, and the rest stay as they were."""
    good = data.draw(st.sampled_from(found))
    before = in_order("fresh", 1, found)
    remember("db", 5432, good)
    assert in_order("db", 5432, found) == [good, *(a for a in before if a != good)]


def test_it_is_remembered_for_one_name_and_port() -> None:
    """What answered on one port says nothing of another port or name."""
    remember("db", 5432, "10.0.0.2")
    found = ["10.0.0.1", "10.0.0.2"]
    assert in_order("db", 5433, found) == in_order("other", 5432, found) == found


def test_an_address_that_is_gone_is_not_tried() -> None:
    """The name service has the last word on what there is."""
    remember("db", 5432, "10.0.0.9")
    assert in_order("db", 5432, ["10.0.0.1", "10.0.0.2"]) == ["10.0.0.1", "10.0.0.2"]


def test_memory_is_bounded(memory: dict) -> None:
    """Beyond its limit the name that was confirmed longest ago is forgotten."""
    remember("first", 1, "10.0.0.2")
    for number in range(MAX_REMEMBERED - 1):
        remember(f"db-{number}", 1, "10.0.0.2")
    remember("first", 1, "10.0.0.2")  # again: now db-0 is the oldest
    for number in range(MAX_REMEMBERED // 2):
        remember(f"more-{number}", 1, "10.0.0.2")
    assert len(memory) == MAX_REMEMBERED
    found = ["10.0.0.1", "10.0.0.2"]
    assert in_order("first", 1, found)[0] == "10.0.0.2"
    assert in_order("db-0", 1, found)[0] == "10.0.0.1"
