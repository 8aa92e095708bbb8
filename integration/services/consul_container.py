"""Consul in containers: one agent, or a cluster of three."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from integration.services.consul import ConsulService, configuration
from integration.services.container import ContainerService
from integration.services.service import START_TIMEOUT

if TYPE_CHECKING:
    from typing import Self

    from integration.services.engine import EngineSession

_PORT = 8500
_POLL_INTERVAL = 0.05


class ContainerConsul(ConsulService, ContainerService):
    """A Consul agent in a container, from any image that has the program `consul`."""

    def __init__(
        self, session: EngineSession, image: str, name: str = "consul", **settings: Any
    ) -> None:
        """Describe it, and leave it stopped.

        Args:
            session: Where it belongs.
            image: What it is made from.
            name: Its name for the other containers, and as a node.
            settings: More of Consul's, or others.
        """
        settings = configuration("/consul/data", node_name=name, **settings)
        super().__init__(
            session,
            image,
            name,
            _PORT,
            entrypoint=["consul"],
            command=["agent", "-hcl", json.dumps(settings)],
        )

    @property
    def description(self) -> str:
        """The version is what the agent says of itself."""
        return f"Consul {self.version}, container of {self.image}"

    @property
    def inner_address(self) -> str:
        """Its address on the network of the containers, while it runs."""
        (network,) = self._demand().attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])


class ConsulCluster:
    """Three Consul servers in containers, on the network of their session.

    Two of them can elect a leader; one alone has none. As a context manager it starts on entry and
    is removed on exit.

    Attributes:
        servers: The three.
    """

    def __init__(self, session: EngineSession, image: str) -> None:
        """Describe it, and leave it stopped."""
        names = [f"consul-{number}" for number in (1, 2, 3)]
        with ExitStack() as resources:
            self.servers = []
            for name in names:
                server = ContainerConsul(
                    session, image, name, bootstrap_expect=3, retry_join=names, retry_interval="1s"
                )
                resources.callback(server.close)
                self.servers.append(server)
            self._resources = resources.pop_all()

    @property
    def description(self) -> str:
        """The version is what a server says of itself."""
        return f"Consul {self.servers[0].version}, cluster of three containers"

    @property
    def leader(self) -> ContainerConsul | None:
        """The server that leads, as far as those that run can tell; None if none does."""
        addresses = {server.inner_address: server for server in self.servers if server.running}
        told = (server.leader.rpartition(":")[0] for server in addresses.values())
        return next((addresses[address] for address in told if address in addresses), None)

    def restore(self) -> None:
        """Bring it back, whatever was done to it: all three run, and agree on a leader."""
        for server in self.servers:
            server.mend()
            if server.running:
                server.resume()
            else:
                # None is ready before it has met the others.
                server._launch()  # noqa: SLF001 - as the class does
        for server in self.servers:
            server.wait_until_ready()
        deadline = time.monotonic() + START_TIMEOUT
        while len({server.leader for server in self.servers}) > 1:
            if time.monotonic() > deadline:
                raise TimeoutError("the servers did not agree on a leader")
            time.sleep(_POLL_INTERVAL)

    def close(self) -> None:
        """Remove it."""
        self._resources.close()

    def __enter__(self) -> Self:
        """Start it."""
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
