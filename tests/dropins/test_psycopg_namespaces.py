"""Failures as a remote host brings them: late refusals, ICMP errors, packets that are dropped.

Each test runs in a network namespace of its own. A tunnel device leads out of it to a few lines
that answer each packet as the test says, 60 ms later.
"""

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dropins.flavours import Flavour

pytestmark = pytest.mark.namespaces

ROOT = Path(__file__).parent.parent.parent
TUN = Path("/dev/net/tun")
REMOTE = "10.213.7.2"

SCRIPT = """
import fcntl, json, os, socket, struct, subprocess, sys, threading, time
import psycopg as native
import tieline
from tests.dropins.flavours import Flavour

answer, host, seconds, sslmode, flavour = sys.argv[1:]

tun = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF, and a device without a header before each packet (IFF_TUN | IFF_NO_PI).
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"far", 0x1001))
for command in ("addr add 10.213.7.1/24 dev far", "link set far up"):
    subprocess.run(["ip", *command.split()], check=True)

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def packet(protocol, source, target, payload):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload

def refuse(ip, tcp):
    near, far = struct.unpack("!HH", tcp[:4])
    number = struct.unpack("!I", tcp[4:8])[0] + 1
    segment = struct.pack("!HHIIBBHHH", far, near, 0, number, 0x50, 0x14, 0, 0, 0)
    pseudo = ip[16:20] + ip[12:16] + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return packet(6, ip[16:20], ip[12:16], segment)

def unreachable(code):
    def answer(ip, tcp):
        quoted = ip[:28]
        message = struct.pack("!BBHI", 3, code, 0, 0) + quoted
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        return packet(1, ip[16:20], ip[12:16], message)
    return answer

def drop(ip, tcp):
    return None

ANSWERS = {"refuse": refuse, "host": unreachable(1), "net": unreachable(0), "drop": drop}

def serve():
    while True:
        ip = os.read(tun, 2048)
        # TCP over IPv4, and the first packet of a connection.
        if ip[0] >> 4 == 4 and ip[9] == 6 and ip[33] & 2:
            time.sleep(0.06)
            if reply := ANSWERS[answer](ip, ip[20:]):
                os.write(tun, reply)

threading.Thread(target=serve, daemon=True).start()
arguments = {"host": host, "port": 5432, "connect_timeout": seconds, "sslmode": sslmode}
began = time.monotonic()
try:
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=1))
    Flavour(flavour).connect(**arguments, policy=policy)
except native.OperationalError as error:
    failure = getattr(error, "failure", None)
    print(json.dumps({
        "class": type(error).__name__,
        "errno": getattr(error, "errno", None),
        "phase": failure and failure.phase,
        "kind": failure and failure.kind,
        "elapsed": time.monotonic() - began,
    }))
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """Name of a network namespace with nothing in it."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip") or not TUN.exists():
        pytest.skip("needs root on Linux, iproute2 and /dev/net/tun")
    name = f"tieline-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"ip netns add: {made.stderr.strip()}")
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def connect(
    client: Flavour,
    namespace: str,
    answer: str,
    *,
    seconds: float = 5,
    sslmode: str = "disable",
    script: str = SCRIPT,
) -> dict[str, Any]:
    """What a failed connect says, from inside the namespace."""
    arguments = [answer, REMOTE, str(seconds), sslmode, client.name]
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
def test_a_late_refusal_is_refused(client: Flavour, namespace: str, sslmode: str) -> None:
    """A refusal that takes 60 ms to arrive is Refused, and not a server that cut the connection."""
    found = connect(client, namespace, "refuse", sslmode=sslmode)
    assert (found["class"], found["errno"]) == ("Refused", errno.ECONNREFUSED)
    assert (found["phase"], found["kind"]) == ("connect", "refused")
    assert 0.05 < found["elapsed"] < 2


@pytest.mark.parametrize(
    ("answer", "number"), [("host", errno.EHOSTUNREACH), ("net", errno.ENETUNREACH)]
)
def test_an_icmp_error_is_unreachable(
    client: Flavour, namespace: str, answer: str, number: int
) -> None:
    """A router that knows no way there: Unreachable, with the error number."""
    found = connect(client, namespace, answer)
    assert (found["class"], found["errno"]) == ("Unreachable", number)
    assert (found["phase"], found["kind"]) == ("connect", "unreachable")
    assert 0.05 < found["elapsed"] < 2


def test_a_dropped_packet_is_a_timeout(client: Flavour, namespace: str) -> None:
    """Where packets are dropped without a word, the connect ends when its time is up."""
    found = connect(client, namespace, "drop", seconds=0.5)
    assert found["class"] == "ConnectTimeout"
    assert (found["phase"], found["kind"]) == ("connect", "timeout")
    assert 0.5 <= found["elapsed"] < 1


def test_no_route_at_all(client: Flavour, namespace: str) -> None:
    """An address that this machine has no route to is Unreachable at once."""
    addressless = SCRIPT.replace(
        '"addr add 10.213.7.1/24 dev far", "link set far up"', '"link set far up",'
    )
    assert addressless != SCRIPT
    found = connect(client, namespace, "drop", script=addressless)
    assert (found["class"], found["errno"]) == ("Unreachable", errno.ENETUNREACH)
