"""Where a connection goes: scheme, host, port."""

from __future__ import annotations

from typing import NamedTuple


class Endpoint(NamedTuple):
    """One place to connect to.

    Database, user and path are no part of it: they do not decide whether something listens.

    Attributes:
        scheme: Such as ``postgresql`` or ``https``.
        host: A name, an address, or the directory of a Unix socket (it begins with ``/``).
        port: The TCP port, or the number in the name of a PostgreSQL Unix socket.
    """

    scheme: str
    host: str
    port: int | None

    @property
    def address(self) -> str:
        """Host and port as people write them: ``db:5432``, ``[::1]:5432``, ``/run/pg:5432``."""
        host = f"[{self.host}]" if ":" in self.host and self.host[0] != "/" else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        """The endpoint as a URL without credentials or path."""
        return f"{self.scheme}://{self.address}"


class Proxy(Endpoint):
    """The place on the way to another one, and said to be that."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """Host and port, with the word."""
        return f"the proxy {super().address}"

    def __str__(self) -> str:
        """The proxy as a URL without credentials."""
        return f"{self.scheme}://{super().address}"
