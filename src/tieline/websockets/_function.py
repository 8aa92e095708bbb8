"""websockets before 17.1: a function opens in threads, where later releases have `reconnect`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import process_exception  # type: ignore[attr-defined]  # all have it
from websockets.sync import client as native
from websockets.uri import parse_uri

from tieline.websockets._dial import opening_var
from tieline.websockets._socket import open_socket

if TYPE_CHECKING:
    from tieline.websockets._given import Given

PRIVATE = ("unix", "path")
"""Keywords by which ``unix_connect`` speaks to ``connect``."""

OF_SOCKETS = ("timeout", "source_address", "all_errors")
"""Keywords of ``socket.create_connection``, which is called here and not by websockets."""

KNOWN: Final = {*inspect.signature(native.connect).parameters, *PRIVATE, *OF_SOCKETS, "ssl_context"}
"""Keywords of ``connect``: with a socket that is given it looks at no other ones."""


class Opener:
    """The arguments of ``connect``, in the shape of the class of later releases.

    Args:
        uri: As ``connect`` takes it.
        sock: As ``connect`` takes it.
        proxy: As ``connect`` takes it.
        additional_headers: As ``connect`` takes it.
        open_timeout: As ``connect`` takes it.
        **kwargs: As ``connect`` takes them.
    """

    process_exception = staticmethod(process_exception)
    _tieline: Given

    def __init__(
        self,
        uri: str,
        *,
        sock: Any = None,
        proxy: Any = True,
        additional_headers: Any = None,
        open_timeout: float | None = 10,
        **kwargs: Any,
    ) -> None:
        """Nothing is sent."""
        for name in kwargs.keys() - KNOWN:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}")
        self.uri = uri
        self.sock = sock
        self.proxy = proxy
        self.additional_headers = additional_headers
        self.open_timeout = open_timeout
        self._keywords = kwargs
        self._entered: Any = None

    def connect(self) -> Any:
        """Open one connection, in a single attempt."""
        keywords = dict(self._keywords)
        sock, proxy, opening = self.sock, self.proxy, opening_var.get()
        if opening is not None:
            uri = parse_uri(self.uri)
            proxy = opening.hop(self._tieline, uri, self.proxy, {**keywords, "sock": sock})
            if opening.name is not None:
                dialled = {name: keywords.pop(name) for name in OF_SOCKETS if name in keywords}
                sock = open_socket(opening, dialled)
            if uri.secure and opening.place is None:
                opening.secures()
        return native.connect(
            self.uri,
            sock=sock,
            proxy=proxy,
            additional_headers=self.additional_headers,
            open_timeout=self.open_timeout if opening is None else opening.left(),
            **keywords,
        )

    def __enter__(self) -> Any:
        """Open one connection, for the length of a block."""
        self._entered = self.connect()
        return self._entered.__enter__()

    def __exit__(self, *error: object) -> None:
        """Close it."""
        connection, self._entered = self._entered, None
        connection.__exit__(*error)
