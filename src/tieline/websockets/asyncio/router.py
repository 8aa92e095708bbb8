"""As ``websockets.asyncio.router``."""

from websockets.asyncio.router import *
