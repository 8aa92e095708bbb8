"""As ``websockets.asyncio.server``."""

from websockets.asyncio.server import *
