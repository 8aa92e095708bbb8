"""A server in a container."""

from __future__ import annotations

import io
import socket
import tarfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from integration.services.port import reserved_port
from integration.services.service import STOP_TIMEOUT, Service

if TYPE_CHECKING:
    from docker.models.containers import Container

    from integration.services.engine import EngineSession

_POLL_INTERVAL = 0.01


class ContainerService(Service):
    """A server in a container, its port published on loopback.

    While the container runs, it may be the engine's proxy that accepts connections to the port,
    also for a server that does not listen yet.
    """

    # What a server takes for an orderly shutdown.
    stop_signal = "SIGTERM"

    def __init__(
        self, session: EngineSession, image: str, name: str, port: int, **options: Any
    ) -> None:
        """Describe it, and leave it stopped.

        Args:
            session: Where it belongs.
            image: What it is made from.
            name: Its name for other containers.
            port: The port it listens at, inside.
            options: More of docker's own options, `command`, `environment` and so on.
        """
        self.image = image
        with ExitStack() as resources:
            self.port = resources.enter_context(reserved_port(self.host))
            environment = options.pop("environment", {})
            command = options.pop("command", None)
            self._container = session.container(image, name, **options).with_envs(**environment)
            resources.callback(self._container.stop)
            if command is not None:
                self._container.with_command(command)
            self._container.ports[f"{port}/tcp"] = (self.host, self.port)
            self._resources = resources.pop_all()
        self._created = False

    @property
    def running(self) -> bool:
        """Whether the container runs."""
        if not self._created:
            return False
        container = self._inside()
        container.reload()
        return container.status in {"running", "paused"}

    def start(self) -> float:
        """Start the container, which is created if it is the first time."""
        if self.running:
            raise RuntimeError("the server is running already")
        self._launch()
        return self.wait_until_ready()

    def stop(self) -> None:
        """Send it the signal by which it shuts down in order."""
        self.resume()
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill the container (SIGKILL)."""
        self._demand()
        self._end("SIGKILL")

    def pause(self) -> None:
        """Freeze all its processes; the engine's proxy goes on accepting connections."""
        if self._demand().status != "paused":
            self._inside().pause()

    def resume(self) -> None:
        """Let its processes go on."""
        if self._demand().status == "paused":
            self._inside().unpause()

    def log(self) -> str:
        """What it wrote to its standard output and error, over all its starts."""
        return self._inside().logs().decode(errors="replace") if self._created else ""

    def read_file(self, path: str) -> bytes:
        """The content of a file, whether the container runs or not; empty if there is none."""
        import docker

        if not self._created:
            return b""
        try:
            chunks, _ = self._inside().get_archive(path)
        except docker.errors.NotFound:
            return b""
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            return file.read() if file else b""

    def _launch(self) -> None:
        if self._created:
            self._inside().start()
        else:
            self._container.start()
            self._created = True

    def _inside(self) -> Container:
        return self._container.get_wrapped_container()

    def _demand(self) -> Container:
        if not self.running:
            raise self._not_running()
        return self._inside()

    def _end(self, signal: str) -> None:
        container = self._inside()
        container.kill(signal)
        deadline = time.monotonic() + STOP_TIMEOUT
        # The proxy may outlive the container by a moment.
        while self.running or self._listening():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server did not stop in {STOP_TIMEOUT} s")
            time.sleep(_POLL_INTERVAL)

    def _listening(self) -> bool:
        with socket.socket() as client:
            # Without an answer, the network is cut, and nobody can tell.
            client.settimeout(1)
            return client.connect_ex(self.address) == 0

    def _remove(self) -> None:
        self._created = False
        self._resources.close()
