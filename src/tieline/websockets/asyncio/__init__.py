"""As ``websockets.asyncio``."""
