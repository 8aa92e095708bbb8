"""`connect` and `reconnect` for threads."""

from __future__ import annotations

import copy
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, overload

from websockets.exceptions import ConnectionClosed, InvalidProxy
from websockets.protocol import State
from websockets.sync import client as native
from websockets.uri import parse_uri

from tieline.engine.sync import drive, sleep
from tieline.rules.websockets import bad_setting
from tieline.websockets._comeback import Comeback
from tieline.websockets._connection import ClientConnection
from tieline.websockets._dial import Dial, note, note_error, opening_var, under_way
from tieline.websockets._given import CLIENT, factory, given, once
from tieline.websockets._socket import open_socket

if TYPE_CHECKING:
    import socket
    import ssl as ssl_module
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Literal

    from websockets.datastructures import HeadersLike
    from websockets.extensions.base import ClientExtensionFactory
    from websockets.sync.utils import Deadline
    from websockets.typing import LoggerLike, Origin, PathLike, Subprotocol

    from tieline.policy.decision import Proceed
    from tieline.policy.policy import Policy
    from tieline.websockets._given import Given

RECONNECTS: Final = hasattr(native, "reconnect")
"""Whether websockets has `reconnect`: from 17.1 on. Before that, `connect` alone opens."""

if RECONNECTS or TYPE_CHECKING:
    from websockets.sync.client import reconnect as _Native  # noqa: N812 - a class, whatever its name
else:
    from tieline.websockets._function import Opener as _Native


