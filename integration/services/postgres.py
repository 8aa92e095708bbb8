"""What a test can do to a PostgreSQL, beyond what it can do to any server."""

from __future__ import annotations

import socket
import struct
import time
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from integration.services.service import START_TIMEOUT, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

# Protocol 3.0, and no parameter but the user: all that a server reads before it says 57P03.
_PARAMETERS = b"user\0nobody\0\0"
_STARTUP = struct.pack("!II", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_STARTING_UP = b"C57P03\0"
_POLL_INTERVAL = 0.01

# The file that holds a start back, in the data directory.
_HOLD = "hold"

SETTINGS = {
    # These two guard against a crash of the machine. What a killed process has written is in the
    # page cache and stays there. That it is written before a commit is acknowledged is up to
    # synchronous_commit, which therefore stays on.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    # What a server saw of its clients is in its log.
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "%m [%p] ",
    # Asked for old files by a start that recovers from an archive, and by no other.
    "restore_command": f"while [ -e {_HOLD} ]; do sleep 0.05; done; false",
    # A recovery lets nobody in before its end.
    "hot_standby": "off",
}


class PostgresService(Service):
    """A PostgreSQL whose outages a test controls.

    Attributes:
        user: An ordinary role, the owner of the database.
        password: The password of the role; scram-sha-256 asks for it.
        dbname: The database.
        admin_password: The password of the superuser `postgres`.
    """

    user: str
    password: str
    dbname: str
    admin_password: str

    @property
    def params(self) -> dict[str, Any]:
        """The connection parameters as keyword arguments."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.dbname,
        }

    @property
    def conninfo(self) -> str:
        """The connection parameters as a keyword/value string."""
        return _conninfo(self.params)

    @property
    def admin_conninfo(self) -> str:
        """The same for the superuser `postgres`, in the same database."""
        return _conninfo(self.params | {"user": "postgres", "password": self.admin_password})

    @contextmanager
    def slow_start(self) -> Iterator[None]:
        """Restart it, and inside the block it is starting up: it turns away everybody (57P03).

        At the end of the block the start goes on, and the server is ready.

        Raises:
            RuntimeError: It is not running.
        """
        # A recovery from an archive begins by asking the archive, and here that answers when the
        # file is gone.
        self._shell(f"touch {_HOLD} recovery.signal")
        self.stop()
        self._launch()
        try:
            self._wait_until_it_starts_up()
            yield
        finally:
            self._shell(f"rm -f {_HOLD}")
            self.wait_until_ready()

    def _wait_until_it_starts_up(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while _STARTING_UP not in self._first_words():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody was turned away in {START_TIMEOUT} s")
            time.sleep(_POLL_INTERVAL)

    def _first_words(self) -> bytes:
        try:
            with socket.create_connection(self.address, timeout=1) as client:
                client.sendall(_STARTUP)
                return client.recv(1024)
        except OSError:
            return b""

    @abstractmethod
    def _launch(self) -> None:
        """Start it, and do not wait."""

    @abstractmethod
    def _shell(self, script: str) -> None:
        """Run a script in the data directory, as the user that the server runs as."""


def _conninfo(params: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
