"""A WebSocket service: ``python -m apps.websocket HOST PORT LEDGER``.

It sends back each message. What the path asks for: `/close/1012` closes with that code after the
first message, `/status/503` refuses the handshake so, and `/retry-after/2` adds that header.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from apps.ledger import Ledger
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from websockets.asyncio.server import Request, Response, ServerConnection


def wishes(path: str) -> dict[str, str]:
    """Pairs of a name and a value, in a path."""
    parts = path.partition("?")[0].strip("/").split("/")
    return dict(zip(parts[::2], parts[1::2], strict=False))


async def main(host: str, port: str, path: str) -> None:
    """Serve until the process is told to end, and then close in order (1001)."""
    ledger = Ledger(path)

    async def handshake(connection: ServerConnection, request: Request) -> Response | None:
        ledger.write("handshake", path=request.path, headers=dict(request.headers.raw_items()))
        asked = wishes(request.path)
        if "status" not in asked:
            return None
        response = connection.respond(int(asked["status"]), "as asked\n")
        if "retry-after" in asked:
            response.headers["Retry-After"] = asked["retry-after"]
        return response

    async def echo(connection: ServerConnection) -> None:
        assert connection.request
        asked = wishes(connection.request.path)
        try:
            async for message in connection:
                shown = message if isinstance(message, str) else message.decode("latin-1")
                ledger.write("message", data=shown)
                await connection.send(message)
                if "close" in asked:
                    await connection.close(int(asked["close"]), "as asked")
        except ConnectionClosed:
            pass
        ledger.write("closed", code=connection.close_code)

    async with serve(echo, host, int(port), process_request=handshake) as server:
        ledger.write("listening")
        ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set_result, None)
        await ended
        server.close()
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
