"""The container engine: whether one answers, and what a session of tests keeps in it."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
import socket
import tempfile
from contextlib import ExitStack, closing
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from integration.services.afterwards import afterwards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self
    from urllib.parse import SplitResult

    import docker
    from testcontainers.core.container import DockerContainer

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
# On everything of ours; its value is a file that its session holds a lock on.
LABEL = "tieline.session"
_PING_TIMEOUT = 5.0
_GONE_OR_GOING = {404, 409}

_NETWORK_OPTIONS = {
    # Containers reach each other and nothing else, and only loopback reaches them.
    "com.docker.network.bridge.enable_ip_masquerade": "false",
    "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
}


def address() -> str:
    """Where the engine is to be found: DOCKER_HOST, or the usual socket."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS


def connect(timeout: float = 60.0) -> docker.DockerClient:
    """A client of the engine; close it.

    Raises:
        docker.errors.DockerException: No engine answers.
    """
    import docker

    return docker.from_env(timeout=timeout)


def unreachable() -> str | None:
    """Why there is no engine to run containers; None if one answers."""
    try:
        import docker
        import testcontainers.core
    except ImportError as error:
        return f"the Python package {error.name} is not installed"
    del testcontainers
    url = urlsplit(address())
    if url.hostname not in {None, "localhost", "127.0.0.1"}:
        return f"the Docker engine at {url.hostname} publishes its ports there, not on this machine"
    try:
        _knock(url)
        with closing(connect(_PING_TIMEOUT)) as client:
            client.ping()
    except (docker.errors.DockerException, OSError, ValueError):
        return f"no Docker engine answers at {address()}"
    return None


def _knock(url: SplitResult) -> None:
    """Find out whether anybody listens; docker's client would leave its socket open if not."""
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PING_TIMEOUT)
            client.connect(url.path)


@cache
def missing() -> str | None:
    """The same, asked once and for all."""
    return unreachable()


class EngineSession:
    """What the containers of one run have in common: their network, and their end.

    The end comes with this object or with its process, whichever is first, however violent: a
    process of its own waits for it and sweeps up. Should that one die too, the next session does.
    """

    def __init__(self) -> None:
        """Sweep up after others, and make a network."""
        from testcontainers.core.config import testcontainers_config

        # Its reaper is one more image to be had; the sweep is ours.
        testcontainers_config.ryuk_disabled = True
        sweep()
        with ExitStack() as resources:
            # Held as long as this process lives and has it open.
            self._lock = resources.enter_context(
                tempfile.NamedTemporaryFile(prefix="tieline-session-", delete=False)
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # In this order: the lock is free when the sweep begins.
            resources.enter_context(afterwards(__name__))
            resources.callback(self._lock.close)
            self._client = resources.enter_context(closing(connect()))
            self._network, self._addresses = self._make_network()
            self._resources = resources.pop_all()

    @property
    def labels(self) -> dict[str, str]:
        """What marks a thing in the engine as ours."""
        return {LABEL: self._lock.name}

    def container(self, image: str, name: str, **options: Any) -> DockerContainer:
        """A container of this session, not yet created.

        Args:
            image: What it is made from.
            name: Its name for the other containers.
            options: More of docker's own options.
        """
        from docker.types import EndpointConfig
        from testcontainers.core.container import DockerContainer

        endpoint = EndpointConfig(
            self._client.api.api_version, aliases=[name], ipv4_address=next(self._addresses)
        )
        return (
            DockerContainer(image)
            .with_name(f"{self._network}-{name}")
            .with_kwargs(
                labels=self.labels,
                hostname=name,
                network=self._network,
                networking_config={self._network: endpoint},
                **options,
            )
        )

    def _make_network(self) -> tuple[str, Iterator[str]]:
        """Its name, and the addresses that containers get for good.

        Without one of its own a container may come back with another address, which the members
        of a cluster would not know it by. Only of a range that was asked for may one be chosen,
        so a range is asked for that the engine gave before.
        """
        from docker.types import IPAMConfig, IPAMPool

        name = f"tieline-{secrets.token_hex(4)}"
        options = {"labels": self.labels, "options": _NETWORK_OPTIONS}
        first = self._client.networks.create(name, **options)
        first.reload()
        subnet = first.attrs["IPAM"]["Config"][0]["Subnet"]
        first.remove()
        self._client.networks.create(
            name, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]), **options
        )
        # The first one is the engine's.
        return name, (str(host) for host in islice(ipaddress.ip_network(subnet).hosts(), 1, None))

    def close(self) -> None:
        """Remove all containers and the network. Closing again does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        """The session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def sweep() -> bool:
    """Remove containers and networks of sessions that have ended.

    Returns:
        Whether there are sessions that have not.
    """
    with closing(connect()) as client:
        containers = client.containers.list(all=True, ignore_removed=True, filters={"label": LABEL})
        networks = client.networks.list(filters={"label": LABEL})
        sessions = {thing.labels[LABEL] for thing in containers} | _names(networks)
        ended = set(_ended(sessions))
        for container in containers:
            if container.labels[LABEL] in ended:
                _remove(container, force=True, v=True)
        for network in networks:
            if _names([network]) <= ended:
                _remove(network)
    for path in ended:
        Path(path).unlink(missing_ok=True)
    return ended != sessions


def _remove(thing: Any, **options: bool) -> None:
    """Remove a container or a network, unless it is gone or another sweep is at it."""
    import docker

    try:
        thing.remove(**options)
    except docker.errors.APIError as error:
        if error.status_code not in _GONE_OR_GOING:
            raise


def _names(networks: list[Any]) -> set[str]:
    return {network.attrs["Labels"][LABEL] for network in networks}


def _ended(sessions: set[str]) -> Iterator[str]:
    """Those whose lock can be had, or whose file is gone."""
    for path in sessions:
        try:
            with Path(path).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            yield path
        except BlockingIOError:
            continue
        else:
            yield path


if __name__ == "__main__":
    sweep()
