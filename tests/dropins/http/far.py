"""Ask hosts that are far away: ``python -m tests.dropins.http.far ours|native``.

It runs in a network namespace of its own. A tunnel device leads out of it to a few lines that
answer the first packet of a connection as its address says, 60 ms later. Prints what each client
got from each host, as JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests.dropins.http.clients import CLIENTS, Client

LATENCY: Final = 0.06
SETUP: Final = (
    "ip link set lo up",
    "ip addr add 10.213.7.1/24 dev far",
    "ip link set far up",
    "ip route add unreachable 10.213.8.0/24",
    # The other end of this cable is nobody's.
    "ip link add near type veth peer name end",
    "ip addr add 10.213.6.1/24 dev near",
    "ip link set near up",
    "ip link set end up",
)
HOSTS: Final = {
    "refused": "10.213.7.2",
    "host-unreachable": "10.213.7.3",
    "net-unreachable": "10.213.7.4",
    "host-prohibited": "10.213.7.5",
    "port-unreachable": "10.213.7.6",
    "dropped": "10.213.7.7",
    "route-unreachable": "10.213.8.1",
    "no-route": "10.213.9.1",
    "no-neighbour": "10.213.6.2",
}
CODES: Final = {3: 1, 4: 0, 5: 10, 6: 3}
"""Last byte of an address -> code of the ICMP message about it."""


def checksum(data: bytes) -> int:
    """The sum of the internet protocols."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(protocol: int, source: bytes, target: bytes, payload: bytes) -> bytes:
    """One IPv4 packet."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def refusal(ip: bytes) -> bytes:
    """An RST."""
    tcp = ip[20:]
    near, far = struct.unpack("!HH", tcp[:4])
    number = struct.unpack("!I", tcp[4:8])[0] + 1
    segment = struct.pack("!HHIIBBHHH", far, near, 0, number, 0x50, 0x14, 0, 0, 0)
    pseudo = ip[16:20] + ip[12:16] + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return packet(6, ip[16:20], ip[12:16], segment)


def unreachable(ip: bytes, code: int) -> bytes:
    """An ICMP message that the destination is unreachable."""
    message = struct.pack("!BBHI", 3, code, 0, 0) + ip[:28]
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return packet(1, ip[16:20], ip[12:16], message)


def serve(tun: int) -> None:
    """Answer the first packet of each connection."""
    while True:
        ip = os.read(tun, 2048)
        if ip[0] >> 4 != 4 or ip[9] != 6 or not ip[33] & 2:
            continue
        time.sleep(LATENCY)  # noqa: TID251 - the way there, not a wait of ours
        last = ip[19]
        if last == 2:
            os.write(tun, refusal(ip))
        elif last in CODES:
            os.write(tun, unreachable(ip, CODES[last]))


def ask(client: Client, host: str, method: str) -> dict[str, Any]:
    """What a request to it comes to."""
    options: dict[str, Any] = {}
    if client.ours:
        import tieline

        once = tieline.Policy(retry=tieline.Retry(max_attempts=2), breaker=None, budget=None)
        options["policy"] = once
    elif client.name == "urllib3":
        options["retries"] = 1
    begun = time.monotonic()
    try:
        with client.open(**options) as sender:
            sender.send(method, f"http://{host}:5609/x", timeout=0.5)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        failure: Any = getattr(error, "failure", None)
        return {
            "classes": [f"{cls.__module__}.{cls.__name__}" for cls in type(error).__mro__],
            "errno": getattr(error, "errno", None),
            "phase": failure and failure.phase,
            "kind": failure and failure.kind,
            "attempts": len(getattr(error, "attempts", ())),
            "elapsed": time.monotonic() - begun,
            "text": str(error),
        }
    raise AssertionError(host)


def main(ours: str) -> None:
    """Make the network and ask everybody."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    # TUNSETIFF, and a device without a header before each packet (IFF_TUN | IFF_NO_PI).
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"far", 0x1001))
    for command in SETUP:
        subprocess.run(command.split(), check=True)
    # Three questions for the neighbour, as by default, but not a second apart.
    Path("/proc/sys/net/ipv4/neigh/near/retrans_time_ms").write_text("50")
    threading.Thread(target=serve, args=(tun,), daemon=True).start()
    print(  # noqa: T201 - to the test
        json.dumps(
            {
                name: {
                    host: ask(Client(name, ours=ours == "ours"), address, "POST")
                    for host, address in HOSTS.items()
                }
                for name in CLIENTS
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
