"""A server that is one local process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import abstractmethod
from contextlib import ExitStack
from pathlib import Path

from integration.services.port import reserved_port
from integration.services.service import STOP_TIMEOUT, Service

# Its standard input ends with the process that started it, however that one ends.
_LIFELINE = """
read -r _
[ -s "$1/pid" ] && kill -KILL "$(cat "$1/pid")"
rm -rf "$1"
"""


class ProcessService(Service):
    """A server that is one local process; directory and process go with this one."""

    def __init__(self, name: str) -> None:
        """Make its directory, and leave it stopped.

        Args:
            name: What the directory is called after.
        """
        self._home = Path(tempfile.mkdtemp(prefix=f"tieline-{name}-"))
        self._log = self._home / "log"
        self._log.touch()
        self._pidfile = self._home / "pid"
        self._process: subprocess.Popen[bytes] | None = None
        with ExitStack() as resources:
            # The lifeline does the same, and it is there when nothing else is.
            resources.callback(shutil.rmtree, self._home, ignore_errors=True)
            lifeline = subprocess.Popen(
                ["sh", "-c", _LIFELINE, "sh", self._home],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            resources.callback(lifeline.communicate, b"\n")
            self.port = resources.enter_context(reserved_port(self.host))
            self._resources = resources.pop_all()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> float:
        """Start the process."""
        if self.running:
            raise RuntimeError("the server is running already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._directory(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Out of reach of a Ctrl-C in the terminal.
                start_new_session=True,
            )
        self._pidfile.write_text(str(self._process.pid))
        return self.wait_until_ready()

    def stop(self) -> None:
        """Tell it to end (SIGTERM)."""
        self.resume()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it (SIGSTOP)."""
        process = self._demand()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._demand().send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it wrote to its standard output and error, over all its starts."""
        return self._log.read_text(errors="replace")

    @abstractmethod
    def _command(self) -> list[str]:
        """What is run."""

    def _directory(self) -> Path:
        return self._home

    def _ready(self) -> bool:
        """Whether it listens."""
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex(self.address) == 0

    def _demand(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise self._not_running()
        return self._process

    def _end(self, number: signal.Signals) -> None:
        process = self._demand()
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the server did not stop in {STOP_TIMEOUT} s") from None
        self._pidfile.unlink()

    def _remove(self) -> None:
        if self.running:
            self.kill()
        self._resources.close()
