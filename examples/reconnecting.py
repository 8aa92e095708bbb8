"""The reconnecting client of a popular guide, on our import.

The guide writes the loop by hand, waits the same second each time, and catches
``websockets.exceptions.ConnectionRefusedError``: there is no such exception, and the first
refusal ends the program with an AttributeError. A refusal is Python's own
``ConnectionRefusedError``, which `tieline.Refused` is, too.
"""

import asyncio
import logging

from tieline import Policy, Reconnect, websockets

logging.getLogger("tieline").setLevel(logging.ERROR)  # it would tell of each wait
SOON = Policy(reconnect=Reconnect(initial=0.05, max=0.2))  # by default 5 s, growing to a minute


async def listen(uri: str, received: list[str]) -> None:
    """What the guide is about: keep listening, whatever happens to the server."""
    async for connection in websockets.connect(uri, policy=SOON):
        try:
            async for message in connection:
                print("received:", message)
                received.append(str(message))
                if len(received) == 3:
                    return
        except websockets.ConnectionClosed as error:
            print("lost:", error.rcvd)


async def by_hand(uri: str) -> None:
    """The guide's other half: one try, with the handler that it means."""
    try:
        async with websockets.connect(uri, open_timeout=1, policy=SOON) as connection:
            await connection.recv()
    except ConnectionRefusedError as error:
        print("refused:", str(error).partition(";")[0].replace(uri.removeprefix("ws://"), "there"))


async def main() -> None:
    """A server that greets and restarts: after each greeting it is gone for a moment."""
    greetings = iter(["one", "two", "three"])

    async def greet(connection: websockets.ServerConnection) -> None:
        await connection.send(next(greetings))
        await connection.close(1012, "restart")

    received: list[str] = []
    server = await websockets.serve(greet, "127.0.0.1", 0)
    port = next(iter(server.sockets)).getsockname()[1]
    uri = f"ws://127.0.0.1:{port}"
    listening = asyncio.create_task(listen(uri, received))
    while len(received) < 2:
        await asyncio.sleep(0.01)
        if len(received) == 1 and server.is_serving():
            server.close()
            await server.wait_closed()
            server = await websockets.serve(greet, "127.0.0.1", port)
    await listening
    server.close()
    await server.wait_closed()
    await by_hand(uri)


asyncio.run(main())
