"""A network that is cut: packets to and from one port of loopback vanish."""

from __future__ import annotations

import os
import shutil
import subprocess

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

# In the output hook, before any translation of addresses: each packet on loopback passes there,
# whoever sends it, and TCP takes one that is dropped there for one that is lost on the way.
_RULES = """
add table ip tieline-{port} {{ flags owner; }}
add chain ip tieline-{port} lost {{ type filter hook output priority raw; }}
add rule ip tieline-{port} lost ip daddr {host} tcp dport {port} drop
add rule ip tieline-{port} lost ip saddr {host} tcp sport {port} drop
list tables
"""


def missing() -> str | None:
    """Why this machine does not let us cut a network, and what would help; None if it does."""
    if shutil.which("nft", path=_PATH) is None:
        return "a network is cut by nft, which is not installed (Debian's package nftables has it)"
    if os.geteuid() != 0:
        return "a network is cut by nft, which needs root"
    return None


class Silence:
    """All packets of one address lost, from here until `end` or the end of this process.

    The rules are in a table of their own that belongs to an nft which is kept running: the kernel
    removes it with that process, and that process ends when its standard input does.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        """Begin.

        Args:
            address: Host (an IPv4 address) and port.

        Raises:
            RuntimeError: It cannot be done here.
        """
        if reason := missing():
            raise RuntimeError(reason)
        host, port = address
        self._nft = subprocess.Popen(
            ["nft", "--interactive"],
            env=os.environ | {"PATH": _PATH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._nft.stdin
        assert self._nft.stdout
        self._nft.stdin.write(_RULES.format(host=host, port=port))
        self._nft.stdin.flush()
        # The last command names the table, if all went well: then the rules are in force.
        said = self._nft.stdout.readline()
        if said.split() != ["table", "ip", f"tieline-{port}"]:
            self.end()
            raise RuntimeError(f"nft said: {said.strip()}")

    def end(self) -> None:
        """Let packets through again."""
        self._nft.communicate()
