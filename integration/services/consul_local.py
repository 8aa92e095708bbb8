"""Consul as a local process, where its program is on the PATH."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack

from integration.services.consul import ConsulService, configuration
from integration.services.port import reserved_port
from integration.services.process import ProcessService


class LocalConsul(ConsulService, ProcessService):
    """A Consul agent as a local process."""

    def __init__(self, program: str = "consul") -> None:
        """Describe it, and leave it stopped.

        Args:
            program: What is run, looked up on the PATH.

        Raises:
            FileNotFoundError: There is no such program.
        """
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(f"{program} is not on the PATH")
        self._program = found
        super().__init__("consul")
        with ExitStack() as ports:
            inner = [ports.enter_context(reserved_port(self.host)) for _ in range(3)]
            self._resources.push(ports.pop_all())
        server, serf_lan, serf_wan = inner
        settings = configuration(
            str(self._home / "data"),
            node_name="consul",
            bind_addr=self.host,
            client_addr=self.host,
            ports={
                "http": self.port,
                "server": server,
                "serf_lan": serf_lan,
                "serf_wan": serf_wan,
                "grpc": -1,
                "dns": -1,
            },
        )
        self._settings = json.dumps(settings)

    @property
    def description(self) -> str:
        """The version is what the agent says of itself."""
        return f"Consul {self.version}, local process ({self._program})"

    def _command(self) -> list[str]:
        return [self._program, "agent", "-hcl", self._settings]
