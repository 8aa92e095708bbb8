"""A service of our own in a container, from an image that is built from this checkout."""

from __future__ import annotations

import io
import tarfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from integration.services import engine
from integration.services.app import SOURCE, App, AppService
from integration.services.container import ContainerService

if TYPE_CHECKING:
    from integration.services.engine import EngineSession

_IMAGE = "tieline-apps"
_PORT = 8000
_LEDGER = "/ledger"
_DOCKERFILE = """
FROM {base}
COPY . /srv
WORKDIR /srv
ENTRYPOINT ["python3", "-m"]
"""


def build(base: str) -> str:
    """Build the image of our services; without a change it is there at once.

    Args:
        base: The image with Python in it.

    Returns:
        Its name.
    """
    websockets = find_spec("websockets")
    assert websockets
    assert websockets.origin
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        dockerfile = _DOCKERFILE.format(base=base).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile))
        for package in (SOURCE, Path(websockets.origin).parent):
            archive.add(package, package.name, filter=_plain)
    context.seek(0)
    with closing(engine.connect()) as client:
        client.images.build(
            fileobj=context, custom_context=True, tag=_IMAGE, rm=True, labels={_IMAGE: ""}
        )
        # What the name stood for before.
        client.images.prune({"label": [_IMAGE], "dangling": True})
    return _IMAGE


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Source alone, the same whenever and by whomever it is packed."""
    if not (entry.isdir() or entry.name.endswith(".py")) or entry.name.endswith("__pycache__"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755
    return entry


class ContainerApp(AppService, ContainerService):
    """A service of our own in a container."""

    def __init__(self, session: EngineSession, image: str, app: App) -> None:
        """Describe it, and leave it stopped.

        Args:
            session: Where it belongs.
            image: The one that `build` made.
            app: Which one.
        """
        self.app = app
        super().__init__(
            session,
            image,
            app.name.lower(),
            _PORT,
            command=[app.module, "0.0.0.0", str(_PORT), _LEDGER],
        )

    @property
    def description(self) -> str:
        """The version is that of Python, in the image."""
        version = self._demand().exec_run(["python3", "-V"]).output.decode().strip()
        return f"{self.app.name} service, container of {self.image} ({version})"

    def _ledger(self) -> bytes:
        return self.read_file(_LEDGER)
