"""Opening as a remote host lets it fail: late refusals, ICMP errors, packets that are dropped."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.dropins.sockets import FLAVOURS
from tests.dropins.test_psycopg_namespaces import REMOTE, ROOT
from tests.dropins.test_psycopg_namespaces import SCRIPT as FOR_PSYCOPG
from tests.dropins.test_psycopg_namespaces import namespace as namespace  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.namespaces

NETWORK, MARK, _ = FOR_PSYCOPG.partition("arguments = {")
SCRIPT = (
    NETWORK.replace("import psycopg as native\n", "").replace(
        "from tests.dropins.flavours import Flavour", "from tests.dropins.sockets import sockets"
    )
    + """
began = time.monotonic()
policy = tieline.Policy(retry=tieline.Retry(max_attempts=1))
with sockets(flavour) as client:
    try:
        client.connect(f"{sslmode}://{host}:8080/", open_timeout=float(seconds), policy=policy)
    except tieline.TielineError as error:
        print(json.dumps({
            "class": type(error).__name__,
            "errno": error.errno,
            "is_os_error": isinstance(error, OSError),
            "phase": error.failure.phase,
            "kind": error.failure.kind,
            "elapsed": time.monotonic() - began,
        }))
"""
)


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """For threads, and for asyncio."""
    return str(request.param)


def connect(
    flavour: str, namespace: str, answer: str, *, seconds: float = 5, script: str = SCRIPT
) -> dict[str, Any]:
    """What a failed opening says, from inside the namespace."""
    assert MARK
    arguments = [answer, REMOTE, str(seconds), "ws", flavour]
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["is_os_error"]
    return found


def test_a_late_refusal(flavour: str, namespace: str) -> None:
    """A refusal that takes 60 ms to arrive is Refused."""
    found = connect(flavour, namespace, "refuse")
    assert (found["class"], found["errno"]) == ("Refused", errno.ECONNREFUSED)
    assert (found["phase"], found["kind"]) == ("connect", "refused")


@pytest.mark.parametrize(
    ("answer", "number"), [("host", errno.EHOSTUNREACH), ("net", errno.ENETUNREACH)]
)
def test_an_icmp_error(flavour: str, namespace: str, answer: str, number: int) -> None:
    """A router that knows no way there: Unreachable, with the error number."""
    found = connect(flavour, namespace, answer)
    assert (found["class"], found["errno"]) == ("Unreachable", number)
    assert (found["phase"], found["kind"]) == ("connect", "unreachable")


def test_a_dropped_packet(flavour: str, namespace: str) -> None:
    """Where packets are dropped without a word, it is a timeout of connecting, not of a handshake."""
    found = connect(flavour, namespace, "drop", seconds=0.5)
    assert found["class"] == "ConnectTimeout"
    assert (found["phase"], found["kind"]) == ("connect", "timeout")
    assert 0.4 <= found["elapsed"] < 2


def test_no_route_at_all(flavour: str, namespace: str) -> None:
    """An address that this machine has no route to is Unreachable at once."""
    addressless = SCRIPT.replace(
        '"addr add 10.213.7.1/24 dev far", "link set far up"', '"link set far up",'
    )
    assert addressless != SCRIPT
    found = connect(flavour, namespace, "drop", script=addressless)
    assert (found["class"], found["errno"]) == ("Unreachable", errno.ENETUNREACH)
