"""As ``websockets.asyncio.connection``."""

from websockets.asyncio.connection import *
