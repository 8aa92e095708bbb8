"""What every test of a drop-in begins with."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.dropins.flavours import FLAVOURS, flavour
from tieline.engine import addresses, resolver
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


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names that resolve as the test says: to addresses, to an error, or by a function."""
    known: dict[str, Any] = {}
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        answer = known.get(host)
        if answer is None:
            return original(host, port, *args, **kwargs)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return [
            (
                socket.AF_INET6 if ":" in item else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (item, port),
            )
            for item in answer
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    # Threads of its own: one that a test leaves hanging must not be missed by the others.
    monkeypatch.setattr(resolver, "shared", resolver.Resolver())
    monkeypatch.setattr(addresses, "_answered", {})
    return known
