"""Failures as a remote host brings them: late refusals, ICMP errors, packets that are dropped."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dropins.http.clients import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.namespaces

ROOT = Path(__file__).parents[3]
TUN = Path("/dev/net/tun")
EXPECTED = {
    "refused": ("Refused", "refused", errno.ECONNREFUSED),
    "port-unreachable": ("Refused", "refused", errno.ECONNREFUSED),
    "host-unreachable": ("Unreachable", "unreachable", errno.EHOSTUNREACH),
    "host-prohibited": ("Unreachable", "unreachable", errno.EHOSTUNREACH),
    "net-unreachable": ("Unreachable", "unreachable", errno.ENETUNREACH),
    "route-unreachable": ("Unreachable", "unreachable", errno.EHOSTUNREACH),
    "no-route": ("Unreachable", "unreachable", errno.ENETUNREACH),
    "no-neighbour": ("Unreachable", "unreachable", errno.EHOSTUNREACH),
    "dropped": ("ConnectTimeout", "timeout", None),
}
"""What happens -> our class, kind, error number."""


def native_class(client: str, host: str) -> str:
    """What a client raises alone."""
    dropped = host == "dropped"
    if client == "requests":
        return "requests.exceptions." + ("ConnectTimeout" if dropped else "ConnectionError")
    if client == "urllib3":
        return "urllib3.exceptions.MaxRetryError"
    return "urllib3.exceptions." + ("ConnectTimeoutError" if dropped else "NewConnectionError")


@pytest.fixture(scope="module")
def namespaces() -> Iterator[list[str]]:
    """Names of two network namespaces with nothing in them."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip") or not TUN.exists():
        pytest.skip("needs root on Linux, iproute2 and /dev/net/tun")
    names = [f"tieline-{secrets.token_hex(4)}" for _ in range(2)]
    for name in names:
        made = subprocess.run(
            ["ip", "netns", "add", name], capture_output=True, text=True, check=False
        )
        if made.returncode:
            pytest.skip(f"ip netns add: {made.stderr.strip()}")
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=True)


def asked(namespace: str, whose: str) -> dict[str, dict[str, Any]]:
    """What each client says of each host, from inside the namespace."""
    command = [sys.executable, "-m", "tests.dropins.http.far", whose]
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def alone(namespaces: list[str]) -> dict[str, dict[str, Any]]:
    """What the clients themselves say."""
    return asked(namespaces[0], "native")


@pytest.fixture(scope="module")
def ours(namespaces: list[str]) -> dict[str, dict[str, Any]]:
    """What ours say."""
    return asked(namespaces[1], "ours")


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("host", EXPECTED)
def test_what_the_client_raises_alone(
    alone: dict[str, dict[str, Any]], name: str, host: str
) -> None:
    """The native classes of the table are those that the clients raise."""
    assert alone[name][host]["classes"][0] == native_class(name, host)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("host", EXPECTED)
def test_what_ours_raises(ours: dict[str, dict[str, Any]], name: str, host: str) -> None:
    """Our class and the native one, phase, kind and number; a POST is tried again all the same."""
    found = ours[name][host]
    cls, kind, number = EXPECTED[host]
    assert f"tieline.{cls}" in found["classes"]
    assert native_class(name, host) in found["classes"]
    assert (found["phase"], found["kind"], found["errno"]) == ("connect", kind, number)
    assert found["attempts"] == (1 if name == "urllib3-raw" else 2)
    assert ":5609" in found["text"]
