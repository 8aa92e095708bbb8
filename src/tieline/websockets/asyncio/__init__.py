"""As ``websockets.asyncio``."""

from websockets.asyncio import *
