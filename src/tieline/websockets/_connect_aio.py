"""`connect` for asyncio: awaited, as a block, and as a loop over connections that come back."""

from __future__ import annotations

import asyncio
import copy
import inspect
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio import client as native
from websockets.exceptions import ConnectionClosed, InvalidProxy
from websockets.protocol import State
from websockets.uri import parse_uri

from tieline.engine import resolver
from tieline.engine.aio import drive, sleep
from tieline.rules.websockets import bad_setting
from tieline.websockets._comeback import Comeback
from tieline.websockets._connection_aio import ClientConnection
from tieline.websockets._dial import Dial, is_literal, note, note_error, opening_var, under_way
from tieline.websockets._given import CLIENT, factory, given, once

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
    from typing import Literal

    from websockets.datastructures import HeadersLike
    from websockets.extensions.base import ClientExtensionFactory
    from websockets.typing import LoggerLike, Origin, PathLike, Subprotocol

    from tieline.policy.decision import Proceed
    from tieline.policy.policy import Policy
    from tieline.websockets._given import Given

# What makes one attempt and what connects in it: public from 17.4 and 17.0 on, before that under
# the second name.
_ATTEMPT: Final[Any] = getattr(native.connect, "connect", None) or getattr(
    native.connect, "__await_impl__", None
)
_OPEN: Final[Any] = getattr(native.connect, "open_tcp_connection", None) or getattr(
    native.connect, "create_connection", None
)


