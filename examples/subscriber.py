"""A subscriber that subscribes again: `on_reconnect` gets each connection but the first.

Where to, and how patiently, the environment says: the program only names what it needs.
"""

import asyncio
import logging
import os

from tieline import websockets

logging.getLogger("tieline").setLevel(logging.ERROR)  # it would tell of each wait


async def subscribe(connection: websockets.ClientConnection) -> None:
    """What the server forgets with each connection."""
    await connection.send("subscribe prices")


async def follow() -> None:
    """Print prices until the feed is closed for good."""
    first = True
    feed = websockets.connect(target="ticks", on_reconnect=subscribe)
    try:
        async for connection in feed:
            if first:
                await subscribe(connection)
                first = False
            try:
                async for price in connection:
                    print("price:", price)
            except websockets.ConnectionClosedError as error:
                print("lost:", error.rcvd)
    except websockets.ConnectionClosedOK as error:
        print("closed for good:", error.rcvd)


async def main() -> None:
    """A feed that restarts after each price, and closes after the last."""
    prices = iter(["41", "42", "43"])

    async def feed(connection: websockets.ServerConnection) -> None:
        assert await connection.recv() == "subscribe prices"
        price = next(prices)
        await connection.send(price)
        if price == "43":
            await connection.close(1000, "bye")
        else:
            await connection.close(1012, "restart")

    async with websockets.serve(feed, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        os.environ["TIELINE_TARGETS__TICKS__URL"] = f"ws://127.0.0.1:{port}/feed"
        os.environ["TIELINE_TARGETS__TICKS__RECONNECT__INITIAL"] = "50ms"
        await follow()


asyncio.run(main())
