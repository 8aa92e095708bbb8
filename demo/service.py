"""The HTTP service: two instances, in processes of their own, and the ledger that both write."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from demo.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from demo.load import Call

INSTANCES = 2


class Service:
    """Runs until its block ends."""

    def __init__(self) -> None:
        """The instances take free ports, and keep them for the next time."""
        self._folder = tempfile.TemporaryDirectory(prefix="tieline-demo-")
        self._ledger = Path(self._folder.name) / "ledger"
        self._ports = [0] * INSTANCES
        self._processes: list[subprocess.Popen[str]] = []
        self.start()

    def url(self, side: str, order: int) -> str:
        """Where to place an order: the instances take turns.

        Args:
            side: Whose order.
            order: Its number.
        """
        return f"http://127.0.0.1:{self._ports[order % INSTANCES]}/{side}/{order}"

    def kill(self) -> None:
        """SIGKILL for all instances; they are gone when this returns."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()
        self._processes = []

    def start(self) -> float:
        """Start them on the ports that they had.

        Returns:
            The instant at which all of them accepted connections.
        """
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "demo.instance", self._ledger, str(port)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for port in self._ports
        ]
        for index, process in enumerate(self._processes):
            assert process.stdout is not None
            self._ports[index] = int(process.stdout.readline())
        return time.monotonic()

    def audit(self, side: str, calls: Iterable[Call]) -> Audit:
        """Compare the ledger with what the callers were told.

        Args:
            side: Whose orders.
            calls: All its calls.
        """
        lines = self._ledger.read_text().splitlines() if self._ledger.exists() else []
        mine = (line.split() for line in lines)
        stored = Counter(int(order) for whose, order in mine if whose == side)
        answered = {call.number for call in calls if call.error is None}
        failed = {call.number: call.error for call in calls if call.error is not None}
        return Audit(
            lost=frozenset(answered - stored.keys()),
            twice=frozenset(order for order, count in stored.items() if count > 1),
            unknown=frozenset(
                order for order, error in failed.items() if getattr(error, "maybe_applied", False)
            ),
            stored=frozenset(failed.keys() & stored.keys()),
        )

    def __enter__(self) -> Self:
        """The service, which runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the instances and remove the ledger."""
        self.kill()
        self._folder.cleanup()
