"""The HTTP drop-ins over requests and urllib3 themselves: a GET on a kept connection."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import requests as native_requests
import urllib3 as native_urllib3

from benchmarks.measure import median_ratio, one_core
from tieline import requests, urllib3
from tieline.policy.defaults import HTTP_CONNECT, HTTP_READ

if TYPE_CHECKING:
    from collections.abc import Iterator


CASES: Final[tuple[tuple[str, dict[str, Any], dict[str, Any]], ...]] = (
    # Ours has timeouts in each case. They cost a system call or two, which is most of the difference.
    ("without a timeout", {}, {}),
    (
        "with the same timeouts",
        {"timeout": native_urllib3.Timeout(connect=HTTP_CONNECT, read=HTTP_READ)},
        {"timeout": (HTTP_CONNECT, HTTP_READ)},
    ),
)
"""What the clients themselves are given: for people, to urllib3, to requests."""


@contextmanager
def server() -> Iterator[str]:
    """URL of a server in another process."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.stdin.close()


def ratios(rounds: int, pairs: int) -> Iterator[tuple[str, list[float]]]:
    """Name and median ratios, one a round, of each client.

    Args:
        rounds: Medians to take.
        pairs: Interleaved pairs of calls in each.
    """
    with one_core(), server() as url:
        for given, timeout, timeouts in CASES:
            with native_urllib3.PoolManager() as raw, urllib3.PoolManager() as ours:
                native = partial(raw.request, "GET", url, **timeout)
                medians = [
                    median_ratio(native, lambda: ours.request("GET", url), pairs)
                    for _ in range(rounds)
                ]
                yield f"urllib3, GET; theirs {given}", medians
            with native_requests.Session() as raw_session, requests.Session() as our_session:
                native = partial(raw_session.get, url, **timeouts)
                medians = [
                    median_ratio(native, lambda: our_session.get(url), pairs) for _ in range(rounds)
                ]
                yield f"requests, GET; theirs {given}", medians
