"""A service of our own as a local process, with the Python that runs the tests."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from integration.services.app import SOURCE, App, AppService
from integration.services.process import ProcessService

if TYPE_CHECKING:
    from pathlib import Path


class LocalApp(AppService, ProcessService):
    """A service of our own as a local process."""

    def __init__(self, app: App) -> None:
        """Describe it, and leave it stopped."""
        self.app = app
        super().__init__(app.name.lower())
        self._ledger_file = self._home / "ledger"

    @property
    def description(self) -> str:
        """The version is that of Python."""
        return f"{self.app.name} service, local process (Python {platform.python_version()})"

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", self.app.module),
            *(self.host, str(self.port), str(self._ledger_file)),
        ]

    def _directory(self) -> Path:
        return SOURCE.parent

    def _ledger(self) -> bytes:
        return self._ledger_file.read_bytes() if self._ledger_file.exists() else b""
