"""Which image each server is made from."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from integration.services import engine

# Named after all that is put into it, so that a change makes another one.
_RECIPE = Path(__file__).parent.parent / "provision" / "debian"
LOCAL_REPOSITORY = "tieline-servers"


@dataclass(frozen=True)
class Image:
    """An image that a server can be made from.

    Attributes:
        server: What is in it.
        official: Its name where everybody gets it.
        variable: The environment variable that names another one. What begins with TIELINE_ would
            be taken for a setting of ours that does not exist.
    """

    server: str
    official: str
    variable: str

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be used, the best first."""
        if chosen := os.environ.get(self.variable):
            return (chosen,)
        return self.official, local()


POSTGRES = Image("PostgreSQL", "postgres:17", "INTEGRATION_POSTGRES_IMAGE")
CONSUL = Image("Consul", "hashicorp/consul:latest", "INTEGRATION_CONSUL_IMAGE")
# Our own services are put on top of it.
PYTHON = Image("Python", "python:3.13-slim", "INTEGRATION_PYTHON_IMAGE")
ALL = (POSTGRES, CONSUL, PYTHON)


@cache
def local() -> str:
    """The image with all servers in it that is built where no other is to be had."""
    parts = sorted(path for path in _RECIPE.iterdir() if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in parts))
    return f"{LOCAL_REPOSITORY}:{digest.hexdigest()[:12]}"


def find(image: Image) -> str | None:
    """The name of the one to use; None if none of them is here.

    Raises:
        docker.errors.DockerException: No engine answers.
    """
    import docker

    with closing(engine.connect()) as client:
        for name in image.choices:
            try:
                client.images.get(name)
            except docker.errors.ImageNotFound:
                continue
            return name
    return None


@cache
def missing(image: Image) -> str | None:
    """Why a server cannot be made from an image here; None if it can. Asked once and for all."""
    if reason := engine.missing():
        return reason
    if find(image) is None:
        return f"the engine has no image of {image.server} ({' or '.join(image.choices)})"
    return None
