"""The HTTP drop-ins over requests and urllib3 themselves: a GET on a kept connection."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests as native_requests
import urllib3 as native_urllib3

from benchmarks.measure import median_ratio, one_core
from tieline import requests, urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        with native_urllib3.PoolManager() as raw, urllib3.PoolManager() as ours:
            yield (
                "urllib3, GET",
                [
                    median_ratio(
                        lambda: raw.request("GET", url), lambda: ours.request("GET", url), pairs
                    )
                    for _ in range(rounds)
                ],
            )
        with native_requests.Session() as raw_session, requests.Session() as our_session:
            yield (
                "requests, GET",
                [
                    median_ratio(lambda: raw_session.get(url), lambda: our_session.get(url), pairs)
                    for _ in range(rounds)
                ],
            )