class reconnect(_Native):  # noqa: N801 - as websockets has it
    """Connect to a WebSocket server, as ``websockets.sync.client.reconnect`` does, with a policy.

    As ``with reconnect(...)`` it opens one connection, in as many attempts as the policy has. As
    ``for connection in reconnect(...)`` it is a loop over connections: each time one ends, the
    next is opened when `Policy.reconnect` says, unless the other side has closed it for good.

    Args:
        uri: URI of the server; with a ``target``, by default the one that the environment has
            for it.
        target: Name of the target; by default its endpoint, such as ``wss://api.example:443``.
            Connections to one target share breaker and budget, and the environment may configure
            it.
        policy: The settings; by default 25 s for everything, 10 s for an attempt (or
            ``open_timeout``), 5 attempts.
        on_reconnect: Called with each connection of a loop but the first, before the body gets
            it, to subscribe again.
        **kwargs: As ``websockets.sync.client.reconnect`` takes them. ``process_exception`` and
            ``reconnect_delays``, where given, decide in place of the policy's rules and delays.

    Raises:
        ConfigError: The URI makes no sense; also a ``websockets.InvalidURI``.
        TielineError: From the opening: another of its classes, and what websockets raises, too.
    """

    __module__ = "tieline.websockets.sync.client"

    _tieline: Given
    _tieline_hook: Callable[[ClientConnection], object] | None
    _tieline_once: bool
    _tieline_proxy: str | Literal[True] | None

    if TYPE_CHECKING:

        def __init__(
            self,
            uri: str | None = ...,
            *,
            target: str | None = ...,
            policy: Policy | None = ...,
            on_reconnect: Callable[[ClientConnection], object] | None = ...,
            sock: socket.socket | None = ...,
            ssl: ssl_module.SSLContext | None = ...,
            server_hostname: str | None = ...,
            origin: Origin | None = ...,
            extensions: Sequence[ClientExtensionFactory] | None = ...,
            subprotocols: Sequence[Subprotocol] | None = ...,
            compression: str | None = ...,
            additional_headers: HeadersLike | None = ...,
            user_agent_header: str | None = ...,
            proxy: str | Literal[True] | None = ...,
            proxy_ssl: ssl_module.SSLContext | None = ...,
            proxy_server_hostname: str | None = ...,
            process_exception: Callable[[Exception], Exception | None] = ...,
            open_timeout: float | None = ...,
            ping_interval: float | None = ...,
            ping_timeout: float | None = ...,
            close_timeout: float | None = ...,
            reconnect_delays: Callable[[], Generator[float]] = ...,
            max_size: int | tuple[int | None, int | None] | None = ...,
            max_queue: int | tuple[int | None, int | None] | None = ...,
            logger: LoggerLike | None = ...,
            create_connection: Callable[..., native.ClientConnection] | None = ...,
            **kwargs: Any,
        ) -> None: ...

    else:

        def __init__(
            self,
            uri: Any = None,
            *,
            target: Any = None,
            policy: Any = None,
            on_reconnect: Any = None,
            **kwargs: Any,
        ) -> None:
            self._tieline = given(uri, target, policy, kwargs)
            self._tieline_hook = on_reconnect
            self._tieline_once = False
            self._tieline_proxy = kwargs.get("proxy", True)
            if self._tieline.enabled:
                asked = kwargs.get("create_connection")
                kwargs["create_connection"] = factory(ClientConnection, asked, note, note_error)
            super().__init__(self._tieline.uri, **kwargs)

    def connect(self) -> ClientConnection:
        """Open one connection, in as many attempts as the policy has."""
        if not self._tieline.enabled:
            return _Native.connect(self)  # type: ignore[return-value]  # the native class then
        dial = self._tieline_dial()
        try:
            return drive(
                dial.state,
                dial.call,
                dial.start(),
                lambda proceed: self._tieline_attempt(dial, proceed),
                dial.classify,
                client=CLIENT,
            )
        except InvalidProxy as error:
            wrong = bad_setting(error)
        raise wrong from None

    if TYPE_CHECKING:

        def __enter__(self) -> ClientConnection: ...

    def __iter__(self) -> Iterator[ClientConnection]:
        """``for connection in reconnect(...)``: one after the other, until the loop ends."""
        if not self._tieline.enabled:
            again = False
            natively: Any = super()
            with closing(natively.__iter__()) as connections:
                for connection in connections:
                    # The native class then.
                    if self._tieline_resubscribed(connection, again=again):
                        yield connection
                    again = True
            return
        comeback = self._tieline_comeback()
        while True:
            try:
                connection = self._tieline_enter()
            except Exception as error:  # noqa: BLE001 - raised again by what judges it
                wait = comeback.failed(error)
            else:
                comeback.opened(connection)
                try:
                    fit = self._tieline_resubscribed(connection, again=comeback.again)
                    if fit:
                        yield connection
                    comeback.left(fit=fit)
                except BaseException:
                    self.__exit__(*sys.exc_info())
                    raise
                self.__exit__(None, None, None)
                wait = comeback.ended()
            if wait > 0:
                sleep(wait)

    def open_socket(self, deadline: Deadline) -> socket.socket:
        """Connect to the server or to a proxy: look the name up, and try its addresses."""
        uri = parse_uri(self.uri)
        # Also where we are switched off: it is we who have added them.
        self.additional_headers = self._tieline.headers(uri, self.additional_headers)
        opening = opening_var.get()
        if opening is None:
            return super().open_socket(deadline)
        asked = self._tieline_proxy
        self.proxy = opening.hop(self._tieline, uri, asked, self.open_socket_kwargs)
        if opening.name is None:
            return super().open_socket(deadline)
        return open_socket(opening, self.open_socket_kwargs)

    def enable_tls(self, sock: socket.socket, deadline: Deadline) -> socket.socket:
        """Begin TLS."""
        opening = opening_var.get()
        if opening is not None:
            opening.secures()
        return super().enable_tls(sock, deadline)

    def _tieline_dial(self) -> Dial:
        settings = self._tieline
        return Dial(settings, once(settings.policy) if self._tieline_once else None)

    def _tieline_comeback(self) -> Comeback:
        delays = getattr(self, "reconnect_delays", None)
        state = self._tieline_dial().state
        return Comeback(self._tieline, state, self.process_exception, delays)

    def _tieline_enter(self) -> ClientConnection:
        """Enter the block as its user would, in a single attempt."""
        self._tieline_once = True
        try:
            return self.__enter__()
        finally:
            self._tieline_once = False

    def _tieline_resubscribed(self, connection: ClientConnection, *, again: bool) -> bool:
        """Whether the connection is fit for the body."""
        if self._tieline_hook is None or not again:
            return True
        try:
            self._tieline_hook(connection)
        except ConnectionClosed:
            if connection.protocol.state is State.OPEN:
                # It is another connection that has ended.
                raise
            return False
        return True

    def _tieline_attempt(self, dial: Dial, proceed: Proceed) -> ClientConnection:
        opening = dial.begin(proceed)
        # A copy: a redirect changes it, and the next attempt is to begin anew.
        attempt = copy.copy(self)
        attempt.open_timeout = proceed.timeout
        try:
            with under_way(opening):
                connection: Any = _Native.connect(attempt)
        except Exception as error:
            final = dial.failed(error, opening)
            if final is error:
                raise
            raise final from None
        dial.opened(connection, opening)
        return connection  # type: ignore[no-any-return]  # made by our factory


