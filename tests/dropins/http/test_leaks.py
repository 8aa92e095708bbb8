"""Requests leave nothing behind, however they end."""

from __future__ import annotations

import gc
import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.server import Server
from tests.dropins.http.told import ONCE, POLICY, outcome
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset

if TYPE_CHECKING:
    from tests.dropins.http.clients import Client
    from tieline.testing import ManualClock
    from tieline.testing.faults import Fault

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")

COUNT = 10_000 if os.environ.get("TIELINE_SOAK") == "1" else 200
OUTAGES: dict[str, Fault | http.Reply] = {
    "refused": Refuse(),
    "FIN": Fin(),
    "RST": Reset(after=1),
    "nonsense": Garbage(b"nonsense\r\n\r\n", after=1),
}
REPLIES: dict[str, http.Reply] = {
    "cut": http.cut(),
    "503": http.answer(503),
    "503 and closed": http.answer(503, close=True),
    "half of the headers": http.says(b"HTTP/1.1 200 OK\r\nConte"),
    "half of the body": http.says(http.head(200, {"Content-Length": "100"}) + b"partial"),
    "fine": http.answer(),
    "fine and closed": http.answer(close=True),
}


def held() -> tuple[int, int]:
    """Descriptors and threads."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.mark.parametrize("outage", OUTAGES)
def test_outages_leave_nothing(client: Client, outage: str, clock: ManualClock) -> None:
    """Sockets, threads and descriptors are as many after all the failures as after the first."""
    with FaultServer(OUTAGES[outage]) as server, client.open() as sender:
        url = f"http://127.0.0.1:{server.port}/x"
        with suppress(tieline.TielineError):
            sender.get(url)
    before = held()
    with FaultServer(OUTAGES[outage]) as server, client.open(policy=ONCE) as sender:
        url = f"http://127.0.0.1:{server.port}/x"
        for _ in range(COUNT // len(OUTAGES)):
            with pytest.raises(tieline.TielineError):
                sender.get(url)
    assert held() == before


def test_changing_moods_leave_nothing(client: Client, clock: ManualClock) -> None:
    """One session, a server in every mood, waits and repetitions, streams read and left unread."""
    with Server() as server, client.open() as sender:
        sender.get(server.url)
    before = held()
    replies = list(REPLIES.values())
    with Server() as server, client.open(policy=POLICY) as sender:
        for index in range(COUNT):
            server.then(replies[index % len(replies)])
            stream = index % 3 == 0
            found = outcome(sender.send, "GET", server.url, stream=stream)
            if stream and not isinstance(found, Exception):
                found.raw.close()
            del found
    assert held() == before


@pytest.mark.parametrize("reply", REPLIES)
def test_a_response_that_is_forgotten(client: Client, reply: str, clock: ManualClock) -> None:
    """A streamed response that nobody reads or closes closes its connection as it goes."""
    with Server() as server, client.open() as sender:
        sender.get(server.url)
    before = held()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Server() as server, client.open(policy=POLICY) as sender:
            for _ in range(5):
                server.then(REPLIES[reply])
                outcome(sender.send, "GET", server.url, stream=True)
        assert held() == before
    assert [str(warning.message) for warning in caught] == []


def errors() -> int:
    """Errors of ours that are alive in this process; other tests may keep some."""
    return sum(isinstance(item, tieline.TielineError) for item in gc.get_objects())


@pytest.mark.parametrize("outage", OUTAGES)
def test_failures_leave_no_cycles(client: Client, outage: str, clock: ManualClock) -> None:
    """An error that nobody keeps is gone, with its frames and its connection, at once."""
    with FaultServer(OUTAGES[outage]) as server, client.open(policy=ONCE) as sender:
        url = f"http://127.0.0.1:{server.port}/x"
        for _ in range(2):
            with suppress(tieline.TielineError):
                sender.get(url)
        gc.collect()
        before = errors()
        gc.disable()
        try:
            for _ in range(20):
                with suppress(tieline.TielineError):
                    sender.get(url)
            assert errors() == before
        finally:
            gc.enable()
