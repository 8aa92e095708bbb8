"""What every test of a drop-in begins with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.dropins.flavours import FLAVOURS, flavour
from tieline.testing import ManualClock, reset_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropins.flavours import Flavour


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    """`tieline.psycopg`, in threads and on asyncio."""
    with flavour(request.param) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_targets() -> None:
    """Every breaker closed and every budget full."""
    reset_targets()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection parameter comes from the machine that the tests run on."""
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """Waits take no time; sockets go on in real time."""
    with ManualClock() as manual:
        yield manual