@overload
def connect(
    uri: str | None = ...,
    *,
    target: str | None = ...,
    policy: Policy | None = ...,
    sock: socket.socket | None = ...,
    ssl: ssl_module.SSLContext | None = ...,
    server_hostname: str | None = ...,
    origin: Origin | None = ...,
    extensions: Sequence[ClientExtensionFactory] | None = ...,
    subprotocols: Sequence[Subprotocol] | None = ...,
    compression: str | None = ...,
    additional_headers: HeadersLike | None = ...,
    user_agent_header: str | None = ...,
    proxy: str | Literal[True] | None = ...,
    proxy_ssl: ssl_module.SSLContext | None = ...,
    proxy_server_hostname: str | None = ...,
    open_timeout: float | None = ...,
    ping_interval: float | None = ...,
    ping_timeout: float | None = ...,
    close_timeout: float | None = ...,
    max_size: int | tuple[int | None, int | None] | None = ...,
    max_queue: int | tuple[int | None, int | None] | None = ...,
    logger: LoggerLike | None = ...,
    create_connection: Callable[..., native.ClientConnection] | None = ...,
    legacy: Literal[True] | None = ...,
    **kwargs: Any,
) -> ClientConnection: ...


@overload
def connect(uri: str | None = ..., *, legacy: Literal[False], **kwargs: Any) -> reconnect: ...


def connect(
    uri: str | None = None, *, legacy: bool | None = None, **kwargs: Any
) -> ClientConnection | reconnect:
    """Connect to a WebSocket server, as ``websockets.sync.client.connect`` does, with a policy.

    Args:
        uri: As `reconnect` takes it.
        legacy: As websockets has it: False makes it `reconnect`.
        **kwargs: ``target``, ``policy``, and what ``websockets.sync.client.connect`` takes.

    Raises:
        ConfigError: The URI makes no sense; also a ``websockets.InvalidURI``.
        TielineError: Another of its classes, and what websockets raises, too.
    """
    return _opened(reconnect(uri, **kwargs), legacy)


@overload
def unix_connect(
    path: PathLike | None = ...,
    uri: str | None = ...,
    *,
    legacy: Literal[True] | None = ...,
    **kwargs: Any,
) -> ClientConnection: ...


@overload
def unix_connect(
    path: PathLike | None = ..., uri: str | None = ..., *, legacy: Literal[False], **kwargs: Any
) -> reconnect: ...


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    *,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a server that listens on a Unix socket, with the arguments of `connect`.

    Args:
        path: Path of the socket.
        uri: URI of the server; by default ``ws://localhost/``, or ``wss://localhost/`` where
            ``ssl`` is given.
        legacy: As websockets has it.
        **kwargs: As `connect` takes them.
    """
    return _opened(unix_reconnect(path, uri, **kwargs), legacy)


def unix_reconnect(
    path: PathLike | None = None, uri: str | None = None, **kwargs: Any
) -> reconnect:
    """As `unix_connect`, with the arguments of `reconnect`."""
    sock = kwargs.get("sock")
    if path is None and sock is None:
        raise ValueError("missing path argument")
    if path is not None and sock is not None:
        raise ValueError("path is incompatible with sock")
    if uri is None:
        # ssl used to be called ssl_context.
        plain = kwargs.get("ssl") is None and kwargs.get("ssl_context") is None
        uri = "ws://localhost/" if plain else "wss://localhost/"
    return reconnect(uri=uri, unix=True, path=path, **kwargs)


def _opened(connecter: reconnect, legacy: bool | None) -> ClientConnection | reconnect:
    if legacy is False and RECONNECTS:
        return connecter
    if legacy is not None and not RECONNECTS:
        raise TypeError("connect() got an unexpected keyword argument 'legacy'")
    connection = connecter.connect()
    if legacy:
        connection.pending_legacy_warning = False
    return connection