class connect(native.connect):  # noqa: N801 - as websockets has it
    """Connect to a WebSocket server, as ``websockets.connect`` does, with a policy.

    Awaited, or as ``async with connect(...)``, it opens one connection, in as many attempts as the
    policy has. As ``async for connection in connect(...)`` it is a loop over connections: each
    time one ends, the next is opened when `Policy.reconnect` says, unless the other side has
    closed it for good.

    Args:
        uri: URI of the server; with a ``target``, by default the one that the environment has
            for it.
        target: Name of the target; by default its endpoint, such as ``wss://api.example:443``.
            Connections to one target share breaker and budget, and the environment may configure
            it.
        policy: The settings; by default 25 s for everything, 10 s for an attempt (or
            ``open_timeout``), 5 attempts.
        on_reconnect: Called with each connection of a loop but the first, before the body gets
            it, to subscribe again; a function or a coroutine function.
        **kwargs: As ``websockets.connect`` takes them. ``process_exception`` and
            ``reconnect_delays``, where given, decide in place of the policy's rules and delays.

    Raises:
        ConfigError: The URI makes no sense; also a ``websockets.InvalidURI``.
        TielineError: From the opening: another of its classes, and what websockets raises, too.
    """

    __module__ = "tieline.websockets.asyncio.client"

    _tieline: Given
    _tieline_hook: Callable[[ClientConnection], Awaitable[object] | object] | None
    _tieline_once: bool
    _tieline_proxy: str | Literal[True] | None

    if TYPE_CHECKING:

        def __init__(
            self,
            uri: str | None = ...,
            *,
            target: str | None = ...,
            policy: Policy | None = ...,
            on_reconnect: Callable[[ClientConnection], Awaitable[object] | object] | None = ...,
            origin: Origin | None = ...,
            extensions: Sequence[ClientExtensionFactory] | None = ...,
            subprotocols: Sequence[Subprotocol] | None = ...,
            compression: str | None = ...,
            additional_headers: HeadersLike | None = ...,
            user_agent_header: str | None = ...,
            proxy: str | Literal[True] | None = ...,
            process_exception: Callable[[Exception], Exception | None] = ...,
            open_timeout: float | None = ...,
            ping_interval: float | None = ...,
            ping_timeout: float | None = ...,
            close_timeout: float | None = ...,
            reconnect_delays: Callable[[], Generator[float]] = ...,
            max_size: int | tuple[int | None, int | None] | None = ...,
            max_queue: int | tuple[int | None, int | None] | None = ...,
            write_limit: int | tuple[int, int | None] = ...,
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

    async def connect(self) -> ClientConnection:
        """Open one connection, in as many attempts as the policy has."""
        if not self._tieline.enabled:
            connection: ClientConnection = await _ATTEMPT(self)
            return connection
        dial = self._tieline_dial()
        try:
            return await drive(
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

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        """``await connect(...)``."""
        return self.connect().__await__()

    if TYPE_CHECKING:

        async def __aenter__(self) -> ClientConnection: ...

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        """``async for connection in connect(...)``: one after the other, until the loop ends."""
        if not self._tieline.enabled:
            again = False
            natively: Any = super()
            async with aclosing(natively.__aiter__()) as connections:
                async for connection in connections:
                    # The native class then.
                    if await self._tieline_resubscribed(connection, again=again):
                        yield connection
                    again = True
            return
        comeback = self._tieline_comeback()
        while True:
            try:
                connection = await self._tieline_enter()
            except Exception as error:  # noqa: BLE001 - raised again by what judges it
                wait = comeback.failed(error)
            else:
                comeback.opened(connection)
                try:
                    fit = await self._tieline_resubscribed(connection, again=comeback.again)
                    if fit:
                        yield connection
                    comeback.left(fit=fit)
                except BaseException:
                    await self.__aexit__(*sys.exc_info())
                    raise
                await self.__aexit__(None, None, None)
                wait = comeback.ended()
            if wait > 0:
                await sleep(wait)

    async def open_tcp_connection(self) -> Any:
        """Connect to the server or to a proxy."""
        return await self._tieline_open()

    async def create_connection(self) -> Any:
        """The same in websockets 15 and 16."""
        return await self._tieline_open()

    def _tieline_dial(self) -> Dial:
        settings = self._tieline
        return Dial(settings, once(settings.policy) if self._tieline_once else None)

    def _tieline_comeback(self) -> Comeback:
        delays = getattr(self, "reconnect_delays", None)
        state = self._tieline_dial().state
        return Comeback(self._tieline, state, self.process_exception, delays)

    async def _tieline_enter(self) -> ClientConnection:
        """Enter the block as its user would, in a single attempt."""
        self._tieline_once = True
        try:
            return await self.__aenter__()
        finally:
            self._tieline_once = False

    async def _tieline_resubscribed(self, connection: ClientConnection, *, again: bool) -> bool:
        """Whether the connection is fit for the body."""
        if self._tieline_hook is None or not again:
            return True
        try:
            done = self._tieline_hook(connection)
            if inspect.isawaitable(done):
                await done
        except ConnectionClosed:
            if connection.protocol.state is State.OPEN:
                # It is another connection that has ended.
                raise
            return False
        return True

    async def _tieline_attempt(self, dial: Dial, proceed: Proceed) -> ClientConnection:
        opening = dial.begin(proceed)
        # A copy: a redirect changes it, and the next attempt is to begin anew.
        attempt = copy.copy(self)
        attempt.open_timeout = proceed.timeout
        try:
            with under_way(opening):
                connection: ClientConnection = await _ATTEMPT(attempt)
        except Exception as error:
            final = dial.failed(error, opening)
            if final is error:
                raise
            raise final from None
        if "connection" in vars(attempt):
            # Where websockets 15 and 16 look for it at the end of the block.
            self.connection = attempt.connection
        dial.opened(connection, opening)
        return connection

    async def _tieline_open(self) -> Any:
        """Look the name up, and try its addresses; all else is left to websockets."""
        uri = parse_uri(self.uri)
        # Also where we are switched off: it is we who have added them.
        self.additional_headers = self._tieline.headers(uri, self.additional_headers)
        opening = opening_var.get()
        if opening is None:
            return await _OPEN(self)
        name = "create_connection_kwargs"
        name = name if name in vars(self) else "connection_kwargs"
        keywords = getattr(self, name)
        self.proxy = opening.hop(self._tieline, uri, self._tieline_proxy, keywords)
        if opening.name is None or is_literal(opening.name):
            opening.resolved()
            return await _OPEN(self)
        found = await resolver.shared.resolve_async(opening.name, opening.port, opening.left())
        opening.resolved()
        for address, share, last in opening.shares(found):
            way = copy.copy(self)
            setattr(way, name, {**keywords, "host": address})
            try:
                async with asyncio.timeout(share):
                    connection = await _OPEN(way)
            except Exception as error:
                if last or not opening.goes_on(error):
                    raise
            else:
                opening.answered(address)
                return connection
        raise AssertionError("a name that resolves has addresses")


def unix_connect(path: PathLike | None = None, uri: str | None = None, **kwargs: Any) -> connect:
    """Connect to a server that listens on a Unix socket, with the arguments of `connect`.

    Args:
        path: Path of the socket.
        uri: URI of the server; by default ``ws://localhost/``, or ``wss://localhost/`` where
            ``ssl`` is given.
        **kwargs: As `connect` takes them.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri=uri, unix=True, path=path, **kwargs)
