"""As ``websockets.asyncio.messages``."""

from websockets.asyncio.messages import *
