"""What a test can do to a server, whatever the server is and whatever runs it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from integration.services.silence import Silence

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
_POLL_INTERVAL = 0.005
_LOG_TAIL = 2000


class Service(ABC):
    """A server whose outages a test makes; its port and its data survive all of them.

    It listens on loopback alone. As a context manager it starts on entry and is removed without a
    trace on exit.

    Attributes:
        host: Where it listens.
        port: Where it listens, the same port after every start.
    """

    host: str = HOST
    port: int
    _silence: Silence | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as a socket takes them."""
        return self.host, self.port

    @property
    @abstractmethod
    def description(self) -> str:
        """What really runs: server, version, and what runs it."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it was started and neither stopped nor died since; it may be paused."""

    @abstractmethod
    def start(self) -> float:
        """Start it and wait until it answers.

        Returns:
            What `wait_until_ready` returns.

        Raises:
            RuntimeError: It is running already, or it died while it started.
            TimeoutError: It did not come up.
        """

    @abstractmethod
    def stop(self) -> None:
        """Shut it down in order. Once this returns, the port refuses connections.

        Raises:
            RuntimeError: It is not running.
            TimeoutError: It did not end.
        """

    @abstractmethod
    def kill(self) -> None:
        """Kill all of it (SIGKILL). Once this returns, the port refuses connections.

        Raises:
            RuntimeError: It is not running.
        """

    @abstractmethod
    def pause(self) -> None:
        """Freeze it: connections stay open, the port takes new ones, and nothing answers.

        Raises:
            RuntimeError: It is not running.
        """

    @abstractmethod
    def resume(self) -> None:
        """Let it go on after `pause`; if it was not paused, nothing changes.

        Raises:
            RuntimeError: It is not running.
        """

    def cut(self) -> None:
        """Cut the network before it: no packet gets through to its port, or back from there.

        Nobody is told. Connections stay open at both ends, new ones have no answer at all: no
        RST, no FIN, no ICMP. `silence.py` says how.

        Raises:
            RuntimeError: This machine does not let us; the text says why.
        """
        if self._silence is None:
            self._silence = Silence(self.address)

    def mend(self) -> None:
        """Join the network again after `cut`; if it was not cut, nothing changes."""
        if self._silence is not None:
            self._silence.end()
            self._silence = None

    def restore(self) -> None:
        """Bring it back, whatever was done to it: running, not paused, and within reach."""
        self.mend()
        if self.running:
            self.resume()
        else:
            self.start()

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> float:
        """Wait until it has come up after a start. A pause is not noticed by every server.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The instant (`time.monotonic`) at which it was seen to be ready, late by a few
            milliseconds at most.

        Raises:
            RuntimeError: It is not running.
            TimeoutError: It did not come up.
        """
        deadline = time.monotonic() + timeout
        while True:
            if not self.running:
                raise self._not_running()
            if self._ready():
                return time.monotonic()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {timeout} s:\n{self.log()[-_LOG_TAIL:]}")
            time.sleep(_POLL_INTERVAL)

    @abstractmethod
    def log(self) -> str:
        """All it has logged since it was created."""

    def close(self) -> None:
        """Remove it, whatever its state. Closing again does nothing."""
        self.mend()
        self._remove()

    def __enter__(self) -> Self:
        """Start it, unless it is running."""
        if not self.running:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it has come up; asked again and again after a start."""

    @abstractmethod
    def _remove(self) -> None:
        """End it and remove all it has left."""

    def _not_running(self) -> RuntimeError:
        return RuntimeError(f"the server is not running:\n{self.log()[-_LOG_TAIL:]}")
