"""As ``websockets.asyncio.client``."""

from websockets.asyncio.client import process_exception as process_exception  # type: ignore[attr-defined]  # used by everybody

from tieline.websockets._connect_aio import connect as connect
from tieline.websockets._connect_aio import unix_connect as unix_connect
from tieline.websockets._connection_aio import ClientConnection as ClientConnection
