"""What a service received, one JSON object a line, written before it is answered."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any


class Ledger:
    """A file that lines are added to; what was written is still there after a kill."""

    def __init__(self, path: str) -> None:
        """Add to what is there."""
        self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - as long as the process
        self._lock = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """Note what happened, and when (seconds since the epoch)."""
        line = json.dumps({"event": event, "at": time.time(), **facts})
        with self._lock:
            print(line, file=self._file, flush=True)
