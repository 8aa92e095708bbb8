"""The container engine: whether one answers, and what a session of tests keeps in it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    import docker
    from testcontainers.core.container import DockerContainer

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
# On everything of ours; its value is a file that its session holds a lock on.
LABEL = "tieline.session"
_PING_TIMEOUT = 5.0

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
    try:
        with closing(connect(_PING_TIMEOUT)) as client:
            client.ping()
    except (docker.errors.DockerException, OSError, ValueError):
        return f"no Docker engine answers at {address()}"
    return None


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
        from testcontainers.core.network import Network

        # Its reaper is one more image to be had; the sweep is ours.
        testcontainers_config.ryuk_disabled = True
        sweep()
        with ExitStack() as resources:
            # Held as long as this process lives and has it open.
            self._lock = resources.enter_context(
                tempfile.NamedTemporaryFile(prefix="tieline-session-", delete=False)
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._sweeper = subprocess.Popen(
                ["sh", "-c", 'read -r _; exec "$@"', "sh", sys.executable, "-m", __name__],
                cwd=Path(__file__).parent.parent.parent,
                stdin=subprocess.PIPE,
                # Out of reach of a Ctrl-C in the terminal.
                start_new_session=True,
            )
            resources.callback(self._sweeper.communicate, b"\n")
            resources.callback(self._lock.close)
            self._network = Network(
                docker_network_kw={"labels": self.labels, "options": _NETWORK_OPTIONS}
            ).create()
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
        from testcontainers.core.container import DockerContainer

        return (
            DockerContainer(image, network=self._network, network_aliases=[name])
            .with_name(f"{name}-{self._network.name[:8]}")
            .with_kwargs(labels=self.labels, hostname=name, **options)
        )

    def close(self) -> None:
        """Remove all containers and the network. Closing again does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        """The session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def sweep() -> None:
    """Remove containers and networks of sessions that have ended."""
    import docker

    with closing(connect()) as client:
        containers = client.containers.list(all=True, filters={"label": LABEL})
        networks = client.networks.list(filters={"label": LABEL})
        ended = set(_ended({thing.labels[LABEL] for thing in containers} | _names(networks)))
        for container in containers:
            if container.labels[LABEL] in ended:
                container.remove(force=True, v=True)
        for network in networks:
            if _names([network]) <= ended:
                network.remove()
    del docker
    for path in ended:
        Path(path).unlink(missing_ok=True)


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
