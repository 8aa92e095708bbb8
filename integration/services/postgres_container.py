"""PostgreSQL in a container."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from integration.services.container import ContainerService
from integration.services.postgres import SETTINGS, PostgresService

if TYPE_CHECKING:
    from integration.services.engine import EngineSession

_PORT = 5432


class ContainerPostgres(ContainerService, PostgresService):
    """PostgreSQL in a container, from any image that is set up as the official one is.

    That is: POSTGRES_PASSWORD is the superuser's, and arguments are those of the server.
    """

    # A fast shutdown: it ends its sessions, where SIGTERM would wait for them.
    stop_signal = "SIGINT"

    def __init__(self, session: EngineSession, image: str, name: str = "postgres") -> None:
        """Describe it, and leave it stopped; role and database come with the first start."""
        self.user = self.dbname = "app"
        self.password = secrets.token_urlsafe(12)
        self.admin_password = secrets.token_urlsafe(12)
        super().__init__(
            session,
            image,
            name,
            _PORT,
            command=[text for item in SETTINGS.items() for text in ("-c", "=".join(item))],
            environment={
                "POSTGRES_PASSWORD": self.admin_password,
                "POSTGRES_INITDB_ARGS": "--no-sync --auth-host=scram-sha-256",
            },
        )
        self._data = ""
        self._version = ""

    @property
    def description(self) -> str:
        """The version is what the server said of itself."""
        return f"PostgreSQL {self._version}, container of {self.image}"

    def _launch(self) -> None:
        super()._launch()
        if not self._data:
            self.wait_until_ready()
            self._create_database()

    def _ready(self) -> bool:
        """Whether it lets the superuser in."""
        import psycopg

        try:
            psycopg.connect(self._superuser(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _superuser(self) -> str:
        return self.admin_conninfo.replace(f"dbname={self.dbname}", "dbname=postgres")

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(self._superuser(), autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}'")
            admin.execute(f"CREATE DATABASE {self.dbname} OWNER {self.user}")
            row = admin.execute(
                "SELECT current_setting('data_directory'), current_setting('server_version')"
            ).fetchone()
        assert row
        self._data, self._version = row[0], row[1].split()[0]

    def _shell(self, script: str) -> None:
        done = self._demand().exec_run(["sh", "-c", script], user="postgres", workdir=self._data)
        if done.exit_code:
            raise RuntimeError(f"{script!r} failed: {done.output.decode(errors='replace')}")
