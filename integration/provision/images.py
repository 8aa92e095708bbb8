"""Gets the images: what is here, else what can be pulled, else one that is built here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from integration.provision.missing import Missing
from integration.provision.packages import install
from integration.services import engine, images

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

_DEBIAN = Path(__file__).parent / "debian"
# Of silence, before a registry counts as out of reach.
_PULL_TIMEOUT = 20.0
# Without another one it is PostgreSQL.
_ENTRYPOINT = 'ENTRYPOINT ["postgres-entrypoint"]'


def provide(say: Callable[[str], None]) -> None:
    """See to it that each server has an image.

    Args:
        say: Is told what is going on.

    Raises:
        Missing: One is not to be had.
    """
    refused = ""
    for image in images.ALL:
        # One registry that is out of reach is not asked again.
        if images.find(image) is None and not refused:
            say(f"pulling {image.choices[0]}")
            refused = _pull(image.choices[0])
        if images.find(image) is None:
            if images.local() not in image.choices:
                raise Missing(
                    f"{image.variable} names {image.choices[0]}, which is not to be had: {refused}"
                )
            say(f"{refused}; building {images.local()} from Debian packages (a minute or two)")
            _build(image, refused)
        say(f"{image.server}: {images.find(image)}")


def _pull(name: str) -> str:
    """Try to pull an image; what stood in the way, if something did."""
    import docker
    import requests

    try:
        with closing(engine.connect(_PULL_TIMEOUT)) as client:
            client.images.pull(name)
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        reason = str(getattr(error, "explanation", None) or error).splitlines()[0]
        return f"{name} cannot be pulled ({reason})"
    return ""


def _build(image: images.Image, refused: str) -> None:
    instead = f"pull it, or name another image of {image.server} by {image.variable}"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Missing(f"{refused}, and only Debian can build one: {instead}")
    install({"debootstrap": "debootstrap"}, f"to build an image; or {instead}")
    with tempfile.TemporaryDirectory(prefix="tieline-image-") as scratch:
        log = Path(scratch) / "log"
        with log.open("w") as output:
            done = subprocess.run(
                [_DEBIAN / "build", scratch], stdout=output, stderr=output, check=False
            )
        if done.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise Missing(f"the image could not be built: {instead}\n{tail}")
        with closing(engine.connect(600)) as client:
            _load(client, Path(scratch) / "root")
            _remove_others(client)


def _load(client: docker.DockerClient, root: Path) -> None:
    repository, tag = images.local().split(":")
    with subprocess.Popen(
        ["tar", "--create", "--numeric-owner", "--one-file-system", "--directory", root, "."],
        stdout=subprocess.PIPE,
    ) as tar:
        client.api.import_image_from_stream(
            tar.stdout, repository=repository, tag=tag, changes=[_ENTRYPOINT]
        )
    if tar.returncode:
        raise Missing(f"the image could not be built: tar ended with {tar.returncode}")


def _remove_others(client: docker.DockerClient) -> None:
    """Remove the images of earlier recipes."""
    for found in client.images.list(images.LOCAL_REPOSITORY):
        for tag in found.tags:
            if tag != images.local():
                client.images.remove(tag, force=True)
